"""The ways a text can be spelled on a wire, and reading it back through them.

Everything is linear in what is read: expressions that cannot backtrack, a fixed number of readings, and no reading that
is longer than what it was made of, but for compressed text, which is unpacked within a bound.
"""

import base64
import binascii
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from html import unescape
from typing import NamedTuple

LONGEST_ESCAPE = 24
"""Bytes of an escape that may be cut in two."""
LARGEST_UNPACKED = 2**20
"""Bytes of a compressed text that are unpacked."""
ESCAPED_DEPTH = 4
"""How often escapes of escapes are undone."""
SHORTEST_RUN = 16
"""Characters of base64 that can hold twelve of a text."""

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
FOLD = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
"""Upper case to lower case."""
SEPARATORS = bytes(byte for byte in range(256) if byte not in _LETTERS)
"""Whatever may be put between the characters of a text without changing what a reader sees in it."""

_STANDARD = bytes.maketrans(b"-_", b"+/")
_NO_BASE64 = bytes(byte for byte in range(256) if byte not in _LETTERS + b"+/-_")
_UNPRINTABLE = bytes(byte for byte in range(256) if byte not in b"\0\t\n\r" and not 32 <= byte < 127)
_RUN = bytes(97 if byte in _LETTERS + b"+/-_" else 32 for byte in range(256))
_A_RUN = b"a" * SHORTEST_RUN
_BASE64_OF_TEXT = re.compile(rb".{0,3}?(?:[ACDI-Za-f].{3}){3}[ACDI-Za-f]", re.DOTALL)
"""Every fourth character of it is the upper part of a letter, in both directions."""
_LONG_BASE64_OF_TEXT = re.compile(rb".{0,3}?(?:[ACDI-Za-f].{3}){9}", re.DOTALL)
_PACKED = (b"H4sI", b"eJ", b"eN", b"eA", b"eF")
"""How the base64 of gzip and of zlib begins."""
_SAMPLE = 40
"""Characters at either end of a run that say whether it is base64 of a text, and not an id or a picture."""
_LONG = 512
"""Characters of a run that are more than an id: a picture, or the numbers of an embedding."""
_HEX_DIGITS = b"0123456789abcdefABCDEF"
_NO_HEX = bytes(byte for byte in range(256) if byte not in _HEX_DIGITS)
_UPPER_BASE32 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_LOWER_BASE32 = _UPPER_BASE32.lower()
_HEX = re.compile(rb"[0-9a-fA-F]{24,}")
_TEXT = re.compile(rb"[\0\t\n\r -~]{12}")
_NUMBERS = re.compile(rb"(?<![0-9])(?:0?[3-9][0-9]|1[01][0-9]|12[0-6])(?![0-9])")

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
    rb"|\\[abfnrtv]",
    re.IGNORECASE,
)
_BLANK = re.compile(rb"\\[bfnrt]")
_FOREIGN = re.compile(rb"\\u(?!00[2-7]|2[014]|180e|00ad|feff|ff[0-5]|d83[5c])[0-9a-f]{4}", re.IGNORECASE)
"""Escapes of JSON that stand for no part of a key, in any form of its characters."""
_BEGUN_ESCAPE = re.compile(
    rb"(?:\\{1,8}[uUx]?\{?[0-9a-fA-F]{0,8}|%[u0-9a-fA-F]{0,4}|&\#?[0-9a-zA-Z]{0,10}"
    rb"|\xf0[\x80-\xbf]{0,2}|[\xe2\xef][\x80-\xbf]?)\Z"
)
_TELLING_JSON = re.compile(
    rb"\\(?:x|[uU](?:\{|0{2,6}[2-7]|20[0-6]|2[14]|180[eE]|00[aA][dD]|[fF][eE][fF][fF]|[fF]{2}[0-5]|[dD]83[5cC])"
    rb"|[2-7][0-7]{0,2}\\|[01][0-7]{2}\\)"
)
_TELLING_URL = re.compile(rb"%(?:[2-7][0-9a-fA-F]|[eE][fF]|[fF]0|[eE]2|u00)")
_TELLING_HTML = re.compile(rb"&[#a-zA-Z]")

