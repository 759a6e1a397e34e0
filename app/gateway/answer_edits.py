"""Changing an answer that passes by: event by event where it is a stream of them, else as a whole."""

import re
from collections.abc import Callable, Sequence
from typing import Protocol

LONGEST_EVENT = 2**20
"""Bytes of an event that is held until it is whole; of a longer one, such as a picture, the beginning is edited."""

_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
_LONGEST_END = 4
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)", re.DOTALL)


class Edit(Protocol):
    """Gives what goes on in the place of an event, with the empty line behind it, or of a whole answer.

    It looks only at those in which one of its `marks` stands.
    """

    @property
    def marks(self) -> Sequence[bytes]:
        """One of them stands in whatever is to be edited."""
        ...

    def __call__(self, text: bytes) -> bytes:
        """What goes on in the place of `text`."""
        ...


class EventEdits:
    """Edits a stream of events. No client acts on an event before its end, so nobody waits for what is held."""

    __slots__ = ("_edits", "_held", "_long")

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = edits
        self._held = bytearray()
        self._long = False
        """Whether what is held is the end of what was passed on of an event that is too long to be held."""

    def see(self, chunk: bytes) -> bytes:
        """What of the stream can go on now."""
        if (
            not self._long
            and len(self._held) <= LONGEST_EVENT
            and not _END.search(self._held[1 - _LONGEST_END :] + chunk)
        ):
            self._held += chunk  # by the byte, some providers send: what is held is not gone through for each
            return b""
        data = bytes(self._held) + chunk
        passed = b""
        if self._long:
            found = _END.search(data)
            if found is None:
                self._held = bytearray(data[-_LONGEST_END:])
                return chunk
            passed, data = data[len(self._held) : found.end()], data[found.end() :]
            self._long = False
        end = max(data.rfind(mark) + len(mark) if mark in data else 0 for mark in _ENDS)
        ready, held = self._edited(data[:end]), data[end:]
        self._held = bytearray(held)
        if len(held) > LONGEST_EVENT:
            self._held, self._long = self._held[-_LONGEST_END:], True
            for edit in self._edits:
                held = edit(held)
            ready += held
        return passed + ready

    def rest(self) -> bytes:
        """What was held when the stream ended."""
        held, self._held = b"" if self._long else bytes(self._held), bytearray()
        for edit in self._edits:
            held = edit(held)
        return held

    def _edited(self, events: bytes) -> bytes:
        for edit in self._edits:
            if any(mark in events for mark in edit.marks):
                events = b"".join(map(edit, _EVENT.findall(events)))
        return events


class WholeEdits:
    """Edits an answer when it has ended. `hold` is told how many bytes more are held, and may refuse."""

    __slots__ = ("_edits", "_hold", "_pieces")

    def __init__(self, edits: Sequence[Edit], hold: Callable[[int], None]) -> None:
        self._edits = edits
        self._hold = hold
        self._pieces: list[bytes] = []

    def see(self, chunk: bytes) -> bytes:
        """Nothing yet. Raises OverloadedError."""
        self._hold(len(chunk))
        self._pieces.append(chunk)
        return b""

    def rest(self) -> bytes:
        """The answer."""
        body = b"".join(self._pieces)
        self._pieces = []
        for edit in self._edits:
            body = edit(body)
        return body
