"""Opening the keyset with the root key, and changing it."""

from datetime import datetime
from typing import Protocol

from keycairn.domain.keyset import Keyset, KeyState
from keycairn.domain.rootkey import RootKey
from keycairn.ports.cipher import Cipher


class OpenKeyset(Protocol):
    """An opened keyset. Its repr shows no key.

    It never changes: what would change it gives the next one, whose `record` is one generation on. Nothing holds until
    that record is committed (`PutKeyset` with `expected` one less); forget the result when the commit fails.
    """

    @property
    def install_id(self) -> str:
        """The installation this keyset belongs to."""
        ...

    @property
    def record(self) -> Keyset:
        """The keyset as it is stored."""
        ...

    @property
    def slot(self) -> str:
        """The id of the slot it was opened with."""
        ...

    @property
    def cipher(self) -> Cipher:
        """Seals and opens records."""
        ...

    def token_mac(self, text: bytes) -> str:
        """HMAC-SHA256 of a token's text under a key of its own purpose, in hex.

        Data keys and root keys may rotate, this key stays.
        """
        ...

    def audit_mac(self, text: bytes) -> str:
        """As `token_mac`, under the key of the audit chain."""
        ...

    def session_mac(self, text: bytes) -> str:
        """As `token_mac`, under the key of sessions."""
        ...

    def fingerprint_mac(self, text: bytes) -> str:
        """As `token_mac`, under the key of the fingerprints by which equal secrets are found."""
        ...

    def record_mac(self, text: bytes, kid: int) -> bytes | None:
        """The MAC of a record's text: 56 bytes of keyed BLAKE2b, under a key derived from the data key `kid`.

        None for a kid that is unknown or retired: what it proved, it proves no longer.
        """
        ...

    def state_mac(self, text: bytes) -> bytes:
        """HMAC-SHA256 under the key of the sum of all records, which stays as that of `token_mac` does."""
        ...

    def seal_cursor(self, text: bytes, place: bytes) -> bytes:
        """`text`, encrypted for `place` under the key of cursors, which stays as that of `token_mac` does.

        Sealing twice gives two different results.
        """
        ...

    def open_cursor(self, sealed: bytes, place: bytes) -> bytes | None:
        """What `seal_cursor` was given; None for another place, and for anything that was not sealed so."""
        ...

    def with_new_key(self) -> "OpenKeyset":
        """One data key more, of the next kid, which only decrypts: let every instance learn it first."""
        ...

    def with_key_state(self, kid: int, state: KeyState) -> "OpenKeyset":
        """The data key `kid` in `state`; making it primary leaves the former primary to decrypt only.

        A retired key keeps its place in the keyset and can be brought back. Raises InvalidInputError for an unknown
        kid, and where no primary key would be left.
        """
        ...

    def without_key(self, kid: int) -> "OpenKeyset":
        """The retired data key `kid` gone for good: nothing brings it back.

        Raises InvalidInputError for a kid that is unknown, not retired, or the largest, which the next key is counted
        from.
        """
        ...

    def following(self, later: Keyset) -> "OpenKeyset":
        """`later`, a later generation of this keyset, opened with what opened this one.

        Raises WrongRootKeyError where that opens it no longer: the slot was dropped, the record damaged or of another
        installation.
        """
        ...

    def with_proofs(self) -> "OpenKeyset":
        """The same keys, saying from now on that every record has a proof: nothing takes that back."""
        ...

    def with_slot(self, root_key: RootKey) -> "OpenKeyset":
        """One slot more, that `root_key` opens: the last of the record, and the youngest. As slow as KeysetOpener.

        Whoever calls it has seen the present root key proven. Raises InvalidInputError when there are eight.
        """
        ...

    def without_slot(self, slot_id: str) -> "OpenKeyset":
        """The slot dropped.

        Raises InvalidInputError for an unknown slot, and for the one this keyset was opened with: to drop that, open
        it with another root key, which proves that it works. Where no other slot is left, the keyset key is renewed,
        so that the dropped root key opens nothing of later generations, even with an old copy of the record.
        """
        ...


class KeysetOpener(Protocol):
    """Makes keysets and opens them.

    Key derivation from a passphrase takes about 0.2 s and 64 MiB: call it off the event loop.
    """

    def create(self, root_key: RootKey, now: datetime, *, proves: bool = True) -> Keyset:
        """A fresh keyset of generation 1: a new installation id, one primary data key, one slot.

        `proves` is False where there are records already, that have no proof by it yet.
        """
        ...

    def open(self, keyset: Keyset, root_key: RootKey) -> OpenKeyset:
        """The opened keyset, by the youngest slot the key opens.

        Raises WrongRootKeyError, naming the slots, when the key opens none of them. Raises DamagedKeysetError, which is
        one of those, when it opens a slot but the rest was changed or damaged; and before any derivation for a record
        that no keyset can be: too many slots, slots that ask for too much work, malformed or repeated ones.
        """
        ...
