"""Holding tokens and credentials to their limits together with other processes on the same store.

Each limit is a pool (`keycairn.domain.shares`), of which this process takes parts: a call is counted against the part,
and the store is asked when it is used up. What is not used is given back.
"""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from keycairn.app.gateway.limits import NANOS, Charge, FamilyOf, Limiter, Subject, UsageOf, id_in
from keycairn.domain.errors import ConflictError, KeycairnError, LimitReachedError
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.shares import SharedPool
from keycairn.ports.clock import Clock
from keycairn.ports.shares import Shares

LOOKS_EVERY = 0.25
"""Seconds from one look at what lies unused to the next."""
REQUESTS_REST, USE_RESTS = 1.0, 5.0
"""Seconds after which a part that nobody used is given back: of requests, and of what calls use."""
BUSY = 0.1
"""Seconds until a pool that others were busy with is asked again."""
FORGOTTEN_AFTER = 600.0
"""Seconds without a call after which nothing is remembered of a limit."""

_CALLS, _REQUESTS, _TOKENS, _DAY, _MONTH = "calls", "requests", "tokens", "day", "month"
_USE = (_TOKENS, _DAY, _MONTH)


class _Part(Struct, eq=False):
    """What this process has of a pool. `left` may be less than nothing: what calls used is known when they are over."""

    kind: str
    pool: SharedPool
    left: float = 0.0
    dry_until: float = 0.0
    used_at: float = 0.0
    spare: float = 0.0
    """The least that was unused since the last look."""
    asking: asyncio.Lock | None = None

    @property
    def lacks(self) -> bool:
        """Whether nothing can be counted against it."""
        return self.left <= 0 if self.kind in _USE else self.left < 1


