"""A secret as it is stored: text that only the right keyset, in the right place, can open."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import NewType

from msgspec import Struct

from keycairn.domain.errors import UndecryptableError

SealedSecret = NewType("SealedSecret", str)
"""`kc1:` and canonical unpadded base64url of suite, kid, salt, commitment and ciphertext."""

PREFIX = "kc1:"
SUITE = 1
HEADER_BYTES = 69
"""suite (1), kid (4, big-endian), salt (32), key commitment (32)."""
_SMALLEST = HEADER_BYTES + 64 + 16


class SealedParts(Struct, frozen=True):
    """The bytes of a sealed secret, by meaning. `header` is everything before the ciphertext."""

    kid: int
    header: bytes
    salt: bytes
    commitment: bytes
    ciphertext: bytes


class SealContext(Struct, frozen=True, kw_only=True):
    """Where a sealed secret belongs. It opens in this place only.

    `destinations` are the origins the secret may be sent to, sorted; see `keycairn.domain.credential.destinations`.
    """

    workspace: str
    table: str
    record: str
    field: str
    destinations: tuple[str, ...]


def split(sealed: SealedSecret) -> SealedParts:
    """The parts of `sealed`; raises UndecryptableError when it is not in the one canonical form."""
    if not sealed.startswith(PREFIX):
        raise UndecryptableError("it is not a sealed secret")
    body = sealed[len(PREFIX) :]
    try:
        raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (Base64Error, ValueError):
        raise UndecryptableError("it is damaged") from None
    if join(raw) != sealed or len(raw) < _SMALLEST or raw[0] != SUITE:
        raise UndecryptableError("it is damaged")
    return SealedParts(
        kid=int.from_bytes(raw[1:5], "big"),
        header=raw[:HEADER_BYTES],
        salt=raw[5:37],
        commitment=raw[37:HEADER_BYTES],
        ciphertext=raw[HEADER_BYTES:],
    )


def join(raw: bytes) -> SealedSecret:
    """The text form of the bytes of a sealed secret."""
    return SealedSecret(PREFIX + urlsafe_b64encode(raw).rstrip(b"=").decode())
