"""What takes long runs by day in part: `make test` runs a slice, `make night` all of it."""

from collections.abc import Iterable
from typing import Any

import pytest


def by_day(values: Iterable[Any], *, one_in: int) -> list[Any]:
    """`values` as parameters of a test: the first of each `one_in` in every run, the others at night."""
    return [
        pytest.param(value, marks=() if number % one_in == 0 else pytest.mark.night)
        for number, value in enumerate(values)
    ]
