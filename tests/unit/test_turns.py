"""Doing many things a few at a time leaves none out and changes no order."""

from hypothesis import given
from hypothesis import strategies as st

from keycairn.app.turns import batches, weighed

WEIGHTS = st.lists(st.integers(0, 50))


@given(WEIGHTS, st.integers(1, 60))
def test_weighed_parts_hold_everything_in_order_and_weigh_no_more_than_allowed_or_are_one(
    weights: list[int], most: int
) -> None:
    parts = list(weighed(weights, lambda weight: weight, most))
    assert [weight for part in parts for weight in part] == weights
    assert all(part and (sum(part) <= most or len(part) == 1) for part in parts)


@given(WEIGHTS, st.integers(1, 60))
def test_batches_hold_everything_in_order(items: list[int], size: int) -> None:
    parts = list(batches(items, size))
    assert [item for part in parts for item in part] == items
    assert all(0 < len(part) <= size for part in parts)
