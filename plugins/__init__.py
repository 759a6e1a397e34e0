"""Hooks, the registry, and the built-in providers, registered like anyone's.

What is named here is what the author of a plugin needs; it changes only with the version of the API.
"""

from keycairn.domain.env_variable import EnvSwitch, EnvVariable
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Discovery, ModelReport, Outcome, Provenance
from keycairn.domain.provider import Account, FieldKind, FieldSpec, ProviderSpec
from keycairn.domain.secret import Secret
from keycairn.plugins.base import ListedProvider
from keycairn.plugins.failures import decode, raise_for_failure
from keycairn.plugins.fields import api_key, header_secret, host_label, own_url, required_header_secret, url_field
from keycairn.plugins.hookspecs import API_VERSION, hookimpl
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec
from keycairn.ports.http import Http, Request, Response
from keycairn.ports.provider import Provider
from keycairn.ports.token_cache import BoughtToken

__all__ = [
    "API_VERSION",
    "Account",
    "BoughtToken",
    "ConnectionReport",
    "DiscoveredModel",
    "Discovery",
    "EnvSwitch",
    "EnvVariable",
    "FieldKind",
    "FieldSpec",
    "Http",
    "KeyCreation",
    "KeyManagement",
    "KeyOrder",
    "KeyRef",
    "ListedKey",
    "ListedProvider",
    "MadeKey",
    "Modality",
    "ModelReport",
    "OpenAICompatible",
    "Outcome",
    "Provenance",
    "Provider",
    "ProviderSpec",
    "Request",
    "Response",
    "Secret",
    "api_key",
    "decode",
    "header_secret",
    "hookimpl",
    "host_label",
    "keyed_spec",
    "own_url",
    "raise_for_failure",
    "required_header_secret",
    "url_field",
]
