"""Keeping the secrets of a call out of what is kept, logged, shown or passed on.

Whoever answers a call knows its key, and may repeat it in any spelling. Text is reduced to its letters and digits in
lower case, so that no separator and no change of case makes a difference, and the secrets are looked for in that form;
then once more in what the text is when its escapes are undone and its base64 and hex are decoded, a few layers deep.
"""

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import AnyStr

import msgspec

from keycairn.domain.secret import MASK, Secret
from keycairn.domain.spellings import Span, base64_cores, escaped, even, folded, may_hold_text, readings, runs

SHORTEST = 12
"""Characters of the shortest secret that is looked for in every spelling."""
SHORTEST_WORD = 6
"""The same, as it is and in a text that is no content: `ollama` is a local server's key, and a word of every day."""
SHORTEST_NEEDLE = 10
"""Letters and digits of a spelling that are looked for."""
LONGEST = 65_536
"""Characters of a text that is kept. No provider says so much about a model or an error."""
DEPTH = 4
"""How many layers of encoding are undone."""
WITHHELD = "(left out: it may hold a secret)"
ROUNDS = 8

PUBLIC_KEYS = frozenset({"sk-no-key-required", "no-key-required", "not-required", "your-api-key-here"})
"""What local servers and their documentation have people write where no key is needed. They protect nothing."""


class Redactor:
    """Knows the secrets of one call. Its repr shows none of them."""

    __slots__ = ("_begun", "_encoded", "_exact", "_more", "_pieced", "_words", "needles")

    def __init__(self, secrets: Iterable[Secret | str] = ()) -> None:
        texts = {part for one in secrets for part in _parts(one.reveal() if isinstance(one, Secret) else one)}
        needles: dict[str, None] = {}
        encoded: dict[str, None] = {}
        exact: list[bytes] = []
        for text in sorted(texts, key=len, reverse=True):
            if len(text) >= SHORTEST and text not in PUBLIC_KEYS:
                raw = text.encode("utf-8", "surrogatepass")
                needles.update(dict.fromkeys(_usable(_plain(raw))))
                if len(texts) <= MOST_WHOLE:
                    needles.update(dict.fromkeys(_halves(folded(raw))))
                    needles.update(dict.fromkeys(_usable([raw.hex()])))
                    encoded.update(dict.fromkeys(_usable(map(folded, (*base64_cores(raw), *base64_cores(raw[::-1]))))))
                if len(folded(raw)) < SHORTEST_NEEDLE:
                    exact += [raw, raw[::-1]]
        self.needles: tuple[str, ...] = tuple(needles)
        """The spellings that are looked for everywhere, in letters and digits."""
        self._encoded = tuple(encoded)
        self._exact = tuple(exact)
        self._begun: tuple[frozenset[str], Mapping[str, Sequence[int]]] | None = None
        self._pieced: frozenset[str] | None = None
        self._more: dict[str, Redactor] = {}
        self._words = tuple(sorted((one for one in texts if len(one) >= SHORTEST_WORD), key=len, reverse=True))

    def __repr__(self) -> str:
        return f"Redactor({MASK})"

    def __bool__(self) -> bool:
        return bool(self.needles or self._exact)

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

    @property
    def _beginnings(self) -> tuple[frozenset[str], Mapping[str, Sequence[int]]]:
        """All beginnings of what is looked for, and their lengths by their last character, longest first.

        They are for texts that come in pieces, and cost more than all the rest: made when first asked for.
        """
        if self._begun is None:
            beginnings = frozenset(one[:size] for one in (*self.needles, *self._encoded) for size in range(1, len(one)))
            sizes: dict[str, list[int]] = {}
            for one in sorted(beginnings, key=len, reverse=True):
                known = sizes.setdefault(one[-1], [])
                if len(one) not in known:
                    known.append(len(one))
            self._begun = beginnings, sizes
        return self._begun

    @property
    def _pieces(self) -> frozenset[str]:
        """The shortest pieces of what is looked for, made when first asked for."""
        if self._pieced is None:
            self._pieced = frozenset(
                one[begin : begin + SHORTEST_PIECE]
                for one in self.needles
                for begin in range(len(one) - SHORTEST_PIECE + 1)
            )
        return self._pieced

    def resembles(self, data: bytes) -> bool:
        """Whether any piece of a secret stands in `data`."""
        squeezed, pieces = folded(data), self._pieces
        return any(squeezed[begin : begin + SHORTEST_PIECE] in pieces for begin in range(len(squeezed)))

    def piece_ends(self, squeezed: str) -> bool:
        """Whether the last characters of a folded text are some of a secret, more than chance makes alike."""
        return squeezed[-SHORTEST_PIECE:] in self._pieces

    def beginning(self, squeezed: str, least: int = 1) -> int:
        """How many of the last characters of a folded text begin a secret, 0 where fewer than `least` do."""
        beginnings, sizes = self._beginnings
        for size in sizes.get(squeezed[-1:], ()):
            if size < least:
                return 0
            if size <= len(squeezed) and squeezed[-size:] in beginnings:
                return size
        return 0

    def within(self, data: bytes, *, depth: int = DEPTH, thorough: bool = False) -> bool:
        """Whether a secret stands in `data` in any spelling."""
        squeezed = folded(data)
        for needle in self.needles:
            if needle in squeezed:
                return True
        for one in self._exact:
            if one in data:
                return True
        for needle in self._encoded:
            if needle in squeezed:
                return True
        if not thorough and next(runs(data), None) is None and not escaped(data):
            return False
        return depth > 0 and any(
            self.within(reading.text, depth=depth - 1 if may_hold_text(reading.text) else 0, thorough=thorough)
            for reading in readings(data, thorough=thorough)
        )

    def spans(self, data: bytes, *, depth: int = DEPTH, thorough: bool = False) -> list[Span]:
        """Where secrets stand in `data`."""
        found = self._plain_spans(data)
        if depth > 0:
            for reading in readings(data, thorough=thorough):
                inner = self.spans(reading.text, depth=depth - 1, thorough=thorough)
                found += [reading.place(begin, end) for begin, end in inner]
        return found

    def holds(self, text: str) -> bool:
        """Whether a secret stands in a text that is to be kept or shown, or the text is too long to tell."""
        if len(text) > LONGEST:
            return True
        if not self:
            return False
        plain = unicodedata.normalize("NFKC", text)
        raws = {one.encode("utf-8", "surrogatepass") for one in (text, plain)}
        if max(map(len, raws)) < SHORTEST_NEEDLE:  # no reading of a text is longer than it
            return False
        return any(self.within(way, thorough=True) for raw in raws for way in (raw, raw[::-1]))

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

    def _plain_spans(self, data: bytes) -> list[Span]:
        squeezed = folded(data)
        hits = [
            (begin, begin + len(needle))
            for needle in (*self.needles, *self._encoded)
            for begin in _everywhere(needle, squeezed)
        ]
        found = [(begin, begin + len(one)) for one in self._exact for begin in _everywhere(one, data)]
        if hits:
            places = [place for place, byte in enumerate(even(data)) if byte in _KEPT]
            found += [(places[begin], places[end - 1] + 1) for begin, end in hits]
        return found


