"""Doing many things a few at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """`items` in order, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def weighed(items: Iterable[_T], weigh: Callable[[_T], int], most: int) -> Iterator[Sequence[_T]]:
    """`items` in order, as many at a time as weigh `most` together, or one."""
    part: list[_T] = []
    weight = 0
    for item in items:
        more = weigh(item)
        if part and weight + more > most:
            yield part
            part, weight = [], 0
        part.append(item)
        weight += more
    if part:
        yield part
