"""Models: registering them, the defaults, tests and discovery."""

from keycairn.app.services.models.defaults import defaults_within
from keycairn.app.services.models.models import Models
from keycairn.app.services.models.naming import ModelPatch, check_public_name, checked_model_name
from keycairn.app.services.models.probing import Probing
from keycairn.app.services.models.proving import Proving
from keycairn.app.services.models.registration import NewModel, Registered
from keycairn.app.services.models.synced import AccountSync, Synced

__all__ = [
    "AccountSync",
    "ModelPatch",
    "Models",
    "NewModel",
    "Probing",
    "Proving",
    "Registered",
    "Synced",
    "check_public_name",
    "checked_model_name",
    "defaults_within",
]
