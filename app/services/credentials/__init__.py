"""Credentials: their life, opening their secrets, and handing them to clients and programs."""

from keycairn.app.services.credentials.client_config import Provisioning
from keycairn.app.services.credentials.credentials import CredentialPatch, Credentials, Listed
from keycairn.app.services.credentials.env_export import EnvExport
from keycairn.app.services.credentials.opener import CredentialOpener

__all__ = [
    "CredentialOpener",
    "CredentialPatch",
    "Credentials",
    "EnvExport",
    "Listed",
    "Provisioning",
]
