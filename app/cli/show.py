"""What commands print: tables for people, JSON for programs."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import click

from keycairn.app.cli.endings import OutputLost

GOOD, BAD, DULL = "green", "red", "dim"

WIDE = 500
"""Columns where there is no terminal to break lines for."""

LONGEST_WORD = 40
"""Characters of one word that a table makes room for; an id has 37."""

_CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})
"""Characters that would move the cursor or change what stands on the screen."""


def print_json(value: Any) -> None:
    """One JSON document. Raises OutputLost."""
    _put(json.dumps(value, indent=2, ensure_ascii=False))


def shown(value: Any, *, as_json: bool) -> bool:
    """Print `value` as JSON when that is asked for; whether it was."""
    if as_json:
        print_json(value)
    return as_json


def say(text: str, style: str = "") -> None:
    """One line, left whole so that a token can be copied; at a terminal, a sentence breaks between its words.

    `style` is a colour, `bold`, `dim`, or some of them. Control characters are left out: names come from strangers.
    Raises OutputLost.
    """
    _say(text, style)


def note(text: str) -> None:
    """A line for a person beside what is printed for a program to take: on standard error."""
    click.echo(text.translate(_CONTROLS), err=True)


def _say(text: str, style: str = "", *, hanging: int = 0) -> None:
    words = style.split()
    colour = next((word for word in words if word not in {"bold", "dim"}), None)
    told = _broken_between_words(text.translate(_CONTROLS), hanging)
    styled = click.style(told, fg=colour, bold="bold" in words or None, dim="dim" in words or None)
    _put(styled, colours=False if os.environ.get("NO_COLOR") else None)


def _put(text: str, *, colours: bool | None = None, newline: bool = True) -> None:
    if sys.stdout is None:  # closed by whoever started the command
        raise OutputLost(None)
    try:
        click.echo(text, color=colours, nl=newline)
    except OSError as error:
        raise OutputLost(error) from None


def at_terminal() -> bool:
    """Whether a person reads along."""
    return sys.stdout is not None and sys.stdout.isatty()


def _broken_between_words(text: str, hanging: int) -> str:
    """`hanging`: columns by which the lines that follow are moved in, besides the indent of the first."""
    if not at_terminal():
        return text
    width = columns()
    lines = text.split("\n")
    indents = [" " * (hanging + len(line) - len(line.lstrip())) for line in lines]
    return "\n".join(
        line
        if len(line) <= width
        else textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        for line, indent in zip(lines, indents, strict=True)
    )


def columns() -> int:
    """How wide lines may be."""
    return shutil.get_terminal_size().columns if at_terminal() else WIDE


def record(rows: Iterable[tuple[str, object]]) -> None:
    """One record, a line for each of its columns. What is empty is left out."""
    cells = [(name, _cell(value)[0]) for name, value in rows]
    width = max((len(name) for name, _ in cells), default=0)
    for name, text in cells:
        if text:
            _say(f"{name:{width}}  {text}", hanging=width + 2)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or the sentence `empty`. True and False print as yes and no, in colour.

    Cells break between words. Where a terminal is too narrow for that, records follow each other instead, a line for
    each column, so that nothing is cut off.
    """
    lines = [[_cell(value) for value in row] for row in rows]
    if not lines:
        say(empty, DULL)
        return
    if not _fits(columns, lines):
        for number, line in enumerate(lines):
            if number:
                say("")
            record((name, text) for name, (text, _) in zip(columns, line, strict=True))
        return
    from rich.console import Console  # noqa: PLC0415  # 0.1 s, and most commands print no table
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column, least in zip(columns, _least(columns, lines), strict=True):
        grid.add_column(column, overflow="fold", min_width=least, no_wrap=column == "id")  # an id is copied whole
    for line in lines:
        grid.add_row(*(Text(text, style) for text, style in line))
    console = Console(file=sys.stdout, width=None if at_terminal() else WIDE, highlight=False)
    with console.capture() as captured:
        console.print(grid)
    _put(captured.get(), newline=False)


_Cell = tuple[str, str]


def _fits(names: Sequence[str], lines: Sequence[Sequence[_Cell]]) -> bool:
    return not at_terminal() or sum(_least(names, lines)) + 2 * (len(names) - 1) <= columns()


def _least(names: Sequence[str], lines: Sequence[Sequence[_Cell]]) -> list[int]:
    """The least width of each column that breaks no word; a very long one is folded."""
    return [
        min(LONGEST_WORD, max(len(word) for text in (name, *(line[at][0] for line in lines)) for word in _words(text)))
        for at, name in enumerate(names)
    ]


def _words(text: str) -> list[str]:
    return text.split() or [""]


def _cell(value: object) -> _Cell:
    if isinstance(value, bool):
        return ("yes", GOOD) if value else ("no", DULL)
    return "" if value is None else str(value).translate(_CONTROLS), ""
