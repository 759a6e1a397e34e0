"""Asking for the usage of a stream that the client did not ask for, or turned off, and taking it out of the answer.

OpenAI's API tells the tokens of a stream only where `stream_options` asks for them: in an event of its own, the last
one; all others say that their `usage` is null. Source: platform.openai.com/docs/api-reference/chat/create.
"""

import json
import re
from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Struct

ASKED = b',"stream_options":{"include_usage":true}'
"""What is put behind a member of a body."""
APIS_THAT_ASK = frozenset({"chat", "completions"})

LONGEST_OPTIONS = 4096
"""Bytes of a member `stream_options` that is looked at, its name included."""
_MEMBER = re.compile(r'"stream_options"[ \t\r\n]*+:[ \t\r\n]*+')
_NULL = re.compile(rb',[ \t]*+"usage"[ \t]*+:[ \t]*+null(?=[ \t]*+[,}])')
_NO_CHOICES = re.compile(rb'"choices"[ \t]*+:[ \t]*+\[[ \t]*+\]')


class _Event(Struct):
    choices: Collection[Any]
    usage: dict[str, Any] | None = None


_json = json.JSONDecoder()
_decode = msgspec.json.Decoder(_Event).decode


class Unasked(Struct, frozen=True):
    """The value of a member `stream_options` that asks for no usage: its `place` in the body, and one that does."""

    place: tuple[int, int]
    asking: bytes


def unasked(text: bytes, at: int) -> Unasked | None:
    """What `text` says, which begins at byte `at` of a body with a member `stream_options`.

    None where it asks for the usage, or is no object that could: the provider is to judge that.
    """
    shown = text[:LONGEST_OPTIONS].decode("utf-8", "replace")
    member = _MEMBER.match(shown)
    if member is None:
        return None
    try:
        value, end = _json.raw_decode(shown, member.end())
    except (ValueError, RecursionError):
        return None
    if value is not None and (not isinstance(value, dict) or value.get("include_usage") is True):
        return None
    begin = at + len(shown[: member.end()].encode())
    asking = msgspec.json.encode({**(value or {}), "include_usage": True})
    return Unasked((begin, begin + len(shown[member.end() : end].encode())), asking)


class UsageEdit:
    """A `keycairn.app.gateway.answer_edits.Edit` that takes out the events which only tell the usage, and its nulls."""

    marks: tuple[bytes, ...] = (b'"usage"',)

    def __call__(self, text: bytes) -> bytes:
        """Nothing for such an event; another one without the member that is there because it was asked for."""
        return b"" if _NO_CHOICES.search(text) and _only_tells_usage(text) else _NULL.sub(b"", text)


def _only_tells_usage(event: bytes) -> bool:
    lines = [line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:")]
    try:
        found = _decode(b"\n".join(lines))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return not found.choices and found.usage is not None