class SharedLimiter(Limiter):
    """See `Limiter`. `run` gives back what is not used, until it is cancelled; `aclose` all of it."""

    def __init__(self, usage_of: UsageOf, clock: Clock, family_of: FamilyOf, shares: Shares) -> None:
        super().__init__(usage_of, clock, family_of)
        self._shares = shares
        self._parts: dict[str, _Part] = {}
        self._of: dict[tuple[str, Limits], tuple[object, tuple[_Part, ...]]] = {}

    async def prepare(self, subject: Subject) -> None:
        """Have a part of all that the subject is held to, where there is one."""
        if subject.limits == NO_LIMITS:
            return
        for part in await self._prepared(subject):
            if part.lacks and self._clock.monotonic() >= part.dry_until:
                await self._take(part)

    def ready(self, *subjects: Subject) -> bool:
        """See `Limiter.ready`."""
        now, today = self._clock.monotonic(), self._clock.now().date()
        return all(
            (known := self._of.get((subject.id, subject.limits))) is not None
            and known[0] == today
            and all(not part.lacks or now < part.dry_until for part in known[1])
            for subject in subjects
            if subject.limits != NO_LIMITS
        )

    def refusal(self, subject: Subject) -> LimitReachedError | None:
        """See `Limiter.refusal`."""
        lacking = [part for part in self._known(subject) if part.lacks]
        return self._why(subject, lacking[0]) if lacking else None

    async def used_up(self, subject: Subject) -> LimitReachedError | None:
        """See `Limiter.used_up`."""
        if not subject.limits.counts_use:
            return None
        await self.prepare(subject)
        lacking = [part for part in self._known(subject) if part.kind in _USE and part.lacks]
        return self._why(subject, lacking[0]) if lacking else None

    def begin(self, *subjects: Subject) -> None:
        """See `Limiter.begin`."""
        for subject in subjects:
            if refused := self.refusal(subject):
                raise refused
        for part in self._parts_of(subjects):
            part.used_at = self._clock.monotonic()
            if part.kind in {_CALLS, _REQUESTS}:
                part.left -= 1
                part.spare = min(part.spare, part.left)

    def charge(self, subject: Subject, charge: Charge) -> None:
        """See `Limiter.charge`."""
        for part in self._known(subject):
            if part.kind in _USE:
                part.left -= charge.tokens if part.kind == _TOKENS else charge.nanos
                part.used_at = self._clock.monotonic()

    def end(self, subject: Subject, charge: Charge) -> None:
        """See `Limiter.end`."""
        for part in self._known(subject):
            if part.kind == _CALLS:
                part.left += 1
        self.charge(subject, charge)

    async def run(self) -> None:
        """Give back what nobody uses, again and again."""
        while True:
            await asyncio.sleep(LOOKS_EVERY)
            await self.rest()

    async def rest(self) -> None:
        """Give back what nobody used lately."""
        now = self._clock.monotonic()
        for key, part in list(self._parts.items()):
            idle = now - part.used_at
            if part.kind == _CALLS:
                amount = max(0.0, part.spare)
                part.spare = part.left - amount
            else:
                amount = part.left if idle >= (USE_RESTS if part.kind in _USE else REQUESTS_REST) else 0.0
            if amount:
                await self._give(part, amount)
            elif idle > FORGOTTEN_AFTER and part.left == 0:
                del self._parts[key]
                self._of.clear()

    async def aclose(self) -> None:
        """Give back everything."""
        for part in self._parts.values():
            if part.left:
                await self._give(part, part.left)

    async def _take(self, part: _Part) -> None:
        """Take more of a pool, unless somebody did meanwhile. Raises StoreError."""
        part.asking = part.asking or asyncio.Lock()
        async with part.asking:
            if not part.lacks or self._clock.monotonic() < part.dry_until:
                return
            owed = max(0.0, -part.left) if part.kind in _USE else 0.0
            part.left += owed
            try:
                got = await self._shares.take(part.pool, owed=owed)
            except ConflictError:
                part.left -= owed
                part.dry_until = self._clock.monotonic() + BUSY
                return
            except BaseException:
                part.left -= owed
                raise
            now = self._clock.monotonic()
            part.left += got.amount
            part.spare = part.left
            part.used_at = now
            part.dry_until = 0.0 if got.amount else now + got.wait

    async def _give(self, part: _Part, amount: float) -> None:
        part.left -= amount
        try:
            await self._shares.give(part.pool, amount)
        except KeycairnError:
            part.left += amount

    def _known(self, subject: Subject) -> tuple[_Part, ...]:
        """The parts of what it is held to, as far as `prepare` knows them."""
        if subject.limits == NO_LIMITS:
            return ()
        known = self._of.get((subject.id, subject.limits))
        return known[1] if known is not None else ()

    def _parts_of(self, subjects: tuple[Subject, ...]) -> Iterator[_Part]:
        for subject in subjects:
            yield from self._known(subject)

    async def _prepared(self, subject: Subject) -> tuple[_Part, ...]:
        """The parts of all it is held to today."""
        today = self._clock.now().date()
        place = (subject.id, subject.limits)
        known = self._of.get(place)
        if known is not None and known[0] == today:
            return known[1]
        sizes = await self._left_by_use(subject)
        parts = tuple(self._parts.setdefault(pool.key, _Part(kind, pool)) for kind, pool in self._pools(subject, sizes))
        self._of[place] = (today, parts)
        return parts

    async def _left_by_use(self, subject: Subject) -> Mapping[str, float]:
        """What may still be used today, and this month, by what is on record."""
        limits, today = subject.limits, self._clock.now().date()
        if not limits.counts_use:
            return {}
        since = today if limits.micros_per_month is None else today.replace(day=1)
        sums = await self._usage_of(subject.workspace, since, today)
        ids = await self._counted(subject)
        mine = [(key, one) for key, one in sums.items() if id_in(key, subject) in ids]
        tokens = sum(one.input_tokens + one.output_tokens for key, one in mine if key.day == today)
        nanos = sum(one.nanos for key, one in mine if key.day == today)
        return {
            _TOKENS: (limits.tokens_per_day or 0) - tokens,
            _DAY: (limits.micros_per_day or 0) * NANOS - nanos,
            _MONTH: (limits.micros_per_month or 0) * NANOS - sum(one.nanos for _, one in mine),
        }

    def _pools(self, subject: Subject, sizes: Mapping[str, float]) -> Iterator[tuple[str, SharedPool]]:
        limits, now = subject.limits, self._clock.now()
        if (most := limits.concurrent) is not None:
            yield _CALLS, SharedPool(key=f"{_CALLS} {most} {subject.id}", size=most, lent=True)
        if (most := limits.requests_per_minute) is not None:
            yield _REQUESTS, SharedPool(key=f"{_REQUESTS} {most} {subject.id}", size=most, refill=most / 60)
        month = now.replace(day=1)
        given = ((_TOKENS, limits.tokens_per_day, now), (_DAY, limits.micros_per_day, now))
        for kind, limit, begins in (*given, (_MONTH, limits.micros_per_month, month)):
            if limit is not None:
                key = f"{kind} {limit} {begins.date()} {subject.id}"
                yield kind, SharedPool(key=key, size=sizes[kind], until=_over(now, month=kind == _MONTH))

    def _why(self, subject: Subject, part: _Part) -> LimitReachedError:
        wait = max(0.0, part.dry_until - self._clock.monotonic())
        match part.kind:
            case "calls":
                return self.too_many_calls(subject)
            case "requests":
                return self.too_many_requests(subject, wait)
            case "tokens":
                return self.tokens_used_up(subject)
            case "day":
                return self.spent_today(subject)
            case _:
                return self.spent_this_month(subject)


def _over(now: datetime, *, month: bool) -> datetime:
    """When a pool of that day or month is certainly over."""
    return now + timedelta(days=40 if month else 2)
