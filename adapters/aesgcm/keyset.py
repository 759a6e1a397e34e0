"""The keyset: the root key opens a slot, the slot gives the keyset key, the keyset key gives the data keys.

See docs/adr/0003-keyset.md.
"""

import hmac
import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b

from msgspec.structs import replace

from keycairn.adapters.aesgcm import box
from keycairn.adapters.aesgcm.cipher import AesGcmCipher
from keycairn.adapters.aesgcm.kdf import ARGON2ID, KDF_OF, Argon2Cost, fresh_salt, slot_key, slot_place
from keycairn.adapters.aesgcm.key import KEY_BYTES, Key
from keycairn.adapters.aesgcm.soundness import MOST_KEYS, MOST_SLOTS, flaw_of, slot_number
from keycairn.domain.errors import DamagedKeysetError, InvalidInputError, WrongRootKeyError
from keycairn.domain.keyset import Keyset, KeySlot, KeyState
from keycairn.domain.proof import MAC_BYTES
from keycairn.domain.rootkey import RootKey

_ENTRY_BYTES = 4 + KEY_BYTES
_SLOT_LABEL = b"slot"
_KEYS_LABEL = b"keyset"
_CURSOR_LABEL = b"cursor"


class AesGcmKeysets:
    """`keycairn.ports.keyset.KeysetOpener`. `cost` is what new passphrase slots ask for."""

    def __init__(self, cost: Argon2Cost | None = None) -> None:
        self._cost = cost or Argon2Cost()

    def create(self, root_key: RootKey, now: datetime, *, proves: bool = True) -> Keyset:
        """See the port."""
        draft = Keyset(
            install_id=os.urandom(16).hex(),
            generation=1,
            keys={1: KeyState.PRIMARY},
            slots=(),
            created=now,
            proves=proves,
        )
        keyset_key = Key.fresh()
        slot = _new_slot(draft, root_key, keyset_key, self._cost)
        return _locked(replace(draft, slots=(slot,)), keyset_key, _Contents(Key.fresh(), {1: Key.fresh()}))

    def open(self, keyset: Keyset, root_key: RootKey) -> "AesGcmKeyset":
        """See the port."""
        if flaw := flaw_of(keyset):
            raise DamagedKeysetError(flaw)
        for slot in sorted(keyset.slots, key=slot_number, reverse=True):
            opening = _opening(keyset.install_id, slot, root_key)
            if opening is not None:
                return AesGcmKeyset(keyset, opening, self._cost)
        raise WrongRootKeyError([_described(slot) for slot in keyset.slots])


class _Contents:
    """What the keyset key protects: the key of MACs, and the data keys by kid."""

    __slots__ = ("keys", "macs")

    def __init__(self, macs: Key, keys: Mapping[int, Key]) -> None:
        self.macs = macs
        self.keys = dict(keys)

    def packed(self) -> bytes:
        entries = (kid.to_bytes(4, "big") + key.exported() for kid, key in sorted(self.keys.items()))
        return self.macs.exported() + b"".join(entries)

    @classmethod
    def unpacked(cls, raw: bytes) -> "_Contents":
        entries = (raw[start : start + _ENTRY_BYTES] for start in range(KEY_BYTES, len(raw), _ENTRY_BYTES))
        return cls(Key(raw[:KEY_BYTES]), {int.from_bytes(entry[:4], "big"): Key(entry[4:]) for entry in entries})


class _Opening:
    """How a keyset was opened: the slot, the slot's key and the keyset key."""

    __slots__ = ("keyset_key", "slot_id", "slot_key")

    def __init__(self, slot_id: str, slot_key: Key, keyset_key: Key) -> None:
        self.slot_id: str = slot_id
        self.slot_key: Key = slot_key
        self.keyset_key: Key = keyset_key


def _opening(install_id: str, slot: KeySlot, root_key: RootKey) -> _Opening | None:
    key = slot_key(root_key, slot.kdf, slot.params, slot.salt)
    return None if key is None else _opened_slot(install_id, slot, key)


