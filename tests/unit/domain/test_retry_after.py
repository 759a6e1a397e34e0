"""How long a provider asks to be left alone, however it spells it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keycairn.domain.retry_after import LONGEST_PATIENCE, retry_after

SENT = ("date", "Sun, 06 Nov 1994 08:49:37 GMT")
THIRTY_LATER = ("Sun, 06 Nov 1994 08:50:07 GMT", "Sunday, 06-Nov-94 08:50:07 GMT", "Sun Nov  6 08:50:07 1994")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("007", 7.0),
        (" 7\t", 7.0),
        ("0.5", 0.5),
        ("7.", 7.0),
        ("600", 600.0),
        ("601", LONGEST_PATIENCE),
        ("9" * 400, LONGEST_PATIENCE),
        ("-1", None),
        ("+7", None),
        ("-0", None),
        ("", None),
        ("soon", None),
        ("7s", None),
        ("7 seconds", None),
        ("1e3", None),
        ("1_000", None),
        ("0x10", None),
        ("inf", None),
        ("nan", None),
        (".5", None),
        ("\u0667", None),
        ("7;", None),
    ],
)
def test_seconds(value: str, seconds: float | None) -> None:
    assert retry_after([("retry-after", value)]) == seconds


@pytest.mark.parametrize("value", THIRTY_LATER)
@pytest.mark.parametrize("sent", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"])
def test_a_date_in_each_form_of_http_is_measured_against_the_providers_clock(value: str, sent: str) -> None:
    assert retry_after([("retry-after", value), ("date", sent)]) == 30.0
    assert retry_after([("date", sent), ("retry-after", value)]) == 30.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Sat, 05 Nov 1994 08:49:37 GMT", 0.0),  # it is over
        ("Sun, 06 Nov 2094 08:49:37 GMT", LONGEST_PATIENCE),
        ("Sun, 06 Nov 1994 09:50:07 +0100", 30.0),
        ("Sun, 99 Nov 1994 08:50:07 GMT", None),
        ("Sun, 06 Nov 1994 99:50:07 GMT", None),
        ("Sun, 06 Foo 1994 08:50:07 GMT", None),
        ("1994-11-06T08:50:07Z", None),
    ],
)
def test_other_dates(value: str, seconds: float | None) -> None:
    assert retry_after([("retry-after", value), SENT]) == seconds


@pytest.mark.parametrize("sent", [[], [("date", "")], [("date", "today")]])
@pytest.mark.parametrize("value", THIRTY_LATER)
def test_a_date_without_the_providers_clock_says_nothing(value: str, sent: list[tuple[str, str]]) -> None:
    assert retry_after([("retry-after", value), *sent]) is None


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["5", "60"], 60.0),
        (["60", "5"], 60.0),
        (["soon", "5"], 5.0),
        (["5", "-1"], 5.0),
        ([THIRTY_LATER[0], "5"], 30.0),
        (["5", THIRTY_LATER[1], THIRTY_LATER[2]], 30.0),
        ([THIRTY_LATER[0], THIRTY_LATER[0]], 30.0),
        (["soon", "later"], None),
    ],
)
def test_the_longest_wait_counts_where_the_header_is_repeated(values: list[str], seconds: float | None) -> None:
    assert retry_after([SENT, *(("retry-after", value) for value in values)]) == seconds
    assert retry_after([SENT, ("retry-after", ", ".join(values))]) == seconds, "the lines joined into one"
    assert retry_after([SENT, ("retry-after", ",".join(values))]) == seconds


def test_no_header_says_nothing() -> None:
    assert retry_after([SENT, ("x-retry-after", "7")]) is None


@given(st.text(max_size=60), st.text(max_size=60))
@example("Sun, 06 Nov 1994 08:50:07 -9999", SENT[1])
@example("1 Jan 0 00:00:00 GMT", SENT[1])
@example("Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359")
def test_garbage_is_a_wait_within_bounds_or_nothing(value: str, sent: str) -> None:
    wait = retry_after([("retry-after", value), ("date", sent)])

    assert wait is None or 0.0 <= wait <= LONGEST_PATIENCE
