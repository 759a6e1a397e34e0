"""The limit on guessing, and what is told of those who guess: bounded, and in nobody else's way."""

import asyncio
import tracemalloc
from ipaddress import IPv6Address

import pytest
from tests.house import House

from keycairn.app.services.access.attempts import ATTEMPTS_PER_MINUTE, MOST_ADDRESSES, Attempts
from keycairn.app.services.audit.refused_attempts import ANONYMOUS, APART, FIRST_WINDOW, LONGEST_WINDOW, RefusedAttempts
from keycairn.domain.audit import Action, Caller
from keycairn.domain.errors import AuthenticationError, TooManyAttemptsError
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope


async def refuse(_: Secret) -> str:
    raise AuthenticationError


async def let_in(token: Secret) -> str:
    return token.reveal()


async def test_a_good_token_is_let_in_whatever_its_address_did() -> None:
    attempts = Attempts(lambda: 0.0)
    for _ in range(ATTEMPTS_PER_MINUTE):
        with pytest.raises(AuthenticationError):
            await attempts.proven(Secret("wrong"), "192.0.2.1", refuse)
    with pytest.raises(TooManyAttemptsError):
        await attempts.proven(Secret("wrong"), "192.0.2.1", refuse)
    assert await attempts.proven(Secret("good"), "192.0.2.1", let_in) == "good"


async def test_no_token_is_no_guess() -> None:
    attempts = Attempts(lambda: 0.0)
    for _ in range(10 * ATTEMPTS_PER_MINUTE):
        with pytest.raises(AuthenticationError):
            await attempts.proven(Secret(""), "192.0.2.1", let_in)
    attempts.check("192.0.2.1")


def test_a_64_is_one_guesser_and_an_address_of_ipv4_is_too() -> None:
    attempts = Attempts(lambda: 0.0)
    for number in range(ATTEMPTS_PER_MINUTE):
        attempts.failed(f"2001:db8::{number:x}")
        attempts.failed("::ffff:192.0.2.1" if number % 2 else "192.0.2.1")
    for address in ("2001:db8::ffff", "192.0.2.1", "::ffff:192.0.2.1"):
        with pytest.raises(TooManyAttemptsError):
            attempts.check(address)
    attempts.check("2001:db8:0:1::1")
    attempts.check("192.0.2.2")


def test_two_limits_know_nothing_of_each_other() -> None:
    first, second = Attempts(lambda: 0.0), Attempts(lambda: 0.0, most=2)
    second.failed("192.0.2.1")
    second.failed("192.0.2.1")
    first.check("192.0.2.1")
    with pytest.raises(TooManyAttemptsError):
        second.check("192.0.2.1")


@pytest.mark.night
def test_guessers_without_number_take_two_megabytes() -> None:
    attempts = Attempts(lambda: 0.0)
    tracemalloc.start()
    for number in range(2 * MOST_ADDRESSES):
        for _ in range(2):
            attempts.failed(str(IPv6Address(number << 64)))
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 2 * 2**20


def test_strangers_without_number_are_a_few_events() -> None:
    now = 0.0
    refused = RefusedAttempts(lambda: now)
    for number in range(5_000):
        refused.note(f"198.51.{number // 256}.{number % 256}", "default", "GET /api", "unauthenticated")
        refused.note(str(IPv6Address(number << 70)), "default", "gateway", "too_many_attempts")
    told = refused.take()
    assert len(told) == APART + 1
    assert sum(one.times for one in told) == 10_000
    others = told[-1]
    assert others.outcomes == {"unauthenticated": 5_000 - APART // 2, "too_many_attempts": 5_000 - APART // 2}
    assert others.sources == 2_000
    assert others.attempt.source == ""


def test_while_it_goes_on_it_is_told_less_often_and_after_quiet_soon_again() -> None:
    now = 0.0
    refused = RefusedAttempts(lambda: now)
    moments = []
    for second in range(24 * 3600):
        now = float(second)
        refused.note("192.0.2.1", "default", "gateway", "unauthenticated")
        if refused.due():
            moments.append(now)
            refused.take()
    assert len(moments) < 40
    assert moments[1] - moments[0] <= 2 * FIRST_WINDOW
    assert moments[-1] - moments[-2] == LONGEST_WINDOW
    now += 3 * LONGEST_WINDOW
    refused.take()
    now += 2 * LONGEST_WINDOW + 1
    refused.note("192.0.2.1", "default", "gateway", "unauthenticated")
    assert refused.due()


def test_what_could_not_be_written_is_counted_again() -> None:
    refused = RefusedAttempts(lambda: 0.0)
    for number in range(100):
        refused.note(f"192.0.2.{number}", "default", "gateway", "unauthenticated")
    told = refused.take()
    refused.note("192.0.2.200", "default", "gateway", "unauthenticated")
    refused.give_back(told)
    again = refused.take()
    assert sum(one.times for one in again) == 101
    assert len(again) == APART + 1


async def test_strangers_take_no_room_from_holders_of_tokens_in_the_audit_log() -> None:
    house = House()
    kc = await house.open()
    for number in range(3_000):
        source = f"10.0.{number // 256}.{number % 256}"
        kc.audit_counters.note(Caller(actor=ANONYMOUS, source=source), Action.ACCESS_REFUSED, "gateway", outcome="x")
    kc.audit_counters.note(
        Caller(actor="token:T", source="192.0.2.1"), Action.SECRET_USED, "credential:C", purpose="test"
    )
    await kc.audit_counters.flush()
    events = await kc.audit.events()
    strangers = [event for event in events if event.actor == ANONYMOUS]
    assert len(strangers) == APART + 1
    assert sum(int(str(event.details["times"])) for event in strangers) == 3_000
    (various,) = (event for event in strangers if event.target == "various")
    assert (various.source, various.details["sources"]) == ("", 2_000)
    assert [event.target for event in events if event.action is Action.SECRET_USED] == ["credential:C"]
    assert (await kc.audit.verify()).intact


async def test_counting_and_writing_at_once_loses_nothing() -> None:
    house = House()
    kc = await house.open()
    await kc.tokens.create("t", (Scope.INVOKE,))
    for _ in range(50):
        kc.audit_counters.note(
            Caller(actor=ANONYMOUS, source="192.0.2.1"), Action.ACCESS_REFUSED, "gateway", outcome="x"
        )
        await asyncio.gather(kc.audit_counters.flush(), kc.audit_counters.flush())
    events = [event for event in await kc.audit.events() if event.actor == ANONYMOUS]
    assert sum(int(str(event.details["times"])) for event in events) == 50
