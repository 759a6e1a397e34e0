"""Lists that are kept in order while entries come and go, many at once where many do."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from keycairn.domain.ids import CredentialId

MANY = 100
"""Entries that enter or leave an ordered list at once, from which on going through it is cheaper."""
_O = TypeVar("_O", str, tuple[str, datetime, CredentialId])


def enter(order: list[_O], some: Sequence[_O]) -> None:
    """Put entries into an ordered list."""
    if len(some) > MANY:
        order += some
        order.sort()
    else:
        for one in some:
            insort(order, one)


def without(order: list[_O], some: Sequence[_O]) -> list[_O]:
    """An ordered list without some of its entries."""
    if len(some) > MANY:
        gone = set(some)
        begin, end = bisect_left(order, min(gone)), bisect_right(order, max(gone))
        order[begin:end] = [one for one in order[begin:end] if one not in gone]
        return order
    for one in some:
        order.pop(bisect_left(order, one))
    return order
