"""Sharing what may be used among processes: each takes a part of what is left, uses that, and takes another.

So nothing has to be asked for each call, and all together use no more than there is. What is taken is a part of what is
left for each process there is, so that little is left lying where it is not used.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from math import floor

from msgspec import Struct
from msgspec.structs import replace

AHEAD = 0.25
"""Seconds of refilling that may be taken at once, before they have passed, where nothing else is left."""


RARELY = 2.0
"""Seconds after which it is worth asking again where nothing comes back but what others did not use."""


class SharedPool(Struct, frozen=True, kw_only=True):
    """What is shared, by its `key`: `size` of it at first, and at the most; `refill` comes back each second.

    What is `lent` is given back when it is not used any more, and comes back when whoever holds it is gone. After
    `until` it is worth nothing.
    """

    key: str
    size: float
    refill: float = 0.0
    lent: bool = False
    until: datetime | None = None


class PoolLeft(Struct, frozen=True, kw_only=True):
    """What is left of a pool, at a moment. `holds` tells what of a lent one each process has. `version` counts."""

    amount: float
    at: datetime
    holds: Mapping[str, float] = {}
    version: int = 0


class PoolPart(Struct, frozen=True):
    """What a process got, and in how many seconds it is worth asking again where that is nothing."""

    amount: float
    wait: float = 0.0


def taken(
    left: PoolLeft | None, pool: SharedPool, *, who: str, there: Collection[str], now: datetime, owed: float = 0.0
) -> tuple[PoolPart, PoolLeft]:
    """A part for `who`, of the processes that are `there`, and what is left then.

    `owed` is what it used beyond its former part.
    """
    left = _as_of(left, pool, there, now)
    amount = left.amount - owed
    part = amount / (2 * max(1, len({*there, who})))
    ahead = pool.refill * AHEAD
    whole = pool.refill > 0 or pool.lent
    if whole:
        got = float(max(floor(part), floor(ahead), 1)) if amount >= 1 else 0.0
    else:
        got = max(min(amount, 1.0), part) if amount > 0 else 0.0
    wait = 0.0 if got else (1 - amount) / pool.refill if pool.refill else AHEAD if pool.lent else RARELY
    holds = left.holds
    if pool.lent:
        holds = {**holds, who: holds.get(who, 0.0) + got}
    return PoolPart(got, wait), replace(left, amount=amount - got, holds=holds, version=left.version + 1)


def given(
    left: PoolLeft | None, pool: SharedPool, amount: float, *, who: str, there: Collection[str], now: datetime
) -> PoolLeft:
    """What is left once `who` gave some back, or less than nothing: what it owes."""
    left = _as_of(left, pool, there, now)
    holds = left.holds
    if pool.lent:
        holds = {**holds, who: max(0.0, holds.get(who, 0.0) - amount)}
    return replace(left, amount=min(pool.size, left.amount + amount), holds=holds, version=left.version + 1)


def _as_of(left: PoolLeft | None, pool: SharedPool, there: Collection[str], now: datetime) -> PoolLeft:
    if left is None:
        return PoolLeft(amount=pool.size, at=now)
    if pool.lent:
        holds = {who: amount for who, amount in left.holds.items() if who in there and amount}
        return replace(left, amount=pool.size - sum(holds.values()), at=now, holds=holds)
    passed = max(timedelta(), now - left.at).total_seconds()
    amount = min(pool.size, left.amount + passed * pool.refill) if pool.refill else left.amount
    return replace(left, amount=amount, at=now)
