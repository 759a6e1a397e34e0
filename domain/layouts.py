"""Reading texts whose layout parts what belongs together: dumps of bytes, numbered lines and characters, uuencode.

Each begins with a gate that is one search for a fixed character; ordinary texts pay for no more than that.
"""

import binascii
import re
from collections.abc import Iterator, Sequence
from itertools import islice

LEAST_LINES = 2
"""Lines with an offset that make a dump."""
LEAST_CHARACTERS = 10
"""Numbered characters that are worth another look."""
MOST_LINES = 4096
"""Lines that are read of one text."""
WORD_OF_OCTAL = 6
"""Digits of 16 bits in octal."""

_ZEROS = b"000"
"""What the offset of a dump has in front, or its first ones have."""
_BEGINS = rb"[^0-9a-zA-Z\n\\]{0,6}(?:0x)?[0-9a-fA-F]{4,16}h?[^0-9A-Za-z\n\\]{1,6}"
_OFFSETS = (re.compile(rb"\n" + _BEGINS), re.compile(rb"\\n" + _BEGINS))
"""How a line of a dump begins, behind a line break and behind an escaped one."""
_DIGITS = b"0123456789abcdefABCDEFx :.-"
_LINE = re.compile(rb"\n" + _BEGINS + rb"([^\n]{1,512})")
_BETWEEN_TEXTS = re.compile(rb'(?<!\\)"\s{0,3}[:,]\s{0,3}"')
_FIRST_WORD = re.compile(rb"(?:0x)?([0-9a-fA-F]{2,16})(?![0-9A-Za-z])")
_TEN_ELEVEN = re.compile("10[0-9]?11")
_NUMBERED = re.compile(rb"11[\"'\\)\]]{0,4} ?[:=.)\]>|-]{1,2} ?[\"'\\]{0,4}.[\"'\\,;\s}]")
_ONE_NUMBERED = re.compile(
    rb"(?<![0-9A-Za-z.])[0-9]{1,5}[\"'\\)\]]{0,4}\s?[:=.)\]>|-]{1,2}\s?[\"'\\]{0,4}([^\s\"'\\])(?=[\"'\\,;\s}])"
)
_UU = re.compile(rb"M[ -`]{58,120}(?:\\n|\\r|[\n\r])")
"""A whole line of uuencode: 45 bytes, and no small letters."""


def laid_out(text: bytes, digits: str) -> Iterator[bytes]:
    """What stands in the columns of `text`, and what its numbered characters and its uuencode are; else nothing.

    `digits` are those of the text, or of more: few characters, in which the gates are searched for first.
    """
    if "000" in digits and _has_lines(text):
        yield from _dumped([match[1] for match in islice(_LINE.finditer(_lines(text)), MOST_LINES)])
    if "11" in digits and _TEN_ELEVEN.search(digits) and _NUMBERED.search(text):
        found = _ONE_NUMBERED.findall(_lines(text))
        if len(found) >= LEAST_CHARACTERS:
            yield b"".join(found)
    if b"M" in text and _UU.search(text):
        yield b"".join(_uudecoded(line) for line in _lines(text).split(b"\n"))


def ends_in_columns(text: bytes) -> bool:
    """Whether the end of `text` is a part of a dump, of which more may follow."""
    return _has_lines(text)


def _has_lines(text: bytes) -> bool:
    return _ZEROS in text and any(
        sum(1 for _ in islice(offset.finditer(text), LEAST_LINES)) == LEAST_LINES for offset in _OFFSETS
    )


def _lines(text: bytes) -> bytes:
    """`text` with line breaks and quotes for those of JSON, and with one between its texts."""
    if b'"' in text:
        text = _BETWEEN_TEXTS.sub(b"\n", text)
    if b"\\" in text:
        text = text.replace(b"\\\\", b"\1").replace(b"\\r", b"").replace(b"\\n", b"\n").replace(b'\\"', b'"')
        text = text.replace(b"\\t", b" ").replace(b"\1", b"\\")
    return b"\n" + text.replace(b"\r", b"")


def _dumped(lines: Sequence[bytes]) -> Iterator[bytes]:
    """What stands behind the offsets, then in the columns: digits, their bytes, and characters."""
    if not lines:
        return
    yield b" ".join(lines)
    sizes = sorted(len(match[1]) for match in map(_FIRST_WORD.match, lines) if match)
    if not sizes:
        return
    words_of_a_row = re.compile(rb"(?:(?:0x)?[0-9a-fA-F]{%d}(?:[ :.-]{1,4}|$))+" % sizes[len(sizes) // 2])
    ends = sorted(match.end() for match in map(words_of_a_row.match, lines) if match)
    others = sum(len(line.translate(None, _DIGITS)) for line in lines)
    column = ends[len(ends) // 2] if others > len(lines) else max(map(len, lines))
    yield b"".join(line[column:].strip(b"|> <") for line in lines)
    words = b" ".join(line[:column] for line in lines).replace(b"0x", b"").translate(None, b":.-").split()
    yield b"".join(words)
    yield _bytes_of(words)


def _bytes_of(words: Sequence[bytes]) -> bytes:
    """The bytes of words whose last byte is written first: in hexadecimal, in octal and in decimal."""
    ways: list[bytes] = []
    hexes = [word for word in words if len(word) % 2 == 0]
    if hexes:
        ways.append(b"".join(binascii.unhexlify(word)[::-1] for word in hexes if _is_hex(word)))
    for base, longest in ((8, WORD_OF_OCTAL), (10, WORD_OF_OCTAL - 1)):
        numbers = [_number(word, base) for word in words if len(word) <= longest]
        ways += (b"".join(one.to_bytes(2, "little") for one in numbers), b"".join(one.to_bytes(2) for one in numbers))
    return b"\xff".join(ways)


def _is_hex(word: bytes) -> bool:
    return not word.translate(None, b"0123456789abcdefABCDEF")


def _number(word: bytes, base: int) -> int:
    try:
        return int(word, base) & 0xFFFF
    except ValueError:
        return 0


def _uudecoded(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        return b""