FORMS: Mapping[int, int] = {
    code: ord(plain)
    for begin, end in ((0x2070, 0x20A0), (0x2100, 0x2150), (0x2460, 0x2500), (0xFF01, 0xFF5F), (0x1D400, 0x1D800))
    for code, plain in ((code, unicodedata.normalize("NFKC", chr(code))) for code in range(begin, end))
    if len(plain) == 1 and plain.isascii()
}
"""Letters and digits in other forms: full width, mathematical, in circles."""
_TELLING_FORMS = (
    (b"\xef", re.compile(rb"\xef(?:\xbc[\x90-\x99\xa1-\xba]|\xbd[\x81-\x9a])")),
    (b"\xf0\x9d", re.compile(rb"\xf0\x9d[\x90-\x9f]")),
    (b"\xe2", re.compile(rb"\xe2(?:\x81[\xb0-\xbf]|\x82[\x80-\x9f]|[\x84\x85]|\x91[\xa0-\xbf]|[\x92\x93])")),
)
"""How these begin, and how they are written, in UTF-8."""

Span = tuple[int, int]
Place = Callable[[int, int], Span]
"""Where a part of a reading comes from: its beginning and its end in what was read."""


class Reading(NamedTuple):
    """A text read in one way."""

    text: bytes
    place: Place


def folded(text: bytes) -> str:
    """The letters and digits of `text` in lower case: the same for every separator, and in any case.

    What is escaped, as JSON does, and is no part of a key, is a separator too. Text, because it is searched faster
    than bytes.
    """
    if b"\\" in text:
        text = even(text)
    return text.translate(FOLD, SEPARATORS).decode("ascii")


def even(text: bytes) -> bytes:
    """`text` with blanks for the escapes that stand for no part of a key, and as long as it was."""
    text = _BLANK.sub(b"  ", text)
    return _FOREIGN.sub(b"      ", text) if b"\\u" in text else text


