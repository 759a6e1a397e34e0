"""The group of all commands, and how their failures end."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import rich_click as click

from keycairn import __version__
from keycairn.app.cli.client import RequestFailedError, connect
from keycairn.app.cli.show import print_json, table
from keycairn.app.logs import configure_logs
from keycairn.app.settings import FOR_COMMANDS, HELP, PREFIX, SECRETS, Settings, read_settings
from keycairn.domain.errors import KeycairnError, MissingDatabaseError, RedoLogError, SettingsError

FAILED, WRONG_USE = 1, 2
REFUSED_STARTS = (SettingsError, MissingDatabaseError, RedoLogError)
"""What the operator has to put right before anything can be done; exit code 2."""

click.rich_click.TEXT_MARKUP = "markdown"
click.rich_click.SHOW_ARGUMENTS = True


class Sentences(click.RichGroup):
    """Ends every failure Keycairn knows with its one sentence.

    The exit code is 2 for a setting or a database it cannot begin with, else 1.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeycairnError as error:
            click.echo(f"keycairn: {error}", err=True)
            for name, why in getattr(error, "problem", {}).get("errors", {}).items() if _has_errors(error) else ():
                click.echo(f"  {name}: {why}", err=True)
            sys.exit(WRONG_USE if isinstance(error, REFUSED_STARTS) else FAILED)


def _has_errors(error: KeycairnError) -> bool:
    return isinstance(error, RequestFailedError) and isinstance(error.problem.get("errors"), dict)


@click.group("keycairn", cls=Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keycairn")
def main() -> None:
    """Keep the keys of your AI providers in one place.

    Start with `keycairn serve`, look at `keycairn env`, move the keys in with `keycairn migrate-env`, and prove them
    with `keycairn test --all`. Commands talk to the running server, or work by themselves when there is none.

    What can be set by environment variables is listed by `keycairn settings`.

    Exit codes: 0 done, 1 the operation failed, 2 wrong use, or a setting or database that cannot be used.
    """


@main.command("settings")
def list_settings() -> None:
    """List the environment variables that are settings, and whether they are set."""

    def is_set(name: str) -> bool:
        return any(os.environ.get(f"{PREFIX}{name}{ending}", "").strip() for ending in ("", "_FILE"))

    rows = (
        (f"{PREFIX}{name}{'[_FILE]' if name in SECRETS else ''}", is_set(name), text)
        for name, text in {**HELP, **FOR_COMMANDS}.items()
    )
    table(("variable", "set", "meaning"), rows, empty="")


def settings() -> Settings:
    """The settings of the environment."""
    return read_settings(os.environ)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def with_client(command: Callable[..., Awaitable[int | None]]) -> Callable[..., None]:
    """Run an async command with a `Client` as its first argument; what it returns is the exit code."""

    @wraps(command)
    def run(*args: object, **options: object) -> None:
        async def go() -> int:
            async with connect(settings()) as client:
                return await command(client, *args, **options) or 0

        configure_logs("warning")
        sys.exit(asyncio.run(go()))

    return run


def shown(value: Any, *, as_json: bool) -> bool:
    """Print `value` as JSON when that is asked for; whether it was."""
    if as_json:
        print_json(value)
    return as_json