def _opened_slot(install_id: str, slot: KeySlot, key: Key) -> _Opening | None:
    raw = _unwrap(key, _SLOT_LABEL, slot.wrapped, slot_place(install_id, slot))
    return None if raw is None else _Opening(slot.slot_id, key, Key(raw))


class AesGcmKeyset:
    """`keycairn.ports.keyset.OpenKeyset`."""

    def __init__(self, record: Keyset, opening: _Opening, cost: Argon2Cost) -> None:
        """Raise DamagedKeysetError when the keyset key does not open the data keys as the record describes them."""
        self._record = record
        raw = _unwrap(opening.keyset_key, _KEYS_LABEL, record.wrapped_keys, _keys_place(record))
        if raw is None:
            raise DamagedKeysetError
        self._opening = opening
        self._cost = cost
        self._contents = _Contents.unpacked(raw)
        self._cipher = AesGcmCipher(record.install_id, self._contents.keys, record.keys)
        self._state_key = self._contents.macs.expand(b"keycairn/1 sum of records", KEY_BYTES)
        self._record_keys = {
            kid: self._contents.keys[kid].expand(b"keycairn/1 record", KEY_BYTES)
            for kid, state in record.keys.items()
            if state is not KeyState.RETIRED
        }

    def __repr__(self) -> str:
        return f"<AesGcmKeyset of generation {self._record.generation}>"

    @property
    def install_id(self) -> str:
        """See the port."""
        return self._record.install_id

    @property
    def record(self) -> Keyset:
        """See the port."""
        return self._record

    @property
    def slot(self) -> str:
        """See the port."""
        return self._opening.slot_id

    @property
    def cipher(self) -> AesGcmCipher:
        """See the port."""
        return self._cipher

    def token_mac(self, text: bytes) -> str:
        """See the port."""
        return self._contents.macs.mac(b"keycairn/1 token", text)

    def audit_mac(self, text: bytes) -> str:
        """See the port."""
        return self._contents.macs.mac(b"keycairn/1 audit chain", text)

    def session_mac(self, text: bytes) -> str:
        """See the port."""
        return self._contents.macs.mac(b"keycairn/1 session", text)

    def fingerprint_mac(self, text: bytes) -> str:
        """See the port."""
        return self._contents.macs.mac(b"keycairn/1 fingerprint", text)

    def record_mac(self, text: bytes, kid: int) -> bytes | None:
        """See the port."""
        key = self._record_keys.get(kid)
        return None if key is None else blake2b(text, digest_size=MAC_BYTES, key=key).digest()

    def state_mac(self, text: bytes) -> bytes:
        """See the port."""
        return hmac.digest(self._state_key, text, "sha256")

    def seal_cursor(self, text: bytes, place: bytes) -> bytes:
        """See the port."""
        return box.seal(self._contents.macs, _CURSOR_LABEL, b"", text, [place])

    def open_cursor(self, sealed: bytes, place: bytes) -> bytes | None:
        """See the port."""
        return box.unseal(self._contents.macs, _CURSOR_LABEL, b"", sealed, [place])

    def with_new_key(self) -> "AesGcmKeyset":
        """See the port."""
        if len(self._record.keys) >= MOST_KEYS:
            raise InvalidInputError(
                f"A keyset has at most {MOST_KEYS} data keys. Forget retired ones: keycairn keys forget KID"
            )
        kid = max(self._record.keys) + 1
        contents = _Contents(self._contents.macs, {**self._contents.keys, kid: Key.fresh()})
        return self._next(keys={**self._record.keys, kid: KeyState.DECRYPT_ONLY}, contents=contents)

    def with_key_state(self, kid: int, state: KeyState) -> "AesGcmKeyset":
        """See the port."""
        states = dict(self._record.keys)
        if kid not in states:
            raise InvalidInputError(f"The keyset has no data key {kid}.")
        if state is KeyState.PRIMARY:
            former = next(other for other, its in states.items() if its is KeyState.PRIMARY)
            states[former] = KeyState.DECRYPT_ONLY
        states[kid] = state
        if KeyState.PRIMARY not in states.values():
            raise InvalidInputError("A keyset needs a primary data key. Make another one primary first.")
        return self._next(keys=states)

    def without_key(self, kid: int) -> "AesGcmKeyset":
        """See the port."""
        if self._record.keys.get(kid) is not KeyState.RETIRED:
            raise InvalidInputError(f"The keyset has no retired data key {kid}.")
        if kid == max(self._record.keys):
            raise InvalidInputError(f"Data key {kid} is the youngest. Rotate the data keys first.")
        keys = {other: state for other, state in self._record.keys.items() if other != kid}
        rest = {other: key for other, key in self._contents.keys.items() if other != kid}
        return self._next(keys=keys, contents=_Contents(self._contents.macs, rest))

    def following(self, later: Keyset) -> "AesGcmKeyset":
        """See the port."""
        if flaw := flaw_of(later):
            raise DamagedKeysetError(flaw)
        for slot in later.slots:
            if slot.slot_id == self._opening.slot_id and later.install_id == self.install_id:
                opening = _opened_slot(later.install_id, slot, self._opening.slot_key)
                if opening is not None:
                    return AesGcmKeyset(later, opening, self._cost)
        raise WrongRootKeyError([_described(slot) for slot in later.slots])

    def with_proofs(self) -> "AesGcmKeyset":
        """See the port."""
        return self._next(proves=True)

    def with_slot(self, root_key: RootKey) -> "AesGcmKeyset":
        """See the port."""
        if len(self._record.slots) >= MOST_SLOTS:
            raise InvalidInputError(f"A keyset has at most {MOST_SLOTS} slots. Drop one first.")
        slot = _new_slot(self._record, root_key, self._opening.keyset_key, self._cost)
        return self._next(slots=(*self._record.slots, slot))

    def without_slot(self, slot_id: str) -> "AesGcmKeyset":
        """See the port."""
        if slot_id not in {slot.slot_id for slot in self._record.slots}:
            raise InvalidInputError("The keyset has no such slot.")
        if slot_id == self._opening.slot_id:
            raise InvalidInputError("The keyset was opened with this slot. Open it with another root key to drop it.")
        slots = [slot for slot in self._record.slots if slot.slot_id != slot_id]
        if len(slots) > 1:
            return self._next(slots=tuple(slots))
        renewed = _Opening(self._opening.slot_id, self._opening.slot_key, Key.fresh())
        own = _wrapped_slot(self.install_id, slots[0], renewed.slot_key, renewed.keyset_key)
        return self._next(slots=(own,), opening=renewed)

    def _next(
        self,
        *,
        keys: Mapping[int, KeyState] | None = None,
        slots: tuple[KeySlot, ...] | None = None,
        contents: _Contents | None = None,
        opening: _Opening | None = None,
        proves: bool = False,
    ) -> "AesGcmKeyset":
        draft = replace(
            self._record,
            generation=self._record.generation + 1,
            keys=self._record.keys if keys is None else keys,
            slots=self._record.slots if slots is None else slots,
            proves=self._record.proves or proves,
        )
        opening = opening or self._opening
        return AesGcmKeyset(_locked(draft, opening.keyset_key, contents or self._contents), opening, self._cost)


def _locked(draft: Keyset, keyset_key: Key, contents: _Contents) -> Keyset:
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


def _new_slot(record: Keyset, root_key: RootKey, keyset_key: Key, cost: Argon2Cost) -> KeySlot:
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
    return _wrapped_slot(record.install_id, draft, key, keyset_key)


def _wrapped_slot(install_id: str, slot: KeySlot, key: Key, keyset_key: Key) -> KeySlot:
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


def _described(slot: KeySlot) -> str:
    return f"{slot.slot_id}, {'a passphrase' if slot.kdf == ARGON2ID else 'base64'}"
