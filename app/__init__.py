"""Services, the Litestar application, the command line, and the wiring.

What is named here is loaded when it is first asked for: a command that asks a running service needs none of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keycairn.app.keycairn import Keycairn
    from keycairn.app.services.credentials import CredentialPatch
    from keycairn.app.services.models import NewModel
    from keycairn.app.settings import Settings, read_settings
    from keycairn.app.wiring import open_keycairn
    from keycairn.domain.modality import Modality
    from keycairn.domain.model import Slot
    from keycairn.domain.secret import Secret

__all__ = [
    "CredentialPatch",
    "Keycairn",
    "Modality",
    "NewModel",
    "Secret",
    "Settings",
    "Slot",
    "open_keycairn",
    "read_settings",
]

_HOMES = {
    "CredentialPatch": "keycairn.app.services.credentials",
    "Keycairn": "keycairn.app.keycairn",
    "Modality": "keycairn.domain.modality",
    "NewModel": "keycairn.app.services.models",
    "Secret": "keycairn.domain.secret",
    "Settings": "keycairn.app.settings",
    "Slot": "keycairn.domain.model",
    "open_keycairn": "keycairn.app.wiring",
    "read_settings": "keycairn.app.settings",
}


def __getattr__(name: str) -> Any:
    """The object of that name, from the module it is defined in."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
