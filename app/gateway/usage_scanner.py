"""Reading the provider's usage report out of an answer that passes by."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from keycairn.app.gateway.event_stream import KIND, EventFrames, unwrapped
from keycairn.domain.usage import NOTHING_KNOWN, TokenCount, estimated_input, estimated_output, tokens_in

LARGEST_WHOLE = 2**20
"""Bytes of an answer that is no stream up to which it is read as a whole."""
END = 65_536
"""Bytes kept of the end of a longer one, where its report stands."""
LONGEST_LINE = 2**20
"""Bytes of a line of a stream that is read as a whole; of a longer one, such as a picture's, its end is."""
FEW_EVENTS = 8
"""Events of a stream that may have no output. With more, a report of none is one from before it."""
LONGEST_REPORT = 4096
MOST_REPORTS = 8
"""Reports that are read at the end of a long answer: what only looks like one may stand there thousands of times."""

_REPORT = re.compile(rb'"usage(?:Metadata)?"[ \t\r\n]*+:[ \t\r\n]*+(?=\{)')
_MARKS = (b'"usage', b'eval_count"', b'"meta"', b"invocationMetrics")
"""One of them stands in whatever reports tokens."""
_MARK = re.compile(b"|".join(_MARKS))
_LINE = re.compile(rb"[^ \t\r\n][^\n]*+")
_SPACE = b" \t\r\n"


_T = TypeVar("_T")
_NULL = Raw(b"null")


class _Nested(Struct):
    usage: Raw = _NULL
    meta: Raw = _NULL


class _Answer(Struct):
    """The members of an answer, or of an event of a stream, that report tokens, or hold what does."""

    usage: Raw = _NULL
    usageMetadata: Raw = _NULL  # noqa: N815  # Google's spelling
    meta: Raw = _NULL
    prompt_eval_count: Any = None
    eval_count: Any = None
    message: Raw = _NULL
    response: Raw = _NULL
    delta: Raw = _NULL
    metrics: Raw = msgspec.field(default=_NULL, name="amazon-bedrock-invocationMetrics")


_answer = msgspec.json.Decoder(_Answer).decode
_nested = msgspec.json.Decoder(_Nested).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode


