"""Services, the Litestar application, the command line, and the wiring."""

from typing import TYPE_CHECKING, Any

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.probing import NewModel
from keycairn.app.settings import Settings, read_settings
from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.secret import Secret

if TYPE_CHECKING:
    from keycairn.app.wiring import open_keycairn

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


def __getattr__(name: str) -> Any:
    """Load the wiring, and with it the database and the cipher, when it is first asked for."""
    if name != "open_keycairn":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from keycairn.app.wiring import open_keycairn  # noqa: PLC0415  # a service test needs neither

    return open_keycairn
