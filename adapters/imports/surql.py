"""Records in the text that `surreal export` writes. Nothing is executed: only literal data is read.

Source of the grammar: SurrealQL's literals as SurrealDB 1.x to 3.x print them, and the comments of an export.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

LONGEST_STATEMENT = 64 * 1024 * 1024
"""Characters: an export writes a thousand records into one statement."""
_DEEPEST = 64

_OUTSIDE = re.compile(r"--[^\n]*|//[^\n]*|#[^\n]*|/\*|[;'\"`⟨]")
_ENDS = {
    "'": re.compile(r"(?:[^'\\]|\\.)*?'", re.DOTALL),
    '"': re.compile(r'(?:[^"\\]|\\.)*?"', re.DOTALL),
    "`": re.compile(r"(?:[^`\\]|\\.)*?`", re.DOTALL),
    "⟨": re.compile(r"(?:[^⟩\\]|\\.)*?⟩", re.DOTALL),
    "/*": re.compile(r".*?\*/", re.DOTALL),
}
_COMMENTS = ("--", "//", "#", "/*")
_SECTION = re.compile(r"--\s*TABLE DATA:\s*[⟨`]?([A-Za-z0-9_]+)")
_VERB = re.compile(
    r"\s*(?:INSERT(?:\s+(?:IGNORE|RELATION))*(?:\s+INTO\s+[A-Za-z0-9_`⟨⟩]+)?"
    r"|(?:UPDATE|UPSERT|CREATE)(?:\s+ONLY)?)\s*(?=[\[{A-Za-z`⟨])",
    re.IGNORECASE,
)
_CONTENT = re.compile(r"\s*CONTENT\s*", re.IGNORECASE)
_SPACE = re.compile(r"(?:\s+|--[^\n]*|//[^\n]*|#[^\n]*|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[A-Za-z0-9_]+")
_CAST = re.compile(r"<[a-z|<> ]+>")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:f|dec)?(?![A-Za-z0-9_µ])")
_DURATION = re.compile(r"(?:\d+(?:ns|us|µs|ms|s|m|h|d|w|y))+")
_ESCAPE = re.compile(r"\\(u\{[0-9A-Fa-f]{1,6}\}|u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_WORDS = {"none": None, "null": None, "true": True, "false": False}


class Statement(Struct, frozen=True):
    """A statement and the number of the line it begins on. `text` is None for one that is too long to be read."""

    line: int
    text: str | None


class NotDataError(Exception):
    """The text is no literal record. Says nothing of its content."""


def statements(lines: Iterable[str], tables: frozenset[str]) -> Iterator[Statement]:
    """The statements of an export that may hold records of `tables`; those of other tables are passed over unread."""
    splitter = _Splitter(tables)
    for line in lines:
        yield from splitter.feed(line)
    yield from splitter.end()


class _Splitter:
    """Cuts at the semicolons that stand outside of strings and comments."""

    def __init__(self, tables: frozenset[str]) -> None:
        self._tables = tables
        self._pieces: list[str] = []
        self._section = ""
        self._quote = ""
        self._size = 0
        self._line = 0
        self._begin = 1

    def feed(self, line: str) -> Iterator[Statement]:
        self._line += 1
        if not self._pieces:
            self._begin = self._line
        position = 0
        while position < len(line):
            match = _ENDS[self._quote].match(line, position) if self._quote else _OUTSIDE.search(line, position)
            stop = match.end() if match else len(line)
            mark = match[0] if match and not self._quote else ""
            if mark.startswith(_COMMENTS) or self._quote == "/*":
                self._keep(line[position : match.start()] if match and mark else "")
            else:
                self._keep(line[position:stop])
            yield from self._turn(mark, closed=bool(match and self._quote))
            position = stop

    def end(self) -> Iterator[Statement]:
        """The last statement, which may lack its semicolon."""
        if self._size > LONGEST_STATEMENT:
            yield Statement(self._begin, None)
        elif text := "".join(self._pieces).strip(" \t\r\n;"):
            yield Statement(self._begin, text)
        self._pieces, self._size, self._begin = [], 0, self._line

    def _keep(self, text: str) -> None:
        if self._section and self._section not in self._tables:
            return
        self._size += len(text)
        if text and self._size <= LONGEST_STATEMENT and (self._pieces or text.strip()):
            self._pieces.append(text)

    def _turn(self, mark: str, *, closed: bool) -> Iterator[Statement]:
        if closed:
            self._quote = ""
        elif mark in _ENDS:
            self._quote = mark
        elif mark == ";":
            yield from self.end()
        elif named := _SECTION.match(mark):
            self._section = named[1]


def records(text: str) -> Iterator[dict[str, Any]]:
    """The records a statement writes, each with its `id` as `table:key`; none for a statement that writes none.

    Datetimes are ISO 8601 text, links are `table:key` text. Raises NotDataError.
    """
    verb = _VERB.match(text)
    if verb is None:
        return
    reader = _Reader(text, verb.end())
    value = reader.value()
    if isinstance(value, str):
        content = _CONTENT.match(text, reader.position)
        if content is None:
            return  # an UPDATE of some other kind, or a function's definition
        reader.position = content.end()
        body = reader.value()
        value = {**body, "id": value} if isinstance(body, dict) else None
    for record in value if isinstance(value, list) else [value]:
        if not isinstance(record, dict):
            raise NotDataError
        yield record


class _Reader:
    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position
        self._depth = 0

    def value(self) -> Any:
        self._space()
        while cast := self._take(_CAST):
            self._space()
            if not cast:
                break
        character = self.text[self.position : self.position + 1]
        if character == "{":
            return self._nested(self._object)
        if character == "[":
            return self._nested(self._array)
        if character in {"'", '"'} and character:
            return self._quoted()
        if character in set("sdurb") and self.text[self.position + 1 : self.position + 2] in {"'", '"'}:
            self.position += 1
            return self._quoted()
        return self._bare()

    def _nested(self, read: Any) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NotDataError
        self.position += 1
        try:
            return read()
        finally:
            self._depth -= 1

    def _object(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while not self._closes("}"):
            name = self._quoted() if self._next() in {"'", '"', "`", "⟨"} else self._must(_KEY)
            self._expect(":")
            fields[name] = self.value()
            self._separator("}")
        return fields

    def _array(self) -> list[Any]:
        items: list[Any] = []
        while not self._closes("]"):
            items.append(self.value())
            self._separator("]")
        return items

    def _bare(self) -> Any:
        if (number := self._take(_NUMBER)) is not None:
            digits = number.removesuffix("dec").removesuffix("f")
            try:
                return float(digits) if number != digits or not digits.lstrip("+-").isdigit() else int(digits)
            except ValueError:  # more digits than Python reads
                raise NotDataError from None
        if (duration := self._take(_DURATION)) is not None:
            return duration
        word = self._quoted() if self._next() in {"`", "⟨"} else self._must(_WORD)
        if (
            self.text[self.position : self.position + 1] == ":"
            and self.text[self.position + 1 : self.position + 2] != ":"
        ):
            self.position += 1
            return f"{word}:{self._record_key()}"
        if word.lower() in _WORDS:
            return _WORDS[word.lower()]
        raise NotDataError

    def _record_key(self) -> str:
        character = self.text[self.position : self.position + 1]
        if character in {"`", "⟨", "'", '"'} and character:
            return self._quoted()
        if character == "u" and self.text[self.position + 1 : self.position + 2] in {"'", '"'}:
            self.position += 1
            return self._quoted()
        if character in {"{", "["}:
            self.value()
            return "?"  # a key made of several values is no key of ours
        return self._must(_KEY)

    def _quoted(self) -> str:
        opening = self.text[self.position : self.position + 1]
        pattern = _ENDS.get(opening)
        match = pattern.match(self.text, self.position + 1) if pattern else None
        if match is None:
            raise NotDataError
        self.position = match.end()
        return _ESCAPE.sub(_unescaped, match[0][:-1])

    def _closes(self, end: str) -> bool:
        if self._next() != end:
            return False
        self.position += 1
        return True

    def _separator(self, end: str) -> None:
        if self._next() == ",":
            self.position += 1
        elif self._next() != end:
            raise NotDataError

    def _expect(self, character: str) -> None:
        if self._next() != character:
            raise NotDataError
        self.position += 1

    def _next(self) -> str:
        self._space()
        return self.text[self.position : self.position + 1]

    def _space(self) -> None:
        match = _SPACE.match(self.text, self.position)
        self.position = match.end() if match else self.position

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.text, self.position)
        if match is None:
            return None
        self.position = match.end()
        return match[0]

    def _must(self, pattern: re.Pattern[str]) -> str:
        taken = self._take(pattern)
        if taken is None:
            raise NotDataError
        return taken


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "u" and len(code) > 1:
        number = int(code.strip("u{}"), 16)
        if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise NotDataError
        return chr(number)
    return _ESCAPES.get(code, code)
