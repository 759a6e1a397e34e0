"""Models: registering them, the defaults, tests and discovery."""

from keycairn.app.services.models.models import Models, defaults_within
from keycairn.app.services.models.naming import ModelPatch, check_public_name, checked_model_name
from keycairn.app.services.models.probing import NewModel, Probing

__all__ = [
    "ModelPatch",
    "Models",
    "NewModel",
    "Probing",
    "check_public_name",
    "checked_model_name",
    "defaults_within",
]
