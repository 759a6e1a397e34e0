"""A secret as it is stored: text that only the right keyset, in the right place, can open."""

from base64 import urlsafe_b64encode
from binascii import a2b_base64
from typing import NewType

from msgspec import Struct

from keycairn.domain.errors import UndecryptableError

SealedSecret = NewType("SealedSecret", str)
"""`kc1:` and canonical unpadded base64url of suite, kid, salt, commitment and ciphertext."""

PREFIX = "kc1:"
SUITE = 2
"""What secrets are sealed with. `FORMER_SUITE` still opens; what it is bound to stands at `SealContext`."""
FORMER_SUITE = 1
HEADER_BYTES = 69
"""suite (1), kid (4, big-endian), salt (32), key commitment (32)."""
LONGEST_TEXT = 65_535
"""The most a secret may have, in bytes of UTF-8."""
PAD_BYTES = 64
"""Lengths show in steps of this many bytes only."""
_ALPHABET = bytes.maketrans(b"-_", b"+/")
_LENGTH_BYTES = 2
_TAG_BYTES = 16
_LARGEST = HEADER_BYTES + -(-(_LENGTH_BYTES + LONGEST_TEXT) // PAD_BYTES) * PAD_BYTES + _TAG_BYTES


UNOPENED = SealedSecret(PREFIX)
"""Stands for a secret that was already unreadable when its record was imported. Never opens; sending it again heals."""
UNOPENED_REASON = "it could not be read when this record was imported"


class SealedParts(Struct, frozen=True):
    """The bytes of a sealed secret, by meaning. `header` is everything before the ciphertext."""

    suite: int
    kid: int
    header: bytes
    salt: bytes
    commitment: bytes
    ciphertext: bytes


class SealContext(Struct, frozen=True, kw_only=True):
    """Where a sealed secret belongs. It opens in this place only.

    `destinations` are the settings that say where it may be sent, each with its origin; see
    `keycairn.domain.credential.destinations`. `origins` are what suite 1 was bound to instead: the origins of all
    settings, whichever is whose.
    """

    workspace: str
    table: str
    record: str
    provider: str
    field: str
    destinations: tuple[tuple[str, str], ...]
    origins: tuple[str, ...] = ()

    def bound(self, suite: int) -> tuple[str, ...]:
        """The texts a secret sealed by `suite` is bound to, in their order."""
        place = (self.workspace, self.table, self.record)
        if suite == FORMER_SUITE:
            return (*place, self.field, *sorted(self.origins))
        return (*place, self.provider, self.field, *(part for pair in sorted(self.destinations) for part in pair))


def split(sealed: SealedSecret) -> SealedParts:
    """The parts of `sealed`; raises UndecryptableError when it is not in the one canonical form."""
    if sealed == UNOPENED:
        raise UndecryptableError(UNOPENED_REASON)
    if not sealed.startswith(PREFIX):
        raise UndecryptableError("it is not a sealed secret")
    raw = _decoded(sealed[len(PREFIX) :])
    if not raw:
        raise UndecryptableError("it is damaged")
    if raw[0] not in {SUITE, FORMER_SUITE}:
        raise UndecryptableError("it is damaged, or was sealed by a later version of Keycairn")
    frame = len(raw) - HEADER_BYTES - _TAG_BYTES
    if frame <= 0 or frame % PAD_BYTES:
        raise UndecryptableError("it is damaged")
    return SealedParts(
        suite=raw[0],
        kid=int.from_bytes(raw[1:5], "big"),
        header=raw[:HEADER_BYTES],
        salt=raw[5:37],
        commitment=raw[37:HEADER_BYTES],
        ciphertext=raw[HEADER_BYTES:],
    )


def is_former(sealed: SealedSecret) -> bool:
    """Whether `sealed` is of suite 1, and so is to be sealed again. False for what is no sealed secret."""
    try:
        return split(sealed).suite == FORMER_SUITE
    except UndecryptableError:
        return False


def kid_of(sealed: SealedSecret) -> int | None:
    """The data key that `sealed` says it needs; None when it is not in the canonical form."""
    try:
        return split(sealed).kid
    except UndecryptableError:
        return None


def join(raw: bytes) -> SealedSecret:
    """The text form of the bytes of a sealed secret."""
    return SealedSecret(PREFIX + urlsafe_b64encode(raw).rstrip(b"=").decode())


def pad(text: bytes) -> bytes:
    """The frame that is encrypted: two bytes of length, `text` (65,535 bytes at most), zeros up to a multiple of 64."""
    frame = len(text).to_bytes(_LENGTH_BYTES, "big") + text
    return frame + bytes(-len(frame) % PAD_BYTES)


def unpad(frame: bytes) -> bytes:
    """The text in a frame that `pad` made."""
    return frame[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(frame[:_LENGTH_BYTES], "big")]


def _decoded(body: str) -> bytes | None:
    """The bytes of base64url in its canonical form, None for anything else."""
    if len(body) > _LARGEST * 4 // 3 + 1 or "+" in body or "/" in body or "=" in body:
        return None
    try:
        text = body.encode("ascii")
        raw = a2b_base64(text.translate(_ALPHABET) + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        return None
    over = len(raw) % 3  # the last character of these says more bits than there are: they must be 0
    return raw if not over or text.endswith(urlsafe_b64encode(raw[-over:]).rstrip(b"=")) else None
