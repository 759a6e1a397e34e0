"""Asking for the usage of a stream that the client did not ask for, and taking it out of the answer again.

OpenAI's API tells the tokens of a stream only where `stream_options` asks for them: in an event of its own, the last
one. Source: platform.openai.com/docs/api-reference/chat/create.
"""

import re
from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Struct

ASKED = b',"stream_options":{"include_usage":true}'
"""What is put behind a member of a body."""
APIS_THAT_ASK = frozenset({"chat", "completions"})
LONGEST_EVENT = 2**20
"""Bytes of an event that is held until it is whole; with a longer one, all goes on as it comes."""

_NO_CHOICES = re.compile(rb'"choices"[ \t]*+:[ \t]*+\[[ \t]*+\]')
_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)", re.DOTALL)
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class _Event(Struct):
    choices: Collection[Any]
    usage: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Event).decode


class UsageEventFilter:
    """Lets a stream of events through, event by event, but for those that only tell the usage."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: bytes | None = b""

    def see(self, chunk: bytes) -> bytes:
        """What of the stream can go on now. No client acts on an event before its end, so nobody waits for it."""
        if self._held is None:
            return chunk
        data = self._held + chunk
        end = max(data.rfind(mark) + len(mark) if mark in data else 0 for mark in _ENDS)
        self._held = data[end:]
        if len(self._held) > LONGEST_EVENT:
            self._held = None
            return data
        ready = data[:end]
        if b'"usage"' not in ready or not _NO_CHOICES.search(ready):
            return ready
        return b"".join(event for event in _EVENT.findall(ready) if not _only_tells_usage(event))

    def rest(self) -> bytes:
        """What was held when the stream ended."""
        held, self._held = self._held or b"", b""
        return b"" if _only_tells_usage(held) else held


def _only_tells_usage(event: bytes) -> bool:
    lines = [line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:")]
    try:
        found = _decode(b"\n".join(lines))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return not found.choices and found.usage is not None