def base64_cores(text: bytes) -> Iterator[bytes]:
    """What of the base64 of `text` does not depend on what stands around it, for each of the three alignments."""
    for shift in range(3):
        begin, end = -(-shift * 8 // 6), (shift + len(text)) * 8 // 6
        yield base64.b64encode(bytes(shift) + text)[begin:end]


def escaped(text: bytes) -> bool:
    """Whether `text` has escapes, of those that are usual, that stand for something a key is made of."""
    return (
        (b"\\" in text and _TELLING_JSON.search(text) is not None)
        or (b"%" in text and _TELLING_URL.search(text) is not None)
        or (b"&" in text and _TELLING_HTML.search(text) is not None)
        or in_other_forms(text)
    )


def in_other_forms(text: bytes) -> bool:
    """Whether `text` has letters or digits in the forms of `FORMS`."""
    return not text.isascii() and any(begin in text and form.search(text) for begin, form in _TELLING_FORMS)


def unescaped(text: bytes) -> bytes:
    """`text` with its escapes replaced by what they stand for, whatever language each is of."""
    return _ESCAPE.sub(_character, text)


def readings(text: bytes, *, thorough: bool = False) -> Iterator[Reading]:
    """`text` read without its escapes, and whatever it holds of base64, base32 and hex.

    `thorough`: as if there was nothing else in it, whatever stands in between, backwards too.
    """
    if (thorough or escaped(text)) and (plain := unescaped(text)) != text:
        yield Reading(plain, _EscapePlaces(text))
    if in_other_forms(text):
        yield Reading(plain_forms(text), _FormPlaces(text))
    for begin, end in runs(text):
        for decoded in _decoded(text[begin:end]):
            yield Reading(decoded, partial(_all_of, (begin, end)))
    if thorough:
        for decoded in _dense(text):
            yield Reading(decoded, partial(_all_of, (0, len(text))))


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
        return plain_forms(text), _FormPlaces(text)
    return unescaped(text), _EscapePlaces(text)


def runs(text: bytes) -> Iterator[Span]:
    """Where characters of base64 stand in a row, so many that they can hold a key."""
    marked = text.translate(_RUN)
    begin = marked.find(_A_RUN)
    while begin >= 0:
        end = marked.find(b" ", begin)
        end = len(text) if end < 0 else end
        yield begin, end
        begin = marked.find(_A_RUN, end)


def may_hold_text(decoded: bytes) -> bool:
    """Whether there is enough text in it to read it once more."""
    return _TEXT.search(decoded) is not None or in_other_forms(decoded)


def _through(outer: Place, inner: Place, begin: int, end: int) -> Span:
    return outer(*inner(begin, end))


def _all_of(span: Span, begin: int, end: int) -> Span:  # noqa: ARG001  # whichever part of a reading
    return span


def plain_forms(text: bytes) -> bytes:
    """`text` with the letters and digits of ASCII for those in other forms."""
    return text.decode("utf-8", "surrogateescape").translate(FORMS).encode("utf-8", "surrogateescape")


class _FormPlaces:
    """Where the characters of `plain_forms` come from. Found out only when asked."""

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


def _decoded(run: bytes) -> Iterator[bytes]:
    """What a run stands for in base64, base32 and hex, forwards and backwards; nothing for ids, words and pictures."""
    if run.islower() and (b"_" in run or b"-" in run):  # the name of a field
        return
    long = len(run) > _LONG
    head, tail = (run[:_SAMPLE], run[-_SAMPLE:]) if long else (run, run)
    for match in _HEX.finditer(run) if not long or _HEX.match(head) else ():
        for digits in (match[0], match[0][::-1]):
            yield from _from_hex(digits)
    pattern = _LONG_BASE64_OF_TEXT if long else _BASE64_OF_TEXT
    if pattern.match(head) or (long and pattern.match(tail)):
        yield from _texts(run)
    if run.startswith(_PACKED):
        yield from _unpacked(_from_base64(run))
    if not long and (not run.strip(_UPPER_BASE32) or not run.strip(_LOWER_BASE32)):
        yield _from_base32(run)


def _texts(run: bytes) -> Iterator[bytes]:
    """What of the four alignments of base64, forwards and backwards, is text; what is alike only once."""
    seen: set[bytes] = set()
    for one in (run, run[::-1]):
        for start in range(4):
            ends = (_from_base64(one[start:][:_SAMPLE]), _from_base64(one[start:][-_SAMPLE:][: _SAMPLE // 4 * 4]))
            if ends[0] not in seen and any(map(_is_text, ends)):
                seen.add(ends[0])
                yield from _unpacked(_from_base64(one[start:]))


def _is_text(sample: bytes) -> bool:
    letters = sample.translate(None, _UNPRINTABLE + b"\0")
    return len(sample.translate(None, _UNPRINTABLE)) * 4 >= len(sample) * 3 and len(letters) * 3 >= len(sample)


def _dense(text: bytes) -> Iterator[bytes]:
    for one in (text, text[::-1]):
        packed = one.translate(_STANDARD, _NO_BASE64)
        for candidate in {packed, packed.translate(None, b"+/")}:
            if len(candidate) >= SHORTEST_RUN:
                for start in range(4):
                    yield from _unpacked(_from_base64(candidate[start:]))
                if len(candidate) <= _LONG:
                    yield _from_base32(candidate)
        digits = one.replace(b"0x", b"").translate(None, _NO_HEX)
        if len(digits) >= SHORTEST_RUN:
            yield from _from_hex(digits)
        if len(codes := _NUMBERS.findall(one)) >= 12:
            yield bytes(map(int, codes))


def _from_base64(run: bytes) -> bytes:
    run = run.translate(_STANDARD)
    odd = len(run) % 4
    if odd == 1:
        run = run[:-1]
    elif odd:
        run += b"=" * (4 - odd)
    return binascii.a2b_base64(run)


def _from_base32(run: bytes) -> bytes:
    try:
        return base64.b32decode(run[: len(run) // 8 * 8] + _padded(run[len(run) // 8 * 8 :]), casefold=True)
    except binascii.Error:
        return b""


def _padded(rest: bytes) -> bytes:
    usable = rest[: {3: 2, 6: 5}.get(len(rest), 0 if len(rest) == 1 else len(rest))]
    return usable + b"=" * (-len(usable) % 8)


def _from_hex(digits: bytes) -> Iterator[bytes]:
    for start in range(2):
        part = digits[start:]
        yield from _unpacked(binascii.unhexlify(part[: len(part) // 2 * 2]))


def _unpacked(decoded: bytes) -> Iterator[bytes]:
    """`decoded`, and what it is when it is compressed."""
    yield decoded
    if decoded[:2] in {b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"}:
        try:
            yield zlib.decompressobj(47).decompress(decoded, LARGEST_UNPACKED)
        except zlib.error:
            return