class Counted(Struct, frozen=True, kw_only=True):
    """The tokens a call is charged with; whether a part of them is `estimated`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    estimated: bool = False

    def plus(self, other: "Counted") -> "Counted":
        """Both together."""
        return Counted(
            input=self.input + other.input,
            output=self.output + other.output,
            cached=self.cached + other.cached,
            estimated=self.estimated or other.estimated,
        )


def unanswered(sent: int) -> Counted:
    """What a call is charged with whose client left before its answer began; `sent` are the bytes of its body."""
    return Counted(input=estimated_input(sent), estimated=sent > 0)


class UsageScanner:
    """Looks at an answer piece by piece: at the lines of a stream as they come, at anything else when it has ended."""

    __slots__ = (
        "_beginning",
        "_events",
        "_final",
        "_frames",
        "_kept",
        "_line",
        "_long",
        "_received",
        "_size",
        "_stream",
        "_tokens",
    )

    def __init__(self, content_type: bytes = b"") -> None:
        self._stream: bool | None = None
        self._frames: EventFrames | None = None
        if content_type.startswith(KIND):
            self._stream, self._frames = True, EventFrames()
        if content_type.startswith((b"text/event-stream", b"application/x-ndjson", b"application/stream+json")):
            self._stream = True
        self._tokens = NOTHING_KNOWN
        self._final = False
        self._received = self._events = self._size = 0
        self._line = bytearray()
        self._long = False
        self._kept: list[bytes] = []
        self._beginning = b""

    def see(self, chunk: bytes) -> None:
        """One more piece of the answer."""
        self._received += len(chunk)
        if self._stream is None and (beginning := (self._beginning + chunk).lstrip(_SPACE)):
            self._stream = beginning.startswith((b"data:", b"event:", b":", b"id:", b"retry:"))
        if self._frames is not None:
            for payload in self._frames.see(chunk):
                self._events += 1
                self._look_at(unwrapped(payload))
        elif self._stream:
            self._see_lines(chunk)
        else:
            self._see_whole(chunk)

    def counted(self, *, sent: int = 0, estimates: bool = False, answers: bool = True) -> Counted:
        """The tokens of the call, after the last piece. `sent` are the bytes of its body.

        What was not told is estimated where the call is of a kind that uses tokens (`estimates`), or its answer is a
        stream; the output only of a kind whose answers are made of them (`answers`).
        """
        if self._stream:
            if self._long:
                self._read_ends(bytes(self._line))
            else:
                self._look_at(bytes(self._line))
            self._line.clear()
        elif self._kept:
            self._read_whole()
        input, output, estimated = self._tokens.input, self._tokens.output, False
        if estimates or (self._stream and self._received):
            if input is None:
                input, estimated = estimated_input(sent), sent > 0
            if answers and not (self._final and output is not None and (output or self._events <= FEW_EVENTS)):
                guess = estimated_output(self._received, self._events)
                output, estimated = max(output or 0, guess), estimated or guess > 0
        return Counted(input=input or 0, output=output or 0, cached=self._tokens.cached or 0, estimated=estimated)

    def _see_lines(self, chunk: bytes) -> None:
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._hold(chunk)
            return
        lines = bytes(self._line) + chunk[:end]
        self._line.clear()
        if self._long:
            first, _, lines = lines.partition(b"\n")
            self._long = False
            self._read_ends(first[-END:])
        self._events += lines.count(b"data:") or lines.count(b"\n{") + lines.startswith(b"{")
        for line in _marked(lines):
            self._look_at(line)
        self._hold(chunk[end:])

    def _hold(self, piece: bytes) -> None:
        self._line += piece
        if self._long or len(self._line) > LONGEST_LINE:
            self._long = True
            del self._line[:-END]

    def _look_at(self, line: bytes) -> None:
        """Read a line of a stream that may report tokens."""
        if any(mark in line for mark in _MARKS):
            self._read(line.removeprefix(b"data:").strip(_SPACE))

    def _see_whole(self, chunk: bytes) -> None:
        if len(self._beginning) < END:
            self._beginning += chunk[: END - len(self._beginning)]
        self._kept.append(chunk)
        self._size += len(chunk)
        if self._size > LARGEST_WHOLE:
            tail = b"".join(self._kept)[-END:]
            self._kept, self._size = [tail], len(tail)

    def _read_whole(self) -> None:
        body = b"".join(self._kept)
        self._kept = []
        if self._received > len(body):
            self._read_ends(self._beginning + b"\n" + body)
        elif body.lstrip(_SPACE).startswith(b"["):
            self._read_list(body)
        elif not self._read(body):
            lines = len(_LINE.findall(body))
            self._events = lines if lines > 1 else 0
            for line in _marked(body):
                self._look_at(line)

    def _read_list(self, body: bytes) -> None:
        """A list, as Google streams where no events are asked for."""
        items = _decoded(_items, body) or []
        self._events = len(items)
        for item in items:
            self._read(bytes(item))

    def _read_ends(self, ends: bytes) -> None:
        """The last report in a long answer, or a long line, of which the middle is not here."""
        for match in deque(_REPORT.finditer(ends), MOST_REPORTS):
            if found := _first_object(ends[match.end() : match.end() + LONGEST_REPORT]):
                self._learn(tokens_in(found), final=True)

    def _read(self, text: bytes) -> bool:
        """Read an answer, or an event; whether it is an object."""
        answer = _decoded(_answer, text)
        if answer is None:
            return False
        for report in (answer.usage, answer.usageMetadata, answer.meta):
            if report is not _NULL:
                self._learn(_tokens(report), final=True)
        if answer.metrics is not _NULL and self._tokens == NOTHING_KNOWN:  # less than what the model itself told
            self._learn(_tokens(answer.metrics), final=True)
        if answer.prompt_eval_count is not None or answer.eval_count is not None:
            counts = {"prompt_eval_count": answer.prompt_eval_count, "eval_count": answer.eval_count}
            self._learn(tokens_in(counts), final=True)
        for holder, final in ((answer.message, False), (answer.response, True), (answer.delta, True)):
            if holder is not _NULL and (inner := _decoded(_nested, holder)):
                for report in (inner.usage, inner.meta):
                    self._learn(_tokens(report), final=final)
        return True

    def _learn(self, found: TokenCount, *, final: bool) -> None:
        if found != NOTHING_KNOWN:
            self._tokens = self._tokens.then(found)
            self._final = self._final or (final and found.output is not None)


def _marked(lines: bytes) -> Iterator[bytes]:
    """The lines in which a mark stands. Others, of which there may be very many, cost nothing."""
    at = 0
    while found := _MARK.search(lines, at):
        begin, end = lines.rfind(b"\n", 0, found.start()) + 1, lines.find(b"\n", found.end())
        at = len(lines) if end < 0 else end
        yield lines[begin:at]


def _tokens(report: Raw) -> TokenCount:
    found = None if report is _NULL else _decoded(_object, report)
    return tokens_in(found) if found else NOTHING_KNOWN


def _first_object(text: bytes) -> Mapping[str, Any] | None:
    """The object at the beginning of `text`, whatever follows it."""
    depth = 0
    for at, byte in enumerate(text):
        depth += (byte == ord("{")) - (byte == ord("}"))
        if not depth:
            return _decoded(_object, text[: at + 1])
    return None


def _decoded(decode: Callable[[bytes | Raw], _T], text: bytes | Raw) -> _T | None:
    """None for what is not of that form."""
    try:
        return decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
