"""What is looked for where a secret must not stand: its pieces in the spellings that can be searched as they are."""

import base64
import codecs
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from keycairn.domain.spellings import base64_cores, folded

SHORTEST = 12
"""Characters of the shortest secret, and of the shortest piece of a longer one, looked for in every spelling."""
SHORTEST_NEEDLE = 10
"""Letters and digits of a spelling that are looked for."""
MOST_PIECES = 4
"""Pieces of one secret that are looked for: cut into as many parts, or fewer, it leaves one of them whole."""
PIECE = 4
"""Characters in a row that a text and a secret share by chance seldom enough."""
WORD = 8
"""Characters that are compared at once."""
LONG_ROW = 3 * WORD - 1
"""Characters of a row that covers a word wherever every second one of a text is taken."""
LONG_BASE85 = 39
"""Letters and digits of base85 that are looked for, of a secret of some 48 characters: shorter rows cost all texts."""
MOST_WHOLE = 4
"""Parts of secrets that are looked for in every spelling; of a key file with more lines each counts as it is."""

PUBLIC_KEYS = frozenset({"sk-no-key-required", "no-key-required", "not-required", "your-api-key-here"})
"""What local servers and their documentation have people write where no key is needed. They protect nothing."""


class Rows:
    """Rows of characters that are looked for, of ASCII.

    Long ones are looked for all at once: wherever one stands, it covers one of the words that are taken out of the text
    at equal distances.
    """

    __slots__ = ("_joined", "_short", "_step", "_words", "all")

    def __init__(self, rows: Iterable[str]) -> None:
        self.all: tuple[str, ...] = tuple(dict.fromkeys(rows))
        self._joined = "\n".join(("", *self.all))
        self._short = tuple(row for row in self.all if len(row) < LONG_ROW)
        longer = [row for row in self.all if len(row) >= LONG_ROW]
        self._step = (min(map(len, longer), default=LONG_ROW) - WORD + 1) // WORD
        covered = WORD * self._step
        self._words = frozenset(
            word for row in longer for begin in range(WORD) for word in _words(row[begin : begin + covered])
        )

    def stand_in(self, text: str) -> bool:
        """Whether any of them stands in `text`."""
        for row in self._short:
            if row in text:
                return True
        if len(text) < LONG_ROW or self._words.isdisjoint(_words(text)[:: self._step]):
            return False
        return any(row in text for row in self.all)

    def begun(self, text: str, least: int) -> int:
        """How many of the last characters of `text` begin one of them, 0 where fewer than `least` do."""
        most = 0
        last = text[-PIECE:]
        if len(last) == PIECE and last in self._joined:
            for row in self.all:
                place = row.rfind(last, 0, -1)
                while place >= 0 and place + PIECE > most:
                    if text.endswith(row[: place + PIECE]):
                        most = place + PIECE
                    place = row.rfind(last, 0, place + PIECE - 1)
        for size in range(min(most, PIECE) or PIECE - 1, max(least, most + 1) - 1, -1):
            if len(text) >= size and f"\n{text[-size:]}" in self._joined:
                return size
        return most

    def share(self, text: str, size: int) -> bool:
        """Whether so many characters in a row of `text` stand in one of them."""
        return any(text[begin : begin + size] in self._joined for begin in range(len(text) - size + 1))


