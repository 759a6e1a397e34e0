"""Decoding what a text may hold of base64, base32, hex and numbers: all of it in a few passes, wherever it stands.

Nothing here asks where in the text something stood; that makes it cheap however many encodings there are.
"""

import base64
import binascii
import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Protocol

from keycairn.domain.spellings import LETTERS, Span

MOST_MEMORY = 2**24
"""Bytes that a compressed text may ask for to be unpacked."""
SHORTEST_RUN = 16
"""Characters of base64 that can hold twelve of a text."""
SHORTEST_TEXT = 12
"""Characters of a decoded text that are worth another look."""
LONG = 512
"""Characters of a run that are more than an id: a picture, or the numbers of an embedding."""
SAMPLE = 40
"""Characters at either end of a long run that say whether it is base64 of a text."""
FEW = 64
"""Runs of base64, or stretches of text, that are told apart."""
SEVERAL = 4
"""Pieces of base64 with padding that may be one text."""
MOST_PACKED = 8
"""How many compressed texts of one text are unpacked."""

_BASE64 = LETTERS + b"+/-_"
_STANDARD = bytes.maketrans(b"-_", b"+/")
_NO_BASE64 = bytes(byte for byte in range(256) if byte not in _BASE64)
_RUN = bytes(97 if byte in _BASE64 else 32 for byte in range(256))
_A_RUN = b"a" * SHORTEST_RUN
_NO_HEX = bytes(byte for byte in range(256) if byte not in b"0123456789abcdefABCDEF")
_HEX = bytes(97 if byte in b"0123456789abcdefABCDEF" else 32 for byte in range(256))
_HEX_RUN = b"a" * 24
_PRINTED = bytes(97 if byte in b"\0\t\n\r" or 32 <= byte < 127 else 32 for byte in range(256))
_UNPRINTED = bytes(byte for byte in range(256) if byte not in b"\0\t\n\r" and not 32 <= byte < 127)
_A_TEXT = b"a" * SHORTEST_TEXT
_NUMBERS = re.compile(rb"(?<![0-9])(?:0?[3-9][0-9]|1[01][0-9]|12[0-6])(?![0-9])")
_PACKED = (
    re.compile(rb"H4sI(?<![A-Za-z0-9+/]H4sI)[A-Za-z0-9+/_-]{14,}"),
    re.compile(rb"e[JNAF](?<![A-Za-z0-9+/]e[JNAF])[A-Za-z0-9+/_-]{14,}"),
    re.compile(rb"Qlpo(?<![A-Za-z0-9+/]Qlpo)[A-Za-z0-9+/_-]{14,}"),
    re.compile(rb"UEsDB(?<![A-Za-z0-9+/]UEsDB)[A-Za-z0-9+/_-]{14,}"),
    re.compile(rb"/Td6WFo(?<![A-Za-z0-9+/]/Td6WFo)[A-Za-z0-9+/_-]{14,}"),
    re.compile(rb"_Td6WFo(?<![A-Za-z0-9+/]_Td6WFo)[A-Za-z0-9+/_-]{14,}"),
)
"""How the base64 of gzip, zlib, bzip2, zip and xz begins."""


