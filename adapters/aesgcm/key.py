"""A symmetric key in memory, and what is derived from it: further keys, and MACs. It is in no repr."""

import hmac
import os
from hashlib import sha256
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES = 32


class Key:
    """32 bytes that show nowhere: not in a repr, and in no pickle or copy. It can only be derived from."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @classmethod
    def fresh(cls) -> "Key":
        """A random key."""
        return cls(os.urandom(KEY_BYTES))

    def expand(self, info: bytes, length: int) -> bytes:
        """`length` bytes of HKDF-Expand-SHA256 (RFC 5869) for the purpose `info` names."""
        return HKDFExpand(SHA256(), length, info).derive(self._raw)

    def mac(self, purpose: bytes, text: bytes) -> str:
        """HMAC-SHA256 of `text` under the key derived for `purpose`, in hex."""
        return hmac.new(self.expand(purpose, KEY_BYTES), text, sha256).hexdigest()

    def exported(self) -> bytes:
        """The bytes, to be wrapped at once under another key."""
        return self._raw

    def __repr__(self) -> str:
        return "<Key>"

    def __reduce__(self) -> NoReturn:
        message = "a Key cannot be pickled"
        raise TypeError(message)