def _words(text: str) -> memoryview:
    return memoryview(text[: len(text) // WORD * WORD].encode()).cast("Q")


class Needles:
    """The needles of some secrets, by what a text is reduced to before they are looked for."""

    __slots__ = ("anywhere", "digits", "exact", "hexes", "often", "rare", "squeezed")

    def __init__(self, texts: Sequence[str]) -> None:
        plain: list[str] = []
        encoded: list[str] = []
        base85: list[str] = []
        rare: list[str] = []
        digits: list[str] = []
        hexes: list[str] = []
        exact: list[bytes] = []
        for text in texts:
            raw = text.encode("utf-8", "surrogatepass")
            plain += _usable(_plain(raw))
            if len(texts) <= MOST_WHOLE:
                cores = [folded(one) for way in (raw, raw[::-1]) for one in base64_cores(way)]
                encoded += _usable(cores)
                seldom = (*(one[::-1] for one in cores), *map(folded, _base32_cores(raw)), *_turned(raw))
                base85 += (one for one in map(folded, _base85_cores(raw)) if len(one) >= LONG_BASE85)
                rare += (*_usable(seldom), *base85)
                digits += _numbers(raw)
                hexes += _hexes(raw)
            if len(folded(raw)) < SHORTEST_NEEDLE:
                exact += [raw, raw[::-1]]
        self.anywhere: Rows = Rows((*plain, *encoded, *base85))
        """All that are looked for among the letters and digits of every text."""
        self.often: Rows = Rows((*plain, *encoded))
        """Among letters and digits, in lower case: a secret in its pieces, and its base64."""
        self.rare: Rows = Rows(rare)
        """The same, of what is seldom written: base64 backwards, base32, base85, letters turned by 13."""
        self.squeezed: Rows = Rows((*self.often.all, *self.rare.all))
        """All that are looked for among letters and digits."""
        self.digits: Rows = Rows(digits)
        """Among decimal digits: the codes of characters, as lists and calls of `chr` have them."""
        self.hexes: Rows = Rows(hexes)
        """Among hexadecimal digits."""
        self.exact: tuple[bytes, ...] = tuple(exact)
        """As bytes: secrets with few letters and digits."""


def parts(secret: str) -> Iterable[str]:
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


def _usable(spellings: Iterable[str]) -> Iterable[str]:
    return (one for one in spellings if len(one) >= SHORTEST_NEEDLE)


def _plain(raw: bytes) -> Iterable[str]:
    """A secret in its pieces, forwards and backwards, as `folded` leaves it.

    Where it begins with a letter that behind a backslash is an escape, its beginning is looked for without.
    """
    pieces = _cut(folded(raw), MOST_PIECES)
    if pieces[0].startswith(tuple("bfnrt")):
        yield pieces[0][1:]
    for piece in pieces:
        yield from (piece, piece[::-1])


def _turned(raw: bytes) -> Iterable[str]:
    """The same with its letters turned by 13."""
    for piece in _cut(codecs.encode(folded(raw), "rot13"), 2):
        yield from (piece, piece[::-1])


def _cut(text: str, most: int) -> list[str]:
    """`text` in pieces of at least `SHORTEST` characters, as even as may be."""
    number = max(1, min(most, len(text) // SHORTEST))
    ends = (len(text) * part // number for part in range(number + 1))
    return [text[begin:end] for begin, end in pairwise(ends)]


def _halves(raw: bytes) -> list[bytes]:
    middle = len(raw) // 2
    return [raw[:middle], raw[middle:]] if middle >= SHORTEST else [raw]


def _base32_cores(raw: bytes) -> Iterable[bytes]:
    """What of its base32 does not depend on what stands around it, for each of the five alignments."""
    for shift in range(5):
        begin, end = -(-shift * 8 // 5), (shift + len(raw)) * 8 // 5
        yield base64.b32encode(bytes(shift) + raw)[begin:end]


def _base85_cores(raw: bytes) -> Iterable[bytes]:
    """The same of its base85 in both alphabets, for each of the four alignments."""
    for shift in range(min(4, len(raw))):
        whole = raw[shift : shift + (len(raw) - shift) // 4 * 4]
        yield from (base64.b85encode(whole), base64.a85encode(whole))


def _swapped(raw: bytes) -> Iterable[str]:
    """The codes of its characters in words of two and four bytes, the last byte of each first."""
    for size in (2, 4):
        for shift in range(size):
            words = (raw[place : place + size] for place in range(shift, len(raw) - size + 1, size))
            yield b"".join(word[::-1] for word in words).hex()


def _numbers(raw: bytes) -> Iterable[str]:
    """The codes of its characters in a row: decimal and octal, with zeros around and without, binary, numbered."""
    for half in _halves(raw):
        for codes in (half, half[::-1]):
            yield "".join(str(code) for code in codes)
            yield "".join(f"{code:03}" for code in codes)
            yield "".join(f"{code:o}" for code in codes)
            yield "".join(f"{code:03o}" for code in codes)
            yield "".join(f"0{code:o}" for code in codes)
            yield "".join(f"{code}0" for code in codes)
    first = _halves(raw)[0]
    yield "".join(f"{code:08b}" for code in first)
    yield "".join(f"{code:07b}" for code in first)
    yield "".join(f"{place}{code}" for place, code in enumerate(first))


def _hexes(raw: bytes) -> Iterable[str]:
    """The codes of its characters in hexadecimal, of two digits, three, four, six and eight (UTF-16 and UTF-32)."""
    for half in _halves(raw):
        yield half.hex()
        yield half.hex()[::-1]
        yield half[::-1].hex()
        yield from _swapped(half)
        for zeros in ("0", "00", "0000", "000000"):
            yield zeros.join(f"{code:02x}" for code in half)
