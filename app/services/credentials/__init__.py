"""Credentials: their life, opening their secrets, and handing them to clients and programs."""

from keycairn.app.services.credentials.client_config import Provisioning
from keycairn.app.services.credentials.credentials import Credentials, Listed
from keycairn.app.services.credentials.env_export import EnvExport
from keycairn.app.services.credentials.opener import CredentialOpener
from keycairn.app.services.credentials.sealing import LONGEST_NAME, LONGEST_SECRET, CredentialPatch, CredentialSealer

__all__ = [
    "LONGEST_NAME",
    "LONGEST_SECRET",
    "CredentialOpener",
    "CredentialPatch",
    "CredentialSealer",
    "Credentials",
    "EnvExport",
    "Listed",
    "Provisioning",
]
