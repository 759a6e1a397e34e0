"""Amazon's event streams: frames with binary headers, whose payloads are JSON.

Source: smithy.io/2.0/aws/amazon-eventstream.html. A frame is its length, that of its headers, a check of both, the
headers, the payload and a check of all; each number has four bytes, big-endian.
"""

from base64 import b64decode
from collections.abc import Iterator

import msgspec
from msgspec import Struct

KIND = b"application/vnd.amazon.eventstream"
LARGEST_FRAME = 2**20
"""Bytes of a frame that is looked into; what a longer one reports is not seen."""
_PRELUDE, _CHECK = 12, 4


class _Wrapped(Struct):
    bytes: str = ""


_wrapped = msgspec.json.Decoder(_Wrapped).decode


class EventFrames:
    """Takes a stream in piece by piece, and gives the payload of each frame that has come."""

    __slots__ = ("_held", "_skip")

    def __init__(self) -> None:
        self._held = bytearray()
        self._skip = 0

    def see(self, chunk: bytes) -> Iterator[bytes]:
        """The payloads that are complete by now. What is no such stream gives none."""
        self._held += chunk
        while True:
            if self._skip:
                gone = min(self._skip, len(self._held))
                del self._held[:gone]
                self._skip -= gone
            if self._skip or len(self._held) < _PRELUDE:
                return
            length, headers = (int.from_bytes(self._held[at : at + 4]) for at in (0, 4))
            if length < _PRELUDE + headers + _CHECK or length > LARGEST_FRAME:
                self._skip = max(length, _PRELUDE)
                continue
            if len(self._held) < length:
                return
            yield bytes(self._held[_PRELUDE + headers : length - _CHECK])
            del self._held[:length]


def unwrapped(payload: bytes) -> bytes:
    """The event in a payload: of InvokeModel it is that of the model's maker, in base64 within another object."""
    try:
        inner = _wrapped(payload).bytes
        return b64decode(inner, validate=True) if inner else payload
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return payload
