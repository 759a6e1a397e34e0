"""What commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

GOOD, BAD, DULL = "green", "red", "dim"


WIDE = 500
"""Columns where there is no terminal to break lines for."""


def console() -> Console:
    """Standard output, as it is now."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201  # the purpose of a command


def say(text: str, style: str = "") -> None:
    """One line, left whole so that a token can be copied. Markup in it has no meaning: names come from strangers."""
    console().print(Text(text, style=style), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or the sentence `empty`. True and False print as yes and no, in colour."""
    lines = [[_cell(value) for value in row] for row in rows]
    if not lines:
        say(empty, DULL)
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold", min_width=len(column), no_wrap=column == "id")  # an id is copied whole
    for line in lines:
        grid.add_row(*line)
    console().print(grid)


def _cell(value: object) -> Text:
    if isinstance(value, bool):
        return Text("yes", GOOD) if value else Text("no", DULL)
    return Text("" if value is None else str(value))