class Unpacker(Protocol):
    """One of the decompressors of the standard library."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """The first `max_length` bytes of what is compressed in `data`."""


class _Unzip:
    """The first file of an archive of zip. Source: APPNOTE 6.3.10, section 4.3.7."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """The first `max_length` bytes of it."""
        name, extra = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
        return zlib.decompressobj(-15).decompress(data[30 + name + extra :], max_length)


_UNPACKERS: Sequence[tuple[bytes, Callable[[], Unpacker]]] = (
    (b"\x1f\x8b\x08", partial(zlib.decompressobj, 47)),
    *((b"\x78" + level, partial(zlib.decompressobj, 47)) for level in (b"\x01", b"\x5e", b"\x9c", b"\xda")),
    (b"BZh", bz2.BZ2Decompressor),
    (b"PK\x03\x04", _Unzip),
    (b"\xfd7zXZ", partial(lzma.LZMADecompressor, memlimit=MOST_MEMORY)),
)


def runs(text: bytes) -> Iterator[Span]:
    """Where characters of base64 stand in a row, so many that they can hold a key."""
    return _stretches(text.translate(_RUN), _A_RUN)


def parts_of(text: bytes) -> list[bytes]:
    """The runs of base64 in `text`; where they are many, all its letters as one: that costs less than parting them."""
    found = [text[begin:end] for begin, end in islice(runs(text), FEW + 1)]
    return found if len(found) <= FEW else [text.translate(None, _NO_BASE64)]


def decoded(parts: Sequence[bytes]) -> Iterator[bytes]:
    """What runs of base64 are when they are decoded, at each alignment, or as hex.

    Names of fields are not, nor pictures.
    """
    whole = b"".join(one for one in parts if _may_be_text(one)).translate(_STANDARD)
    if len(whole) >= SHORTEST_RUN:
        yield _from_base64(whole)
    if _HEX_RUN in b" ".join(parts).translate(_HEX):
        yield from _from_hex(b"".join(parts))


def dense(text: bytes) -> Iterator[bytes]:
    """What `text` is when it is nothing but base64, base32, hex or numbers, whatever stands in between."""
    whole = text.translate(_STANDARD, _NO_BASE64)
    letters = whole.translate(None, b"+/")
    if len(whole) >= SHORTEST_RUN:
        yield _from_base64(whole)
    if len(letters) < len(whole):
        yield _from_base64(letters)
    if len(letters) >= SHORTEST_RUN:
        yield _from_base32(letters)
    yield from _from_hex(text.replace(b"0x", b""))
    padded = [piece[len(piece.rstrip(_BASE64)) :] for piece in text.split(b"=")[:-1]]
    if len(padded) >= SEVERAL:
        yield b"".join(_aligned(one.translate(_STANDARD)) for one in padded if one)
    codes = _NUMBERS.findall(text)
    if len(codes) >= SHORTEST_TEXT:
        yield bytes(map(int, codes))


def unpacked(parts: Sequence[bytes], most: int) -> Iterator[bytes]:
    """What is compressed in the first few runs that begin as such: of all together, little more than `most` bytes."""
    text = b" ".join(parts)
    for match in islice((one for head in _PACKED for one in head.finditer(text)), MOST_PACKED):
        for found in _opened(_aligned(match[0].translate(_STANDARD)), most):
            most -= len(found)
            yield found


def unpacked_bytes(raw: bytes, most: int) -> Iterator[bytes]:
    """What is compressed somewhere in `raw`, as `unpacked` gives it."""
    for begins, _ in _UNPACKERS:
        place = raw.find(begins)
        for _ in range(MOST_PACKED):
            if place < 0:
                break
            for found in _opened(raw[place:], most):
                most -= len(found)
                yield found
            place = raw.find(begins, place + 1)


def _opened(packed: bytes, most: int) -> Iterator[bytes]:
    for begins, unpacker in _UNPACKERS:
        if packed.startswith(begins):
            try:
                yield unpacker().decompress(packed, max(0, most) + 1)
            except (zlib.error, lzma.LZMAError, OSError, EOFError):
                continue


def texts(raw: bytes) -> bytes:
    """What of `raw` is text, one stretch after the other."""
    found = [*islice(_stretches(raw.translate(_PRINTED), _A_TEXT), FEW + 1)]
    if len(found) > FEW:
        return raw.translate(None, _UNPRINTED)
    return b" ".join(raw[begin:end] for begin, end in found)


def _stretches(marked: bytes, least: bytes) -> Iterator[Span]:
    begin = marked.find(least)
    while begin >= 0:
        end = marked.find(b" ", begin)
        end = len(marked) if end < 0 else end
        yield begin, end
        begin = marked.find(least, end)


def _may_be_text(run: bytes) -> bool:
    """Whether a run may be base64 of a text: no name of a field, and of the long ones no picture."""
    return _tells(run) if len(run) > LONG else not (run.islower() and (b"_" in run or b"-" in run))


def _tells(run: bytes) -> bool:
    """Whether either end of a long run is base64 of a text."""
    head, tail = run[: SAMPLE + 3].translate(_STANDARD), run[-SAMPLE - 3 :].translate(_STANDARD)
    return any(texts(_from_base64(end)) for end in (head, tail))


def _from_base64(text: bytes) -> bytes:
    """What it stands for at each of the four places where its first group may begin, one after the other.

    It is decoded once; the others are the same bits, two, four and six further on.
    """
    raw = _aligned(text + b"A" * (-len(text) % 4))
    bits = int.from_bytes(raw, "big")
    return b"\xff".join([raw, *((bits >> by).to_bytes(len(raw), "big") for by in (2, 4, 6))])


def _aligned(text: bytes) -> bytes:
    odd = len(text) % 4
    if odd == 1:
        text = text[:-1]
    elif odd:
        text += b"=" * (4 - odd)
    return binascii.a2b_base64(text)


def _from_hex(text: bytes) -> Iterator[bytes]:
    digits = text.translate(None, _NO_HEX)
    ways = [binascii.unhexlify(digits[start : start + (len(digits) - start) // 2 * 2]) for start in range(2)]
    yield b"\xff".join(ways)


def _from_base32(letters: bytes) -> bytes:
    try:
        return base64.b32decode(letters[: len(letters) // 8 * 8], casefold=True)
    except binascii.Error:
        return b""
