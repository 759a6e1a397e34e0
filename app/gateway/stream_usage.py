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

_NO_CHOICES = re.compile(rb'"choices"[ \t]*+:[ \t]*+\[[ \t]*+\]')


class _Event(Struct):
    choices: Collection[Any]
    usage: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Event).decode


class UsageEdit:
    """A `keycairn.app.gateway.answer_edits.Edit` that takes out the events which only tell the usage."""

    marks = (b'"usage"',)

    def __call__(self, text: bytes) -> bytes:
        """Nothing for such an event; another one as it is."""
        return b"" if _NO_CHOICES.search(text) and _only_tells_usage(text) else text


def _only_tells_usage(event: bytes) -> bool:
    lines = [line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:")]
    try:
        found = _decode(b"\n".join(lines))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return not found.choices and found.usage is not None
