"""How long an account is passed over, and what brings it back."""

from msgspec.structs import replace
from tests.fakes import NOON, FakeClock
from tests.samples import a_credential

from keycairn.app.gateway.health import Health
from keycairn.domain.retry_after import LONGEST_PATIENCE
from keycairn.domain.routing import FIRST_REST, LONGEST_HOLD, Serving

CREDENTIAL = a_credential()
EDITED = replace(CREDENTIAL, version=CREDENTIAL.version + 1)


def health() -> tuple[Health, FakeClock]:
    clock = FakeClock(NOON, step=0)
    return Health(clock.monotonic), clock


def test_a_refused_key_is_not_asked_for_a_short_while() -> None:
    health_, clock = health()
    health_.refused(CREDENTIAL)
    assert health_.held(CREDENTIAL) == FIRST_REST
    clock.tick(FIRST_REST)
    assert health_.held(CREDENTIAL) == 0
    assert health_.is_bad(CREDENTIAL)


def test_however_often_it_was_refused_it_is_held_for_half_a_minute_at_most() -> None:
    health_, clock = health()
    for _ in range(20):
        health_.refused(CREDENTIAL)
        assert health_.held(CREDENTIAL) <= LONGEST_HOLD
        clock.tick(LONGEST_PATIENCE)


def test_an_edit_clears_everything_at_once() -> None:
    health_, _ = health()
    health_.refused(CREDENTIAL)
    assert health_.held(EDITED) == 0
    assert not health_.is_bad(EDITED)
    assert health_.clear


def test_what_comes_late_of_a_former_key_says_nothing_of_the_present_one() -> None:
    health_, _ = health()
    health_.refused(EDITED)
    health_.good(CREDENTIAL)
    health_.rest(CREDENTIAL, 500)
    assert health_.is_bad(EDITED)
    health_.good(EDITED)
    health_.refused(CREDENTIAL)
    health_.rest(EDITED, 1)
    health_.refused(CREDENTIAL)
    assert health_.held(CREDENTIAL) == 0
    assert not health_.is_bad(EDITED)


def test_a_rest_ends_with_its_time_or_with_a_good_answer() -> None:
    health_, clock = health()
    other = a_credential()
    both = [Serving(None, CREDENTIAL), Serving(None, other)]
    health_.rest(CREDENTIAL, 60)
    assert health_.held(CREDENTIAL) == 0
    assert health_.ordered(both)[0].credential is other
    clock.tick(61)
    assert health_.ordered(both)[0].credential is CREDENTIAL
    health_.rest(CREDENTIAL, 60)
    health_.good(CREDENTIAL)
    assert health_.clear


def test_a_rest_does_not_take_a_refused_key_back() -> None:
    health_, _ = health()
    health_.refused(CREDENTIAL)
    health_.rest(CREDENTIAL, 0)
    assert health_.is_bad(CREDENTIAL)


def test_states_tell_who_is_not_healthy() -> None:
    health_, clock = health()
    other = a_credential()
    health_.refused(CREDENTIAL)
    health_.rest(other, 5)
    assert health_.states() == {CREDENTIAL.id: "bad", other.id: "resting"}
    clock.tick(6)
    assert health_.states() == {CREDENTIAL.id: "bad"}
