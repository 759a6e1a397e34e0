"""Keeping the secrets of a call out of what is kept, logged, shown or passed on.

Whoever answers a call knows its key, and may repeat it in any spelling. Text is reduced to its letters and digits in
lower case, so that no separator and no change of case makes a difference, and the secrets are looked for in that form;
then once more in what the text is when its escapes are undone and its base64 and hex are decoded, a few layers deep.

How much is done is bounded by the length of the text. A text that asks for more counts as one that holds a secret.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from keycairn.domain.decoding import SHORTEST_TEXT, decoded, dense, parts_of, texts, unpacked, unpacked_bytes
from keycairn.domain.layouts import laid_out
from keycairn.domain.needles import PIECE, PUBLIC_KEYS, SHORTEST, SHORTEST_NEEDLE, Needles, parts
from keycairn.domain.placing import everywhere, from_end, located, merged, replaced
from keycairn.domain.secret import MASK, Secret
from keycairn.domain.spellings import FOLD, SEPARATORS, Span, even, folded, plain_forms, readings

SHORTEST_WORD = 6
"""Characters of a secret that is looked for as it is, in a text that is no content.

`ollama` is a local server's key, and a word of every day.
"""
LONGEST = 8192
"""Characters of a text that is kept. No provider says so much about a model or an error."""
DEPTH = 4
"""How many layers of encoding are undone."""
WITHHELD = "(left out: it may hold a secret)"
ROUNDS = 4
EFFORT, LEAST_EFFORT = 4, 2048
"""Bytes that are read of a text once more, for each of its own, and at least."""
THOROUGH_EFFORT = 60
"""The same of a text that is kept, which is short."""
READ_AT_ONCE = 4
"""How often what is decoded stands in a reading: base64 is read at each of four places where it may begin."""
UNPACKED = 8
"""Bytes of what is compressed in a text that are read, for each of its own."""
MOST_UNITS = 96
"""Lines, values and words of a text that are looked at one by one; where there are more, all of them count as one."""
MOST_KEPT = 16
WIDEST_DIGIT = 3
"""Bytes for each digit of words in hexadecimal, with what stands before and between them."""
NEAR_END = 16
"""Bytes within which codes of characters follow one another."""

_NO_DIGITS = bytes(byte for byte in range(256) if byte not in b"0123456789")
_NO_HEX = bytes(byte for byte in range(256) if byte not in b"0123456789abcdef")
_NO_HEX_OF_ANY_CASE = bytes(byte for byte in range(256) if byte not in b"0123456789abcdefABCDEF")
_DIGITS = bytes(97 if byte in b"0123456789abcdefxuh" else 32 for byte in range(256))
_MANY_DIGITS = b"a" * 20
"""A row of digits that may be the codes of characters, once all separators are gone."""
_UNITS = (re.compile(rb"[^\n]+"), re.compile(rb'[^"\n]+'), re.compile(rb'[^"\s,]+'))
"""What holds a spelling of a secret, from the largest to the smallest: lines, values, words."""


class Redactor:
    """Knows the secrets of one call. Its repr shows none of them."""

    __slots__ = ("_more", "_needles", "_words")

    def __init__(self, secrets: Iterable[Secret | str] = ()) -> None:
        found = {part for one in secrets for part in parts(one.reveal() if isinstance(one, Secret) else one)}
        ordered = sorted(found, key=len, reverse=True)
        self._needles = Needles([one for one in ordered if len(one) >= SHORTEST and one not in PUBLIC_KEYS])
        self._more: dict[str, Redactor] = {}
        self._words = tuple(one for one in ordered if len(one) >= SHORTEST_WORD)

    def __repr__(self) -> str:
        return f"Redactor({MASK})"

    def __bool__(self) -> bool:
        return bool(self._needles.often.all or self._needles.exact)

    def and_also(self, text: str) -> "Redactor":
        """One that knows `text` as well, such as a token that was made for the call. The last few are kept."""
        if len(text) < SHORTEST_WORD or text.endswith(self._words):
            return self
        more = self._more.get(text)
        if more is None:
            if len(self._more) >= MOST_KEPT:
                self._more.clear()
            more = self._more[text] = Redactor((*self._words, text))
        return more

    def resembles(self, word: bytes) -> bool:
        """Whether any piece of a secret stands in `word`."""
        squeezed, digits, hexes = folded(word), _digits(word), _hexes(word)
        return (
            self._needles.squeezed.share(squeezed, PIECE)
            or self._needles.digits.share(digits, 2 * PIECE)
            or self._needles.hexes.share(hexes, 2 * PIECE)
        )

    def piece_ends(self, text: bytes) -> bool:
        """Whether the last characters of `text` are some of a secret, more than chance makes alike."""
        needles = self._needles
        return (
            needles.squeezed.share(folded(text)[-PIECE:], PIECE)
            or needles.digits.share(_digits(text)[-PIECE:], PIECE)
            or needles.hexes.share(_hexes(text)[-PIECE:], PIECE)
        )

    def begins(self, text: bytes, least: int = 1) -> int:
        """Where the end of `text` begins that is the beginning of a secret: its length where there is none.

        Of less than `least` characters it is none, nor of fewer than four digits, which may be any number, nor of fewer
        than four characters of what is seldom written.
        """
        found = len(text)
        squeezed, needles = folded(text), self._needles
        often = needles.often.begun(squeezed, least)
        if size := max(often, needles.rare.begun(squeezed, PIECE)):
            found = from_end(even(text), SEPARATORS, size)
        if text[-NEAR_END:].translate(None, _NO_DIGITS):
            if size := needles.digits.begun(_digits(text), PIECE):
                found = min(found, from_end(text, _NO_DIGITS, size))
            if size := needles.hexes.begun(_hexes(text), PIECE):
                found = min(found, from_end(text, _NO_HEX_OF_ANY_CASE, size))
            if b"0x" in text:
                digits = _hexes(text.replace(b"0x", b""))
                size = max(needles.hexes.begun(one, PIECE) for one in (digits, digits.removesuffix("0")))
                found = min(found, len(text) - WIDEST_DIGIT * size)
        return found

    def within(self, data: bytes, *, depth: int = DEPTH, thorough: bool = False) -> bool:
        """Whether a secret stands in `data` in any spelling, or it takes too long to tell.

        `thorough` looks at a short text as if it was nothing else than the spelling, whatever stands in between.
        """
        effort = _Effort(len(data), THOROUGH_EFFORT if thorough else EFFORT)
        return self._stands_in(data, effort) or self._below(data, depth, effort, thorough=thorough)

    def _below(self, data: bytes, depth: int, effort: "_Effort", *, thorough: bool) -> bool:
        """Whether a secret stands in a reading of `data`, where its own letters are looked at already."""
        if depth <= 0:
            return False
        for plain in chain(readings(data), laid_out(data, effort.digits)):
            if not effort.allows(len(plain)) or self._stands_in(plain, effort):
                return True
            if self._below(plain, depth - 1, effort, thorough=thorough):
                return True
        parts = parts_of(data)
        if parts and self._needles.rare.stand_in(folded(b"".join(parts))):
            return True
        return any(
            self._holds_decoded(one, depth, effort, thorough=thorough)
            for one in self._encodings(data, parts, effort, thorough=thorough)
        )

    def _encodings(
        self, data: bytes, parts: list[bytes], effort: "_Effort", *, thorough: bool
    ) -> Iterator[bytes | None]:
        """What `data` may be decoded to; None where that is more than may be read."""
        for one in dense(data) if thorough else decoded(parts):
            yield one if effort.allows(len(one) // READ_AT_ONCE) else None
        yield from _fitting(unpacked(parts, effort.room), effort)

    def _holds_decoded(self, data: bytes | None, depth: int, effort: "_Effort", *, thorough: bool) -> bool:
        if data is None or self._stands_in(data, effort):
            return True
        text = texts(data)
        if len(text) >= SHORTEST_TEXT and self._below(text, depth - 1, effort, thorough=thorough):
            return True
        inner = _fitting(unpacked_bytes(data, effort.room), effort) if depth > 1 else ()
        return any(self._holds_decoded(one, depth - 1, effort, thorough=thorough) for one in inner)

    def _stands_in(self, data: bytes, effort: "_Effort") -> bool:
        """Whether a secret stands in `data` in a spelling that needs no decoding."""
        squeezed = folded(data)
        if self._needles.anywhere.stand_in(squeezed) or any(one in data for one in self._needles.exact):
            return True
        effort.digits = digits = _digits(data)
        return self._needles.digits.stand_in(digits) or (
            _has_hex(squeezed) and any(map(self._needles.hexes.stand_in, _ways_of_hexes(data)))
        )

    def spans(self, data: bytes, *, depth: int = DEPTH, thorough: bool = False) -> list[Span]:
        """Where secrets stand in `data`: their spellings, or the smallest units of the text that hold one.

        What is left may hold another one, in another spelling: ask again.
        """
        found = self.plain_spans(data)
        if found or not self.within(data, depth=depth, thorough=thorough):
            return found
        left = MOST_UNITS
        found = [(0, len(data))]
        for unit in _UNITS:
            units = [match.span() for whole in found for match in islice(unit.finditer(data, *whole), left + 1)]
            left -= len(units)
            if left < 0:
                break
            holding = [one for one in units if self.within(data[slice(*one)], depth=depth, thorough=thorough)]
            if not holding:
                break
            found = holding
        return found

    def holds(self, text: str) -> bool:
        """Whether a secret stands in a text that is to be kept or shown, or the text is too long to tell."""
        if len(text) > LONGEST:
            return True
        if not self:
            return False
        raw = text.encode("utf-8", "surrogatepass")
        if len(raw) < SHORTEST_NEEDLE:  # no reading of a text is longer than it
            return False
        ways = [raw] if text.isascii() else [raw, plain_forms(raw)]
        return any(self.within(way, thorough=True) for one in ways for way in (one, one[::-1]))

    def masked(self, text: str) -> str:
        """A text that is to be kept or shown, without secrets. What cannot be looked into is left out."""
        if len(text) > LONGEST:
            return WITHHELD
        for word in self._words:
            text = text.replace(word, MASK)
        for _ in range(ROUNDS):
            if not self.holds(text):
                return text
            data = text.encode("utf-8", "surrogatepass")
            spans = merged(self.spans(data, thorough=True))
            if not spans:
                break
            text = replaced(data, spans, lambda _: MASK.encode()).decode("utf-8", "replace")
        return WITHHELD

    def masked_json(self, body: bytes) -> bytes | None:
        """A JSON text without secrets, byte for byte as it was when there were none. None where that cannot be."""
        if not any(word.encode("utf-8", "replace") in body for word in self._words) and not self.within(body):
            return body
        try:
            shown = json.dumps(self._walked(json.loads(body)), ensure_ascii=False, separators=(",", ":")).encode()
        except (ValueError, RecursionError):
            return None
        return None if self.within(shown) else shown

    def _walked(self, value: object) -> object:
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, dict):
            return {self.masked(name): self._walked(inner) for name, inner in value.items()}
        return [self._walked(inner) for inner in value] if isinstance(value, list) else value

    def plain_spans(self, data: bytes) -> list[Span]:
        """Where secrets stand in `data` in spellings that need no decoding."""
        squeezed = folded(data)
        found = [*located(even(data), SEPARATORS, squeezed, self._needles.squeezed.all)]
        found += located(data, _NO_DIGITS, _digits(data), self._needles.digits.all)
        if _has_hex(squeezed):
            found += located(data.translate(FOLD), _NO_HEX, _hexes(data), self._needles.hexes.all)
        return found + [(begin, end) for one in self._needles.exact for begin, end in everywhere(one, data)]


class _Effort:
    """What may be spent on one text, in bytes of its readings."""

    __slots__ = ("_left", "digits", "room")

    def __init__(self, size: int, each: int) -> None:
        self._left = each * size + LEAST_EFFORT
        self.digits = ""  # of what was looked at last
        self.room = UNPACKED * size + LEAST_EFFORT
        """Bytes that may still be unpacked."""

    def allows(self, size: int) -> bool:
        """Whether so much more may be read; it counts as read from then on."""
        self._left -= size
        return self._left >= 0

    def has_room(self, size: int) -> bool:
        """Whether so much that was compressed may be read; it counts as read from then on."""
        self.room -= size
        return self.room >= 0


def _fitting(unpacked: Iterable[bytes], effort: _Effort) -> Iterator[bytes | None]:
    for one in unpacked:
        yield one if effort.has_room(len(one)) and effort.allows(len(one) // READ_AT_ONCE) else None


def _has_hex(squeezed: str) -> bool:
    """Whether there are so many digits in a row that they may be the codes of characters."""
    return _MANY_DIGITS in squeezed.encode().translate(_DIGITS)


def _digits(data: bytes) -> str:
    return data.translate(None, _NO_DIGITS).decode("ascii")


def _ways_of_hexes(data: bytes) -> Iterator[str]:
    yield _hexes(data)
    if b"0x" in data:
        yield _hexes(data.replace(b"0x", b""))


def _hexes(data: bytes) -> str:
    return data.translate(FOLD, _NO_HEX_OF_ANY_CASE).decode("ascii")
