"""Bars over time as inline SVG, drawn here, with a text that says the same."""

from collections.abc import Sequence

from msgspec import Struct

WIDTH, HEIGHT, FLOOR = 560, 96, 14
"""Units of the drawing: its size, and the room below for names."""


class Bar(Struct, frozen=True):
    """A bar as it is drawn; `said` is its tooltip."""

    x: float
    y: float
    width: float
    height: float
    said: str


class Bars(Struct, frozen=True, kw_only=True):
    """A plot. `title` names it, `description` says sum and peak; `first` and `last` are the names at its ends."""

    title: str
    description: str
    bars: list[Bar]
    first: str
    last: str
    peak: str
    bad: bool
    width: int = WIDTH
    height: int = HEIGHT
    base: int = HEIGHT - FLOOR


def bars(values: Sequence[tuple[str, float]], title: str, unit: str, *, bad: bool = False) -> Bars:
    """A bar for each value, in order, with zero at the bottom."""
    peak = max((value for _, value in values), default=0.0)
    step = WIDTH / max(1, len(values))
    gap = min(3.0, step * 0.25)
    room = HEIGHT - FLOOR - 14
    drawn = []
    for number, (name, value) in enumerate(values):
        height = 0.0 if not peak else max(1.0 if value else 0.0, value / peak * room)
        y = HEIGHT - FLOOR - height
        drawn.append(
            Bar(round(number * step, 2), round(y, 2), round(step - gap, 2), round(height, 2), f"{name}: {_said(value)}")
        )
    total = sum(value for _, value in values)
    top = next((name for name, value in values if value == peak), "")
    unit = f" {unit}" if unit else ""
    description = (
        f"{_said(total)}{unit} in all; most on {top}: {_said(peak)}." if peak else f"No{unit or 'thing'} in this time."
    )
    return Bars(
        title=title,
        description=description,
        bars=drawn,
        first=values[0][0] if values else "",
        last=values[-1][0] if values else "",
        peak=_said(peak),
        bad=bad,
    )


def _said(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4f}".rstrip("0")
