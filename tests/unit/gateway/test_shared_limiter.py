"""Limits hold for several processes together: within a twentieth, or a call for each process."""

import asyncio
from collections.abc import Mapping
from datetime import date

import pytest
from tests.fakes import FakeClock, FakeShares

from keycairn.app.gateway.limits import FREE, Charge, Subject
from keycairn.app.gateway.shared_limits import LOOKS_EVERY, SharedLimiter
from keycairn.domain.errors import LimitReachedError
from keycairn.domain.limits import Limits
from keycairn.domain.shares import PoolLeft
from keycairn.domain.usage import Usage, UsageKey

PROCESSES = [1, 2, 4, 8]
PRICE = 700
"""Model tokens, and millionths, of a call."""


class Fleet:
    """Processes that hold one subject to the same limits."""

    def __init__(self, processes: int, limits: Limits, used: int = 0) -> None:
        self.clock = FakeClock()
        self.subject = Subject("token", "token:T1", "default", limits)
        self._used = used
        pools: dict[str, PoolLeft] = {}
        there: set[str] = set()
        self.shares = [FakeShares(f"p{number}", there, pools, self.clock) for number in range(processes)]
        self.there = there
        self.limiters = [SharedLimiter(self._usage, self.clock, self._family, shares) for shares in self.shares]

    async def _usage(self, workspace: str, since: date, until: date) -> Mapping[UsageKey, Usage]:
        assert since <= until
        key = UsageKey(day=until, workspace=workspace, token=self.subject.id, credential="c")
        return {key: Usage(requests=1, input_tokens=self._used)}

    async def _family(self, id: str, _: str) -> frozenset[str]:
        return frozenset({id})

    async def begun(self, number: int) -> bool:
        """Whether a call may begin at a process, as the gateway asks."""
        limiter = self.limiters[number]
        for _ in range(8):
            if limiter.ready(self.subject):
                break
            await limiter.prepare(self.subject)
        try:
            limiter.begin(self.subject)
        except LimitReachedError:
            return False
        return True

    def end(self, number: int, charge: Charge = FREE) -> None:
        self.limiters[number].end(self.subject, charge)

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, with the looks that processes take meanwhile."""
        for _ in range(round(seconds / LOOKS_EVERY)):
            self.clock.tick(LOOKS_EVERY)
            for limiter in self.limiters:
                await limiter.rest()


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize("all_at_one", [False, True])
async def test_as_many_requests_begin_in_a_minute_as_may(processes: int, *, all_at_one: bool) -> None:
    fleet = Fleet(processes, Limits(requests_per_minute=600))
    begun = 0
    for turn in range(2400):
        number = 0 if all_at_one else turn % processes
        if await fleet.begun(number):
            begun += 1
            fleet.end(number)
    assert 600 - processes <= begun <= 630, "a minute's worth may come at once"
    asked = sum(shares.asked for shares in fleet.shares)
    assert asked < begun / 4, "and the store was not asked for each of them"
    begun = 0
    for turn in range(60 * 40):
        await fleet.pass_by(LOOKS_EVERY / 10)
        fleet.clock.tick(1 / 40)
        number = 0 if all_at_one else turn % processes
        if await fleet.begun(number):
            begun += 1
            fleet.end(number)
    assert abs(begun - 600) <= max(30, processes), "then as many as come back"


@pytest.mark.parametrize("processes", PROCESSES)
async def test_as_many_calls_are_under_way_as_may(processes: int) -> None:
    fleet = Fleet(processes, Limits(concurrent=20))
    begun = [turn % processes for turn in range(200) if await fleet.begun(turn % processes)]
    assert len(begun) == 20
    for number in begun:
        fleet.end(number)
    await fleet.pass_by(1)
    assert [await fleet.begun(0) for _ in range(40)].count(True) == 20, "what is free is free to everyone"


async def test_what_a_process_held_is_free_when_it_is_gone() -> None:
    fleet = Fleet(2, Limits(concurrent=4))
    assert [await fleet.begun(1) for _ in range(5)] == [True] * 4 + [False]
    assert not await fleet.begun(0)
    fleet.there.discard("p1")
    await fleet.pass_by(1)
    assert [await fleet.begun(0) for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize(
    "limits",
    [Limits(tokens_per_day=1000 * PRICE), Limits(micros_per_day=1000 * PRICE), Limits(micros_per_month=1000 * PRICE)],
)
async def test_no_more_is_used_than_may_be_but_a_call_of_each(processes: int, limits: Limits) -> None:
    fleet = Fleet(processes, limits)
    calls = asked = 0
    for turn in range(3000):
        if await fleet.begun(turn % processes):
            calls += 1
            fleet.end(turn % processes, Charge(tokens=PRICE, nanos=PRICE * 1000))
            asked = sum(shares.asked for shares in fleet.shares)
        if turn % 10 == 0:
            await fleet.pass_by(LOOKS_EVERY)
    assert 950 <= calls <= 1000 + processes
    assert asked < calls / 2, "the store was not asked for each of them"


async def test_what_was_used_before_counts() -> None:
    fleet = Fleet(2, Limits(tokens_per_day=10 * PRICE), used=8 * PRICE)
    calls = 0
    for turn in range(40):
        if await fleet.begun(turn % 2):
            calls += 1
            fleet.end(turn % 2, Charge(tokens=PRICE))
    assert 2 <= calls <= 4


async def test_what_one_process_does_not_use_another_can() -> None:
    fleet = Fleet(4, Limits(tokens_per_day=100 * PRICE))
    for number in range(1, 4):
        assert await fleet.begun(number)
        fleet.end(number, Charge(tokens=PRICE))
    await fleet.pass_by(10)
    calls = 0
    for _ in range(300):
        if await fleet.begun(0):
            calls += 1
            fleet.end(0, Charge(tokens=PRICE))
    assert 96 <= calls <= 98


async def test_a_new_day_has_its_own() -> None:
    fleet = Fleet(2, Limits(tokens_per_day=PRICE))
    assert await fleet.begun(0)
    fleet.end(0, Charge(tokens=PRICE))
    assert not await fleet.begun(0)
    fleet.clock.tick(24 * 3600.0)
    assert await fleet.begun(0)


async def test_many_calls_at_once_are_refused_only_where_there_is_no_room() -> None:
    fleet = Fleet(2, Limits(concurrent=50, requests_per_minute=60, tokens_per_day=10**9))
    begun = await asyncio.gather(*(fleet.begun(turn % 2) for turn in range(50)))
    assert begun.count(True) == 50
