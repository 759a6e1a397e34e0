"""The keyset record: the data keys under a keyset key, and that key under each root key that opens it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class KeyState(StrEnum):
    """What a data key is used for. New secrets are sealed with the one primary key.

    A retired key seals nothing, by the proof of the commit that retired it. It stays wrapped in the keyset until it is
    forgotten, and opens what nevertheless needs it only for sealing that anew.
    """

    PRIMARY = "primary"
    DECRYPT_ONLY = "decrypt_only"
    RETIRED = "retired"


class KeySlot(Struct, frozen=True, kw_only=True):
    """One way to open the keyset: the keyset key, wrapped with what `kdf` derives from a root key.

    `kdf` is `hkdf-sha256` (no params) or `argon2id` (`iterations`, `lanes`, `memory_kib`); `salt` and `wrapped` are
    base64.
    """

    slot_id: str
    kdf: str
    params: Mapping[str, int] = {}
    salt: str
    wrapped: str


class Keyset(Struct, frozen=True, kw_only=True):
    """The one keyset of an installation. It holds no key in the clear.

    `generation` grows with every change of it; `keys` maps kid to state; a kid is never used again. `wrapped_keys`
    (base64) holds the data keys under the keyset key, and fails to open when anything else here, `created` excepted,
    was changed. `proves` says that every record has a proof since this generation or an earlier one, and the audit log
    a sum of all; a keyset of a store of before lacks it until its first start.
    """

    install_id: str
    generation: int
    keys: Mapping[int, KeyState]
    slots: tuple[KeySlot, ...]
    wrapped_keys: str = ""
    created: datetime
    proves: bool = False

    @property
    def former(self) -> tuple[str, ...]:
        """The ids of the slots of former root keys: all but the youngest, which is the last."""
        return tuple(slot.slot_id for slot in self.slots[:-1])
