"""Work on many records in turns, so that none of it holds up everyone else who is served."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

TURN = 100
"""Records of one turn: a few milliseconds."""

_T = TypeVar("_T")
_R = TypeVar("_R")


async def in_turns(items: Iterable[_T], make: Callable[[_T], _R], *, at_once: int = TURN) -> list[_R]:
    """What `make` makes of each item, of `at_once` before others have their turn."""
    made: list[_R] = []
    rest = iter(items)
    while turn := [make(item) for item in islice(rest, at_once)]:
        made += turn
        await asyncio.sleep(0)
    return made


async def each(items: Iterable[_T]) -> AsyncIterator[_T]:
    """The items one by one; others have their turn in between."""
    for done, item in enumerate(items, 1):
        yield item
        if done % TURN == 0:
            await asyncio.sleep(0)


async def json_list(items: Sequence[object]) -> bytes:
    """The items as a JSON array."""
    return b"".join(await json_pieces(items))


async def json_pieces(items: Sequence[object]) -> list[bytes]:
    """The same in pieces: putting millions of bytes together holds up everyone too."""
    pieces = [b"["]
    for start in range(0, len(items), TURN):
        pieces.append(b"," * (start > 0) + msgspec.json.encode(items[start : start + TURN])[1:-1])
        await asyncio.sleep(0)
    return [*pieces, b"]"]


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
