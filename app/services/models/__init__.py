"""Models: registering them, the defaults, tests and discovery."""

from keycairn.app.services.models.models import Models, defaults_within
from keycairn.app.services.models.probing import NewModel, Probing, checked_model_name

__all__ = [
    "Models",
    "NewModel",
    "Probing",
    "checked_model_name",
    "defaults_within",
]
