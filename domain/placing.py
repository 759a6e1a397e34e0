"""Placing what is found in a squeezed text where it stands in the text itself, and putting something else there."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from keycairn.domain.spellings import Span

MOST_HITS = 16
"""Places that are told apart; of more, all that lies between the first and the last is one."""


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


def located(shown: bytes, without: bytes, squeezed: str, needles: Sequence[str]) -> Iterator[Span]:
    """Where in `shown` needles stand that are found in `squeezed`, which is `shown` without some characters."""
    hits: list[Span] = []
    for needle in needles:
        begin = squeezed.find(needle)
        while begin >= 0 and len(hits) <= MOST_HITS:
            hits.append((begin, begin + len(needle)))
            begin = squeezed.find(needle, begin + 1)
    if len(hits) > MOST_HITS:
        among = [needle for needle in needles if needle in squeezed]
        last = max(squeezed.rfind(needle) + len(needle) for needle in among)
        hits = [(min(map(squeezed.find, among)), last)]
    if hits:
        places = _Places(shown, without)
        for begin, end in hits:
            yield places.of(begin), places.of(end - 1) + 1


def from_end(text: bytes, without: bytes, size: int) -> int:
    """Where the last `size` characters of `text` begin, some not counted."""
    skipped, place = frozenset(without), len(text)
    while size:
        place -= 1
        size -= text[place] not in skipped
    return place


class _Places:
    """Where the characters of a squeezed text stood before."""

    BLOCK = 32

    def __init__(self, shown: bytes, without: bytes) -> None:
        self._shown = shown
        self._without = frozenset(without)
        self._counts = [0]
        for begin in range(0, len(shown), self.BLOCK):
            self._counts.append(self._counts[-1] + len(shown[begin : begin + self.BLOCK].translate(None, without)))

    def of(self, index: int) -> int:
        """The place of the squeezed text's character of that index."""
        block = bisect_right(self._counts, index) - 1
        left, place = index - self._counts[block], block * self.BLOCK
        while True:
            if self._shown[place] not in self._without:
                if not left:
                    return place
                left -= 1
            place += 1


def everywhere(needle: bytes, data: bytes) -> Iterator[Span]:
    """Where `needle` stands."""
    begin = data.find(needle)
    while begin >= 0:
        yield begin, begin + len(needle)
        begin = data.find(needle, begin + len(needle))
