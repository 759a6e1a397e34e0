"""Decoding what a text may hold of base64, base32, hex and numbers: all of it in a few passes, wherever it stands.

Nothing here asks where in the text something stood; that makes it cheap however many encodings there are.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from itertools import islice

from keycairn.domain.spellings import LETTERS, Span

LARGEST_UNPACKED = 2**16
"""Bytes of a compressed text that are unpacked."""
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
_HEADS = (b"H4sI", b"eJ", b"eN", b"eA", b"eF")
_PACKED = re.compile(rb"(?<![A-Za-z0-9+/])(?:H4sI|eJ|eN|eA|eF)[A-Za-z0-9+/_-]{14,}")
"""How the base64 of gzip and of zlib begins."""


def runs(text: bytes) -> Iterator[Span]:
    """Where characters of base64 stand in a row, so many that they can hold a key."""
    return _stretches(text.translate(_RUN), _A_RUN)


def decoded(text: bytes, *, dense: bool = False) -> Iterator[bytes]:
    """What `text` is when its base64 is decoded, at each alignment, its hex, and what is compressed in its base64.

    `dense`: as if there was nothing else in it, whatever stands in between.
    """
    whole = text.translate(_STANDARD, _NO_BASE64) if dense else _runs_of_text(text)
    if len(whole) >= SHORTEST_RUN:
        yield _from_base64(whole)
        yield from _unpacked(text)
    if dense:
        yield from _dense(text, whole)
    elif _HEX_RUN in text.translate(_HEX):
        yield from _from_hex(text)


def texts(raw: bytes) -> bytes:
    """What of `raw` is text, one stretch after the other."""
    most = FEW + len(raw) // FEW
    found = [*islice(_stretches(raw.translate(_PRINTED), _A_TEXT), most + 1)]
    if len(found) > most:
        return raw.translate(None, _UNPRINTED)
    return b" ".join(raw[begin:end] for begin, end in found)


def _stretches(marked: bytes, least: bytes) -> Iterator[Span]:
    begin = marked.find(least)
    while begin >= 0:
        end = marked.find(b" ", begin)
        end = len(marked) if end < 0 else end
        yield begin, end
        begin = marked.find(least, end)


def _runs_of_text(text: bytes) -> bytes:
    """The runs that may be base64 of a text: no names of fields, and of the long ones no pictures.

    Where they are many, all of the text: that costs less than to tell them apart.
    """
    found = [*islice(runs(text), FEW + 1)]
    if len(found) > FEW:
        return text.translate(_STANDARD, _NO_BASE64)
    kept = []
    for begin, end in found:
        run = text[begin:end]
        if _tells(run) if end - begin > LONG else not (run.islower() and (b"_" in run or b"-" in run)):
            kept.append(run)
    return b"".join(kept).translate(_STANDARD)


def _tells(run: bytes) -> bool:
    """Whether either end of a long run is base64 of a text."""
    head, tail = run[: SAMPLE + 3].translate(_STANDARD), run[-SAMPLE - 3 :].translate(_STANDARD)
    return any(texts(_from_base64(end)) for end in (head, tail))


def _from_base64(text: bytes) -> bytes:
    """What it stands for at each of the four places where its first group may begin, one after the other."""
    return b"\xff".join([_aligned(text[shift:]) for shift in range(4)])


def _aligned(text: bytes) -> bytes:
    odd = len(text) % 4
    if odd == 1:
        text = text[:-1]
    elif odd:
        text += b"=" * (4 - odd)
    return binascii.a2b_base64(text)


def _dense(text: bytes, whole: bytes) -> Iterator[bytes]:
    letters = whole.translate(None, b"+/")
    if len(letters) < len(whole):
        yield _from_base64(letters)
    if len(letters) >= SHORTEST_RUN:
        yield _from_base32(letters)
    yield from _from_hex(text.replace(b"0x", b""))
    codes = _NUMBERS.findall(text)
    if len(codes) >= SHORTEST_TEXT:
        yield bytes(map(int, codes))


def _from_hex(text: bytes) -> Iterator[bytes]:
    digits = text.translate(None, _NO_HEX)
    ways = [binascii.unhexlify(digits[start : start + (len(digits) - start) // 2 * 2]) for start in range(2)]
    yield b"\xff".join(ways)


def _from_base32(letters: bytes) -> bytes:
    try:
        return base64.b32decode(letters[: len(letters) // 8 * 8], casefold=True)
    except binascii.Error:
        return b""


def _unpacked(text: bytes) -> Iterator[bytes]:
    """What is compressed in the first few runs that begin as such."""
    if not any(head in text for head in _HEADS):
        return
    for number, match in enumerate(_PACKED.finditer(text)):
        if number == MOST_PACKED:
            return
        packed = _aligned(match[0].translate(_STANDARD))
        try:
            yield zlib.decompressobj(47).decompress(packed, LARGEST_UNPACKED)
        except zlib.error:
            continue
