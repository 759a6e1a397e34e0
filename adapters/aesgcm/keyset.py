"""The keyset: the root key opens a slot, the slot gives the keyset key, the keyset key gives the data keys.

See docs/adr/0003-keyset.md.
"""

import hmac
import os
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b

from msgspec.structs import replace

from keycairn.adapters.aesgcm import box
from keycairn.adapters.aesgcm.cipher import AesGcmCipher
from keycairn.adapters.aesgcm.kdf import ARGON2ID, Argon2Cost
from keycairn.adapters.aesgcm.key import KEY_BYTES, Key
from keycairn.adapters.aesgcm.soundness import MOST_KEYS, MOST_SLOTS, flaw_of, slot_number
from keycairn.adapters.aesgcm.wrapping import (
    KeysetContents,
    Opening,
    contents_of,
    locked,
    new_slot,
    opened_slot,
    opening_of,
    wrapped_slot,
)
from keycairn.domain.errors import DamagedKeysetError, InvalidInputError, WrongRootKeyError
from keycairn.domain.keyset import Keyset, KeySlot, KeyState
from keycairn.domain.proof import MAC_BYTES
from keycairn.domain.rootkey import RootKey

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
        slot = new_slot(draft, root_key, keyset_key, self._cost)
        return locked(replace(draft, slots=(slot,)), keyset_key, KeysetContents(Key.fresh(), {1: Key.fresh()}))

    def open(self, keyset: Keyset, root_key: RootKey) -> "AesGcmKeyset":
        """See the port."""
        if flaw := flaw_of(keyset):
            raise DamagedKeysetError(flaw)
        for slot in sorted(keyset.slots, key=slot_number, reverse=True):
            opening = opening_of(keyset.install_id, slot, root_key)
            if opening is not None:
                return AesGcmKeyset(keyset, opening, self._cost)
        raise WrongRootKeyError([_described(slot) for slot in keyset.slots])


class AesGcmKeyset:
    """`keycairn.ports.keyset.OpenKeyset`."""

    def __init__(self, record: Keyset, opening: Opening, cost: Argon2Cost) -> None:
        """Raise DamagedKeysetError when the keyset key does not open the data keys as the record describes them."""
        self._record = record
        contents = contents_of(record, opening.keyset_key)
        if contents is None:
            raise DamagedKeysetError
        self._opening = opening
        self._cost = cost
        self._contents = contents
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
        contents = KeysetContents(self._contents.macs, {**self._contents.keys, kid: Key.fresh()})
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
        return self._next(keys=keys, contents=KeysetContents(self._contents.macs, rest))

    def following(self, later: Keyset) -> "AesGcmKeyset":
        """See the port."""
        if flaw := flaw_of(later):
            raise DamagedKeysetError(flaw)
        for slot in later.slots:
            if slot.slot_id == self._opening.slot_id and later.install_id == self.install_id:
                opening = opened_slot(later.install_id, slot, self._opening.slot_key)
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
        slot = new_slot(self._record, root_key, self._opening.keyset_key, self._cost)
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
        renewed = Opening(self._opening.slot_id, self._opening.slot_key, Key.fresh())
        own = wrapped_slot(self.install_id, slots[0], renewed.slot_key, renewed.keyset_key)
        return self._next(slots=(own,), opening=renewed)

    def _next(
        self,
        *,
        keys: Mapping[int, KeyState] | None = None,
        slots: tuple[KeySlot, ...] | None = None,
        contents: KeysetContents | None = None,
        opening: Opening | None = None,
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
        return AesGcmKeyset(locked(draft, opening.keyset_key, contents or self._contents), opening, self._cost)


def _described(slot: KeySlot) -> str:
    return f"{slot.slot_id}, {'a passphrase' if slot.kdf == ARGON2ID else 'base64'}"
