"""A strict reader of multipart forms that takes one chunk by chunk, and finds its part `model`.

It holds the beginning of a line, the head of a part, or the model's name. What parsers are known to read in more than
one way is refused: bare line feeds around delimiters and in heads, two names of one part, parts after the end.
"""

import re
from enum import Enum, auto

from keycairn.app.gateway.body_members import MODEL, about_models, folded
from keycairn.domain.errors import ListedModelsError, ModelNameError, RequestRefusedError
from keycairn.domain.model import LONGEST_CALLED_NAME

MOST_PARTS = 1000
LONGEST_PART_HEAD = 16_384
"""Bytes of a part's headers."""
LONGEST_VALUE = 4096
"""Bytes of the part `model`."""
_LONGEST_PADDING = 64
"""Bytes of blanks after a delimiter."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_HEADER = re.compile(rb"(" + _TOKEN + rb"):[ \t]*+([^\x00\r\n]*+)")
_DISPOSITION = re.compile(
    rb"form-data[ \t]*+(?:;[ \t]*+"
    + _TOKEN
    + rb'[ \t]*+=[ \t]*+(?:"(?:[^"\\]++|\\.)*+"|'
    + _TOKEN
    + rb")[ \t]*+)*+;?[ \t]*+",
    re.IGNORECASE,
)
_PARAMETER = re.compile(rb";[ \t]*+(" + _TOKEN + rb')[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"|(' + _TOKEN + rb"))")
_blanks = re.compile(rb"[ \t]*+").match
_RETURN = 13


class _In(Enum):
    """Where in the form the reader is."""

    PREAMBLE = auto()
    HEAD = auto()
    PART = auto()
    MODEL = auto()
    EPILOGUE = auto()


class FormScanner:
    """Fed a form from its beginning. `feed` and `finish` raise RequestRefusedError, with the reason.

    `feed` raises ListedModelsError for a part that names other models, where that is refused.
    """

    def __init__(self, boundary: bytes) -> None:
        self.model: bytes | None = None
        """The content of the part `model`; None while its end was not met."""
        self.place: tuple[int, int] = (0, 0)
        """Where that begins and ends, in bytes."""
        self.names_others: bool = False
        """Whether a part was met that is about models, besides that one."""
        self.refuses_others: bool = False
        """Whether such a part is refused from here on."""
        self._delimiter = b"\n--" + boundary
        self._in = _In.PREAMBLE
        self._named = False
        self._parts = 0
        self._buffer = b"\r\n"  # a form may begin with a delimiter, which is a line
        self._at, self._base = 1, -2

    def feed(self, chunk: bytes) -> None:
        """The next chunk, of any size."""
        buffer = self._buffer + chunk
        at = self._at
        while (after := self._step(buffer, at)) is not None:
            at = after
        keep = self._needed_from(buffer, at)
        self._buffer, self._at = buffer[keep:], max(0, at - keep)
        self._base += keep

    def finish(self) -> None:
        """The form has ended."""
        if self.model is None:
            raise RequestRefusedError('The form has no part "model".')

    def _step(self, buffer: bytes, at: int) -> int | None:
        """The place after the next head, or after the next delimiter; None where more must come first."""
        if self._in is _In.HEAD:
            return self._head(buffer, at)
        found = buffer.find(self._delimiter, max(0, at - 2))
        if found < 0:
            if self._in is _In.MODEL and len(buffer) - at > LONGEST_VALUE + len(self._delimiter):
                raise ModelNameError(LONGEST_CALLED_NAME)
            return None
        if found <= at - 1 or buffer[found - 1] != _RETURN:
            raise _malformed("a delimiter is not on a line of its own")
        line = found + len(self._delimiter)
        end = _end_of_line(buffer, line)
        if end is None:
            return None
        last = buffer.startswith(b"--", line)
        if self._in is _In.EPILOGUE:
            raise _malformed("parts follow its end")
        if self._in is _In.MODEL:
            self.model = buffer[at : found - 1]
            self.place = (self._base + at, self._base + found - 1)
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _malformed(f"it has more than {MOST_PARTS} parts")
        self._in = _In.EPILOGUE if last else _In.HEAD
        return end

    def _head(self, buffer: bytes, at: int) -> int | None:
        end = buffer.find(b"\r\n\r\n", at)
        if (end if end >= 0 else len(buffer)) - at > LONGEST_PART_HEAD:
            raise _malformed("a part has too long a head")
        if end < 0:
            return None
        name = _name_of(buffer[at + 2 : end]) if end > at else None
        if name is not None:
            self._check_name(name)
        if name == b"model":
            if self._named:
                raise RequestRefusedError('The form must have exactly one part "model".')
            self._named = True
        self._in = _In.MODEL if name == b"model" else _In.PART
        return end + 4

    def _check_name(self, name: bytes) -> None:
        as_read = folded(name.decode("utf-8", "replace"))
        if as_read == MODEL and name != b"model":
            raise RequestRefusedError('The form must write the name of its part "model" so, in small letters.')
        if as_read != MODEL and about_models(as_read):
            self.names_others = True
            if self.refuses_others:
                raise ListedModelsError

    def _needed_from(self, buffer: bytes, at: int) -> int:
        """What of the buffer the next step needs: all of a head or a name, else what may begin a delimiter."""
        if self._in is _In.HEAD:
            return at
        if self._in is _In.MODEL:
            return at - 2
        return max(at - 2, 0, len(buffer) - len(self._delimiter) - _LONGEST_PADDING - 6)


def _end_of_line(buffer: bytes, line: int) -> int | None:
    """Where what may follow a delimiter ends: two dashes or blanks; None where more must come first."""
    if buffer[line : line + 2] in {b"", b"-"}:
        return None
    if buffer.startswith(b"--", line):
        return line + 2
    end = _blanks(buffer, line).end()  # type: ignore[union-attr]  # matches nothing, too
    if end - line > _LONGEST_PADDING:
        raise _malformed("a delimiter is followed by too many blanks")
    if buffer.startswith(b"\r\n", end):
        return end
    if buffer[end : end + 2] in {b"", b"\r"}:
        return None
    raise _malformed("a line of a part begins like a delimiter")


def _name_of(head: bytes) -> bytes | None:
    """The name of a part with these headers, None where it has none."""
    name = None
    seen = False
    for line in head.split(b"\r\n"):
        header = _HEADER.fullmatch(line)
        if header is None:
            raise _malformed("a part has a head that is none")
        if header[1].lower() != b"content-disposition":
            continue
        if seen or not _DISPOSITION.fullmatch(header[2]):
            raise _malformed("a part has no clear content-disposition")
        seen = True
        names = [match for match in _PARAMETER.finditer(header[2]) if match[1].lower() in (b"name", b"name*")]
        if len(names) != 1 or names[0][1].endswith(b"*") or b"\\" in (names[0][2] or b""):
            raise _malformed("a part has no clear name")
        name = names[0][2] if names[0][2] is not None else names[0][3]
    return name


def _malformed(why: str) -> RequestRefusedError:
    return RequestRefusedError(f"The form cannot be read: {why}.")
