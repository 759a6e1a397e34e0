"""Opening the keyset with the root key."""

from datetime import datetime
from typing import Protocol

from keycairn.domain.keyset import Keyset
from keycairn.domain.rootkey import RootKey
from keycairn.ports.cipher import Cipher


class OpenKeyset(Protocol):
    """An opened keyset. Its repr shows no key."""

    @property
    def install_id(self) -> str:
        """The installation this keyset belongs to."""
        ...

    @property
    def cipher(self) -> Cipher:
        """Seals and opens records."""
        ...

    def token_mac(self, text: bytes) -> str:
        """HMAC-SHA256 of a token's text under a key of its own purpose, in hex."""
        ...


class KeysetOpener(Protocol):
    """Makes keysets and opens them.

    Key derivation from a passphrase takes about 0.2 s and 64 MiB: call it off the event loop.
    """

    def create(self, root_key: RootKey, now: datetime) -> Keyset:
        """A fresh keyset of generation 1: a new installation id, one primary data key, one slot."""
        ...

    def open(self, keyset: Keyset, root_key: RootKey) -> OpenKeyset:
        """The opened keyset. Raises WrongRootKeyError, naming the slots, when the key opens none of them."""
        ...
