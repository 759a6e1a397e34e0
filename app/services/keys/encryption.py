"""How things are encrypted, as it is told: the keys, how many secrets each seals, and what does not open."""

from collections.abc import Mapping

from msgspec import Struct

from keycairn.domain.ids import CredentialId
from keycairn.domain.keyset import KeyState

FORMER_WAITS = (
    "A former root key opens everything too, until a start with the newest one has proven it. "
    "Start again with the newest; or, when the former one leaked, drop it at once: keycairn rotate root --now."
)


class Quarantined(Struct, frozen=True, kw_only=True):
    """A secret that does not open, and so keeps its data key from being retired."""

    credential: CredentialId
    workspace: str
    field: str
    kid: int | None
    reason: str


class Encryption(Struct, frozen=True, kw_only=True):
    """How things are encrypted. `secrets` counts them by kid; `pending` are those of another kid than the primary.

    Each of the `slots` is opened by a root key, the last one by the root key to use. `opened_with` is the one this
    process was opened with; `former` are those that still open everything, and `former_because` says why.
    """

    install_id: str
    generation: int
    slots: tuple[str, ...]
    opened_with: str
    former: tuple[str, ...]
    former_because: str
    primary: int
    keys: Mapping[int, KeyState]
    secrets: Mapping[int, int]
    pending: int
    quarantined: tuple[Quarantined, ...]
    rotating: bool
