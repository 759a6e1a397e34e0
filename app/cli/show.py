"""What commands print: tables for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

GOOD, BAD, DULL = "green", "red", "dim"

WIDE = 500
"""Columns where there is no terminal to break lines for."""

_CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})
"""Characters that would move the cursor or change what stands on the screen."""


def print_json(value: Any) -> None:
    """One JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201  # the purpose of a command


def shown(value: Any, *, as_json: bool) -> bool:
    """Print `value` as JSON when that is asked for; whether it was."""
    if as_json:
        print_json(value)
    return as_json


def say(text: str, style: str = "") -> None:
    """One line, left whole so that a token can be copied; `style` is a colour, `bold`, `dim`, or some of them.

    Control characters are left out: names come from strangers.
    """
    words = style.split()
    colour = next((word for word in words if word not in {"bold", "dim"}), None)
    click.secho(
        text.translate(_CONTROLS),
        fg=colour,
        bold="bold" in words or None,
        dim="dim" in words or None,
        color=False if os.environ.get("NO_COLOR") else None,
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or the sentence `empty`. True and False print as yes and no, in colour."""
    from rich.console import Console  # noqa: PLC0415  # 0.1 s, and most commands print no table
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    lines = [[_cell(value) for value in row] for row in rows]
    if not lines:
        say(empty, DULL)
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold", min_width=len(column), no_wrap=column == "id")  # an id is copied whole
    for line in lines:
        grid.add_row(*(Text(text, style) for text, style in line))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False).print(grid)


def _cell(value: object) -> tuple[str, str]:
    if isinstance(value, bool):
        return ("yes", GOOD) if value else ("no", DULL)
    return "" if value is None else str(value).translate(_CONTROLS), ""
