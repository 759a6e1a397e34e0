"""The bytes of a redo log's file: headers, and the entries that were written under one of them.

The digest of an entry covers the salt of its header. So what was written under an older header counts no more.
"""

import secrets
from hashlib import blake2b

import msgspec
from msgspec import Struct

from keycairn.domain.audit import Head

HEADER_BYTES = 1024
START = 2 * HEADER_BYTES
"""Where the entries begin."""
MARK = b"\xabkcr"
"""What each entry begins with."""
_DIGEST_BYTES = 16
FRAME_BYTES = len(MARK) + 4 + 8 + _DIGEST_BYTES
"""Bytes in front of an entry's payload: the mark, the payload's size, the number, and the digest of both."""
_PERSON = b"keycairn redo"


class Header(Struct, frozen=True, kw_only=True):
    """`safe` is the number of the last changeset the database is known to hold on the disk; `head` the chain's there.

    `generation` grows with each header; `salt` (hex) is new in each. `proves` is False where what had been acknowledged
    before is not known, because the log was lost or damaged. `whole` is how many bytes the database's files had when
    they were last written anew, 0 where that is not known.
    """

    store: str
    generation: int
    safe: int
    salt: str
    head: Head | None = None
    proves: bool = True
    whole: int = 0


class Entry(Struct, frozen=True):
    """One changeset. `body` is opaque here; `head` is the audit chain's after it, None where it moved nothing."""

    number: int
    head: Head | None
    body: bytes

    @property
    def payload(self) -> bytes:
        """What stands behind the frame."""
        return msgspec.json.encode(self.head) + b"\n" + self.body


def fresh_salt() -> str:
    """A salt for a new header."""
    return secrets.token_hex(16)


def header_bytes(header: Header) -> bytes:
    """A header as it stands in the file."""
    text = msgspec.json.encode(header)
    return (_header_digest(text) + text + b"\n").ljust(HEADER_BYTES, b"\0")


def header_in(raw: bytes) -> Header | None:
    """The header in its bytes; None where they are not whole."""
    text = raw[_DIGEST_BYTES:].partition(b"\n")[0]
    return msgspec.json.decode(text, type=Header) if _header_digest(text) == raw[:_DIGEST_BYTES] else None


def framed(number: int, payload: bytes, salt: str) -> bytes:
    """An entry as it stands in the file, under the header of that salt."""
    size = len(payload).to_bytes(4, "big")
    return MARK + size + number.to_bytes(8, "big") + _digest(number, payload, salt) + payload


def number_and_size(frame: bytes) -> tuple[int, int] | None:
    """The number of an entry and the bytes of its payload, by its frame; None for what is none."""
    if len(frame) < FRAME_BYTES or not frame.startswith(MARK):
        return None
    return int.from_bytes(frame[8:16], "big"), int.from_bytes(frame[4:8], "big")


def entry_in(frame: bytes, payload: bytes, salt: str) -> Entry | None:
    """The entry of a frame and a payload; None where they are not whole, or were written under another header."""
    number, size = number_and_size(frame) or (0, -1)
    if len(payload) != size or _digest(number, payload, salt) != frame[16:]:
        return None
    line, _, body = payload.partition(b"\n")
    return Entry(number, msgspec.json.decode(line, type=Head | None), body)


def _digest(number: int, payload: bytes, salt: str) -> bytes:
    made = blake2b(digest_size=_DIGEST_BYTES, salt=bytes.fromhex(salt), person=_PERSON)
    made.update(number.to_bytes(8, "big"))
    made.update(payload)
    return made.digest()


def _header_digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=_DIGEST_BYTES, person=_PERSON).digest()
