"""Models: registering them, the defaults, tests and discovery."""

from keycairn.app.services.models.models import Models, defaults_within
from keycairn.app.services.models.naming import ModelPatch, check_public_name, checked_model_name
from keycairn.app.services.models.probing import AccountSync, Probing, Synced
from keycairn.app.services.models.proving import Proving
from keycairn.app.services.models.registration import NewModel, Registered

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
