"""How much may be done at the gateway, by a token or with a credential."""

from msgspec import Struct

from keycairn.domain.errors import InvalidInputError

LARGEST_LIMIT = 2**40


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much models may be called; None is no limit. `tokens_per_day` are model tokens, days and months are UTC's.

    `micros_per_day` and `micros_per_month` are millionths of the currency of the models' prices: 5000000 is 5.

    Processes on one database server keep them together, within a twentieth or a call for each.
    """

    concurrent: int | None = None
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None
    micros_per_day: int | None = None
    micros_per_month: int | None = None

    @property
    def counts_use(self) -> bool:
        """Whether any of them is about what calls used, which is known when they are over."""
        return (self.tokens_per_day, self.micros_per_day, self.micros_per_month) != (None, None, None)

    @property
    def counts_money(self) -> bool:
        """Whether any of them is about what calls cost, by the prices of models."""
        return (self.micros_per_day, self.micros_per_month) != (None, None)

    def beyond(self, other: "Limits") -> tuple[str, ...]:
        """The kinds in which this allows more than `other`."""
        return tuple(
            name
            for name in self.__struct_fields__
            if (most := getattr(other, name)) is not None and ((own := getattr(self, name)) is None or own > most)
        )

    def filled(self, other: "Limits") -> "Limits":
        """With the limits of `other` where this has none."""
        own = {name: getattr(self, name) for name in self.__struct_fields__}
        return Limits(**{name: getattr(other, name) if most is None else most for name, most in own.items()})


NO_LIMITS = Limits()


def check_limits(limits: Limits) -> None:
    """Raise InvalidInputError for a limit that nothing could keep, or nothing could reach."""
    given = {name: getattr(limits, name) for name in limits.__struct_fields__}
    wrong = [name for name, most in given.items() if most is not None and not 1 <= most <= LARGEST_LIMIT]
    if wrong:
        message = f"A limit is a whole number from 1 to {LARGEST_LIMIT}: {', '.join(wrong)}."
        raise InvalidInputError(message, {f"limits.{name}": f"must be from 1 to {LARGEST_LIMIT}" for name in wrong})
