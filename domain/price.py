"""What a model costs, as its operator says, in whatever currency he counts."""

from collections.abc import Mapping
from math import isfinite

from msgspec import Struct

from keycairn.domain.errors import InvalidInputError

HIGHEST_PRICE = 1_000_000.0
NANOS = 10**9
"""Sums are whole billionths, so that none is lost by adding."""


class Price(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of a currency: for a million tokens of each kind, and for each call.

    `cached` input tokens cost as much as others where that is None.
    """

    input: float = 0.0
    cached: float | None = None
    output: float = 0.0
    call: float = 0.0

    def nanos(self, *, input: int, cached: int, output: int) -> int:
        """What a call costs, in billionths of the unit; `cached` tokens are among the `input`."""
        read = min(cached, input)
        again = self.input if self.cached is None else self.cached
        tokens = (input - read) * self.input + read * again + output * self.output
        return round(tokens * (NANOS / 10**6) + self.call * NANOS)


def check_price(price: Price) -> None:
    """Raise InvalidInputError for a price that is none."""
    given: Mapping[str, float | None] = {name: getattr(price, name) for name in price.__struct_fields__}
    wrong = [
        name
        for name, amount in given.items()
        if amount is not None and not (isfinite(amount) and 0 <= amount <= HIGHEST_PRICE)
    ]
    if wrong:
        message = f"A price is a number from 0 to {HIGHEST_PRICE:.0f}: {', '.join(wrong)}."
        raise InvalidInputError(message, {f"price.{name}": f"must be from 0 to {HIGHEST_PRICE:.0f}" for name in wrong})
