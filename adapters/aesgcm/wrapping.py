"""Wrapping keys: the keyset key for a slot that a root key opens, and the data keys under the keyset key."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from keycairn.adapters.aesgcm import box
from keycairn.adapters.aesgcm.kdf import ARGON2ID, KDF_OF, Argon2Cost, fresh_salt, slot_key, slot_place
from keycairn.adapters.aesgcm.key import KEY_BYTES, Key
from keycairn.adapters.aesgcm.soundness import slot_number
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.keyset import Keyset, KeySlot
from keycairn.domain.rootkey import RootKey

_ENTRY_BYTES = 4 + KEY_BYTES
_SLOT_LABEL = b"slot"
_KEYS_LABEL = b"keyset"


class KeysetContents:
    """What the keyset key protects: the key of MACs, and the data keys by kid."""

    __slots__ = ("keys", "macs")

    def __init__(self, macs: Key, keys: Mapping[int, Key]) -> None:
        self.macs: Key = macs
        self.keys: dict[int, Key] = dict(keys)

    def packed(self) -> bytes:
        """The keys in one text of bytes, which is to be wrapped."""
        entries = (kid.to_bytes(4, "big") + key.exported() for kid, key in sorted(self.keys.items()))
        return self.macs.exported() + b"".join(entries)

    @classmethod
    def unpacked(cls, raw: bytes) -> "KeysetContents":
        """What `packed` gave."""
        entries = (raw[start : start + _ENTRY_BYTES] for start in range(KEY_BYTES, len(raw), _ENTRY_BYTES))
        return cls(Key(raw[:KEY_BYTES]), {int.from_bytes(entry[:4], "big"): Key(entry[4:]) for entry in entries})


class Opening:
    """How a keyset was opened: the slot, the slot's key and the keyset key."""

    __slots__ = ("keyset_key", "slot_id", "slot_key")

    def __init__(self, slot_id: str, slot_key: Key, keyset_key: Key) -> None:
        self.slot_id: str = slot_id
        self.slot_key: Key = slot_key
        self.keyset_key: Key = keyset_key


def opening_of(install_id: str, slot: KeySlot, root_key: RootKey) -> Opening | None:
    """What a slot gives to a root key; None where it is not the slot's."""
    key = slot_key(root_key, slot.kdf, slot.params, slot.salt)
    return None if key is None else opened_slot(install_id, slot, key)


def opened_slot(install_id: str, slot: KeySlot, key: Key) -> Opening | None:
    """What a slot gives to its own key; None where it is not that."""
    raw = _unwrap(key, _SLOT_LABEL, slot.wrapped, slot_place(install_id, slot))
    return None if raw is None else Opening(slot.slot_id, key, Key(raw))


def contents_of(record: Keyset, keyset_key: Key) -> KeysetContents | None:
    """What the keyset key protects; None where it does not open it, as the record describes it."""
    raw = _unwrap(keyset_key, _KEYS_LABEL, record.wrapped_keys, _keys_place(record))
    return None if raw is None else KeysetContents.unpacked(raw)


def locked(draft: Keyset, keyset_key: Key, contents: KeysetContents) -> Keyset:
    """`draft` with the data keys wrapped; everything else must be final, because the wrapping is bound to it."""
    return replace(draft, wrapped_keys=_wrap(keyset_key, _KEYS_LABEL, contents.packed(), _keys_place(draft)))


def _keys_place(record: Keyset) -> list[bytes]:
    states = ",".join(f"{kid}={state}" for kid, state in sorted(record.keys.items()))
    place = [record.install_id.encode("utf-8", "surrogatepass"), str(record.generation).encode(), states.encode()]
    for slot in record.slots:
        place += [*slot_place(record.install_id, slot), slot.wrapped.encode("utf-8", "surrogatepass")]
    if record.proves:
        place.append(b"proves")
    return place


def new_slot(record: Keyset, root_key: RootKey, keyset_key: Key, cost: Argon2Cost) -> KeySlot:
    """A slot that `root_key` opens, numbered after those of `record`; `cost` is what a passphrase has to pay.

    Raises InvalidInputError where the cost is out of bounds.
    """
    kdf = KDF_OF[root_key.form]
    draft = KeySlot(
        slot_id=f"slot-{max(map(slot_number, record.slots), default=0) + 1}",
        kdf=kdf,
        params=cost.params if kdf == ARGON2ID else {},
        salt=fresh_salt(),
        wrapped="",
    )
    key = slot_key(root_key, draft.kdf, draft.params, draft.salt)
    if key is None:
        raise InvalidInputError("The cost set for passphrases is out of bounds.")
    return wrapped_slot(record.install_id, draft, key, keyset_key)


def wrapped_slot(install_id: str, slot: KeySlot, key: Key, keyset_key: Key) -> KeySlot:
    """The slot with the keyset key in it, for whoever has the slot's `key`."""
    wrapped = _wrap(key, _SLOT_LABEL, keyset_key.exported(), slot_place(install_id, slot))
    return replace(slot, wrapped=wrapped)


def _wrap(key: Key, label: bytes, plain: bytes, place: Sequence[bytes]) -> str:
    return b64encode(box.seal(key, label, b"", plain, place)).decode()


def _unwrap(key: Key, label: bytes, text: str, place: Sequence[bytes]) -> bytes | None:
    try:
        raw = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None
    canonical = b64encode(raw).decode() == text
    return box.unseal(key, label, b"", raw, place) if canonical else None
