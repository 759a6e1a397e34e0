"""How commands get at secrets: by a hidden prompt, from standard input or a file, never from an argument."""

import sys
from pathlib import Path

import click

from keycairn.app.cli.asking import asked
from keycairn.app.text_files import text_of
from keycairn.domain.errors import SettingsError

SOURCES = "-|@FILE"
"""How the sources are written in a command's help."""


def check_source(context: click.Context, parameter: click.Parameter, given: str | None) -> str | None:
    """Refuse a secret that stands in the command itself, before anything is opened for it."""
    if given is not None and given != "-" and not (given.startswith("@") and len(given) > 1):
        raise click.BadParameter(
            "takes - or @ and a file. What stands in a command, others can read.", context, parameter
        )
    return given


def check_sources(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """As `check_source`, of `FIELD=SOURCE`."""
    for text in given:
        check_source(context, parameter, text.partition("=")[2] or None)
    return given


def secret_text(source: str | None, what: str, option: str) -> str:
    """The text of a secret, read at this moment. `what` names it in a question, `option` in a refusal.

    `-` is standard input, `@` and a path a file; without a source, and for `-` at a terminal, a person is asked, and
    what is typed is not shown. Raises SettingsError and click.UsageError.
    """
    if source is not None and source.startswith("@") and len(source) > 1:
        return _some(text_of(Path(source[1:])), source[1:])
    if source not in {None, "-"}:
        raise click.UsageError(f"{option} takes - or @ and a file. What stands in a command, others can read.")
    if sys.stdin.isatty():
        return _some(asked(what, hidden=True), what)
    if source is None:
        raise click.UsageError(f"Give {what} with {option}, as - for standard input or @ and a file.")
    return _some(sys.stdin.read(), "Standard input")


def _some(text: str, where: str) -> str:
    if not text.strip():
        raise SettingsError(f"{where} is empty.")
    return text.strip()
