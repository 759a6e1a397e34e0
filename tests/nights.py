"""What takes long runs by day in part: `make test` runs a slice, `make night` all of it."""

from collections.abc import Iterable
from typing import Any

import pytest


def by_day(values: Iterable[Any], *, one_in: int, unpacked: bool = False) -> list[Any]:
    """`values` as parameters of a test: the first of each `one_in` in every run, the others at night.

    `unpacked`: each value is a tuple, one item for each parameter.
    """
    return [
        pytest.param(*(value if unpacked else (value,)), marks=() if number % one_in == 0 else pytest.mark.night)
        for number, value in enumerate(values)
    ]


ENGINES = ["surrealkv", pytest.param("ws", marks=pytest.mark.night)]
"""For what a database decides alike wherever it runs; what the engines do differently is tried on both by day."""
