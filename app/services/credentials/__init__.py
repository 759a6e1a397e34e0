"""Credentials: their life, opening their secrets, and handing them to clients and programs."""

from keycairn.app.services.credentials.accounts import Accounts
from keycairn.app.services.credentials.client_config import NoDefaultError, Provisioning, UnlinkedModelError
from keycairn.app.services.credentials.credentials import CredentialPatch, Credentials, Listed
from keycairn.app.services.credentials.env_export import EnvExport

__all__ = [
    "Accounts",
    "CredentialPatch",
    "Credentials",
    "EnvExport",
    "Listed",
    "NoDefaultError",
    "Provisioning",
    "UnlinkedModelError",
]
