"""Where a text that comes in pieces must be waited for: its end may be the beginning of an escape, or of a secret."""

import re
from collections.abc import Callable
from functools import partial
from html import unescape

from keycairn.domain.spellings import FORMS, Span, escaped, in_other_forms

LONGEST_ESCAPE = 24
"""Bytes of an escape that may be cut in two."""
ESCAPED_DEPTH = 4
"""How often escapes of escapes are undone."""

Place = Callable[[int, int], Span]
"""Where a part of a reading comes from: its beginning and its end in what was read."""

_ESCAPE = re.compile(
    rb"\\\\{0,7}(?:u00|U000000|x)([2-7][0-9a-f])"  # a backslash may be escaped itself
    rb"|\\\\{0,7}[ux]\{0{0,6}([2-7][0-9a-f])\}"
    rb"|\\\\{0,7}u\{?(2[014][0-9a-f]{2}|180e|00ad|feff|ff[0-5][0-9a-f])\}?"  # prints as nothing; see `FORMS`
    rb"|%(?:u00)?([2-9a-f][0-9a-f])"
    rb"|&\#x0{0,5}([0-9a-f]{2,4})(?![0-9a-f]);?"
    rb"|&\#0{0,5}([0-9]{2,5})(?![0-9]);?"
    rb"|(&[a-z]{2,10};)"
    rb"|\\\\{0,7}([0-7]{3})"
    rb"|=([2-7][0-9A-F])"  # quoted-printable
    rb"|\\{1,8}u(d83[5c]\\{1,8}ud[c-f][0-9a-f]{2})"  # two halves of a character beyond 16 bits
    rb"|\\{1,8}(?:u001b|x1b|033|e)\[[0-9;]{0,20}[a-z]|\x1b\[[0-9;]{0,20}[a-z]"  # colours of a terminal
    rb"|<[^<>]{0,200}>|\\{1,8}u003c[^<>\\]{0,100}\\{1,8}u003e|&lt;[^<>&]{0,100}&gt;"  # elements
    rb"|=\?[\w-]{1,40}\?[bq]\?"
    rb"|\\[abfnrtv]",
    re.IGNORECASE,
)
_BEGUN_ESCAPE = re.compile(
    rb"(?:<[^<>]{0,23}|=\?[\w?-]{0,20}|(?:\\{1,8}(?:u001[bB]|x1[bB]|033|e)|\x1b)\[[0-9;]{0,12}"
    rb"|\\{1,8}u003[cC][^<>\\]{0,12}|&lt;[^<>&]{0,12}"
    rb"|\\{1,8}[uUx]?\{?[0-9a-fA-F]{0,8}|%[u0-9a-fA-F]{0,4}|&\#?[0-9a-zA-Z]{0,10}"
    rb"|\xf0[\x80-\xbf]{0,2}|[\xe2\xef][\x80-\xbf]?)\Z"
)


def unescaped(text: bytes) -> bytes:
    """`text` with its escapes replaced by what they stand for, whatever language each is of."""
    return _ESCAPE.sub(_character, text)


def open_end(text: bytes, begins: Callable[[bytes, bool], int]) -> int:
    """Where an end of `text` begins that what follows may turn into something else: its length where it is complete.

    That is an escape that is not whole, or what `begins` finds, which is given a text, and whether it had escapes, and
    says where in it: it is asked also for the text without its escapes, and for that without those that stood in them.
    """
    first = len(text)
    place: Place | None = None
    for _ in range(ESCAPED_DEPTH):
        cut = _BEGUN_ESCAPE.search(text, max(0, len(text) - LONGEST_ESCAPE))
        whole = cut.start() if cut else len(text)
        open_from = min(whole, begins(text[:whole], place is not None))
        if open_from < len(text):
            first = min(first, open_from if place is None else place(open_from, open_from + 1)[0])
        if not escaped(text[:whole]):
            break
        read, inner = _plainer(text[:whole])
        place = inner if place is None else partial(_through, place, inner)
        text = read
    return first


def _plainer(text: bytes) -> tuple[bytes, Place]:
    """One layer less of a text that is `escaped`."""
    if in_other_forms(text):
        return plain_letters(text), _FormPlaces(text)
    return unescaped(text), _EscapePlaces(text)


def _through(outer: Place, inner: Place, begin: int, end: int) -> Span:
    return outer(*inner(begin, end))


def plain_letters(text: bytes) -> bytes:
    """`text` with the letters and digits of ASCII for those in other forms."""
    return text.decode("utf-8", "surrogateescape").translate(FORMS).encode("utf-8", "surrogateescape")


class _FormPlaces:
    """Where the characters of `plain_letters` come from. Found out only when asked."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._starts: list[int] = []

    def __call__(self, begin: int, end: int) -> Span:
        if not self._starts:
            after = 0
            for one in self._text.decode("utf-8", "surrogateescape"):
                size = len(one.encode("utf-8", "surrogateescape"))
                self._starts += [after] * (1 if ord(one) in FORMS else size)
                after += size
            self._starts.append(after)
        return self._starts[begin], self._starts[end]


class _EscapePlaces:
    """Where the characters of an unescaped text come from. Found out only when asked."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._starts: list[int] = []

    def __call__(self, begin: int, end: int) -> Span:
        if not self._starts:
            after = 0
            for match in _ESCAPE.finditer(self._text):
                self._starts += range(after, match.start())
                self._starts += [match.start()] * len(_character(match))
                after = match.end()
            self._starts += range(after, len(self._text) + 1)
        last = self._starts[end - 1]
        unit = _ESCAPE.match(self._text, last)
        return self._starts[begin], unit.end() if unit else last + 1


def _character(match: re.Match[bytes]) -> bytes:
    kind = match.lastindex
    if kind is None:
        return b" "
    digits = match[kind]
    if kind == 7:
        text = unescape(digits.decode("ascii"))
        return text.encode() if text.isascii() else b" "
    if kind == 10:
        return _plain_form(0x10000 + ((int(digits[:4], 16) & 0x3FF) << 10) + (int(digits[-4:], 16) & 0x3FF))
    code = int(digits, 10 if kind == 6 else 8 if kind == 8 else 16)
    return bytes([code]) if kind == 4 and code > 127 else _plain_form(code)


def _plain_form(code: int) -> bytes:
    code = FORMS.get(code, code)
    return bytes([code]) if 32 <= code < 127 else b" "
