"""Models: registering them, the defaults, tests and discovery."""

from keycairn.app.services.models.hearing import Hearing, cleaned, kind_of
from keycairn.app.services.models.models import Models, defaults_within
from keycairn.app.services.models.probing import NewModel, Probing, checked_model_name

__all__ = [
    "Hearing",
    "Models",
    "NewModel",
    "Probing",
    "checked_model_name",
    "cleaned",
    "defaults_within",
    "kind_of",
]
