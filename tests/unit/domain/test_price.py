"""A call costs what its model's price says, to the billionth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.domain.errors import InvalidInputError
from keycairn.domain.price import HIGHEST_PRICE, NANOS, Price, check_price

COUNTS = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("price", "input", "cached", "output", "cost"),
    [
        (Price(input=2.5, output=10), 1_000_000, 0, 1_000_000, 12.5),
        (Price(input=2.5, cached=1.25, output=10), 1_000_000, 400_000, 0, 2.0),
        (Price(input=2.5), 1_000_000, 400_000, 5, 2.5),
        (Price(cached=0.0, input=1), 1_000_000, 1_000_000, 0, 0),
        (Price(call=0.04), 0, 0, 0, 0.04),
        (Price(input=0.075, output=0.3), 8, 0, 2, 0.0000012),
        (Price(), 10**9, 10**9, 10**9, 0),
        (Price(input=1), 10, 25, 0, 0.00001),
    ],
)
def test_what_a_call_costs(price: Price, input: int, cached: int, output: int, cost: float) -> None:
    assert price.nanos(input=input, cached=cached, output=output) == round(cost * NANOS)


@given(COUNTS, COUNTS, COUNTS, st.floats(0, 1000), st.floats(0, 1000))
def test_more_tokens_never_cost_less(input: int, cached: int, output: int, dear: float, cheap: float) -> None:
    price = Price(input=dear, cached=min(dear, cheap), output=cheap)
    now = price.nanos(input=input, cached=cached, output=output)
    assert 0 <= now <= price.nanos(input=input + 1, cached=cached, output=output + 1)
    assert now <= price.nanos(input=input, cached=0, output=output)


@pytest.mark.parametrize("amount", [-0.01, float("inf"), float("nan"), HIGHEST_PRICE * 2])
@pytest.mark.parametrize("field", ["input", "cached", "output", "call"])
def test_what_is_no_price_is_refused_by_name(field: str, amount: float) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_price(Price(**{field: amount}))
    assert list(refused.value.fields) == [f"price.{field}"]
