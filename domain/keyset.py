"""The keyset record: the data keys, wrapped once per root key that opens them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class KeyState(StrEnum):
    """What a data key is used for. New secrets are sealed with the one primary key."""

    PRIMARY = "primary"
    DECRYPT_ONLY = "decrypt_only"
    RETIRED = "retired"


class Slot(Struct, frozen=True, kw_only=True):
    """One way to open the keyset. `kdf` is `hkdf-sha256` or `argon2id`; `salt` and `wrapped` are base64."""

    slot_id: str
    kdf: str
    params: Mapping[str, int] = {}
    salt: str
    wrapped: str


class Keyset(Struct, frozen=True, kw_only=True):
    """The one keyset of an installation. `generation` grows with every change of it; `keys` maps kid to state."""

    install_id: str
    generation: int
    keys: Mapping[int, KeyState]
    slots: tuple[Slot, ...]
    created: datetime