MOST_KEPT = 16
SHORTEST_PIECE = 4
_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
MOST_WHOLE = 4
"""Parts of secrets that are looked for in every spelling; of a key file with more lines each counts as it is."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in their order, those that meet or overlap as one."""
    whole: list[Span] = []
    for begin, end in sorted(spans):
        if whole and begin <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((begin, end))
    return whole


def replaced(data: bytes, spans: Sequence[Span], by: Callable[[bytes], bytes]) -> bytes:
    """`data` with each of `spans`, which are apart and in order, replaced."""
    pieces, after = [], 0
    for begin, end in spans:
        pieces += [data[after:begin], by(data[begin:end])]
        after = end
    return b"".join([*pieces, data[after:]])


def _everywhere(needle: AnyStr, data: AnyStr) -> Iterable[int]:
    begin = data.find(needle)
    while begin >= 0:
        yield begin
        begin = data.find(needle, begin + 1)


def _plain(raw: bytes) -> Iterable[str]:
    """A secret as it is and backwards, as `folded` leaves it.

    Where it begins with a letter that behind a backslash is an escape, it is looked for without.
    """
    plain = folded(raw)
    return (plain, plain[::-1], plain[1:]) if plain.startswith(tuple("bfnrt")) else (plain, plain[::-1])


def _halves(plain: str) -> Iterable[str]:
    """The halves of a secret, forwards and backwards: cut once, at any place, it leaves one of them whole."""
    middle = len(plain) // 2
    if middle >= SHORTEST:
        for half in (plain[:middle], plain[middle:]):
            yield from (half, half[::-1])


def _usable(spellings: Iterable[str]) -> Iterable[str]:
    return (one for one in spellings if len(one) >= SHORTEST_NEEDLE)


def _parts(secret: str) -> Iterable[str]:
    """A secret and, of one that is a document such as a key file, the parts that are secret in themselves."""
    text = secret.strip()
    yield text
    if "\n" not in text and not text.startswith("{"):
        return
    try:
        document = msgspec.json.decode(text.encode("utf-8", "surrogatepass"))
    except (msgspec.MsgspecError, RecursionError):
        document = text
    for value in document.values() if isinstance(document, dict) else [document]:
        if isinstance(value, str) and "://" not in value and "@" not in value:
            yield from (line for line in map(str.strip, value.splitlines()) if len(line) >= 20 and "-----" not in line)
