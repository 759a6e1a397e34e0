"""The group of all commands, and how their failures end."""

import sys
from importlib import import_module
from typing import Any

import click

from keycairn import __version__
from keycairn.app.cli.commands import COMMANDS
from keycairn.app.cli.failures import exit_code, lines_of
from keycairn.domain.errors import KeycairnError

_WHOLE = sys.maxsize


class Group(click.Group):
    """A group whose help shows the first sentence of each command whole."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        names = self.list_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands[name].get_short_help_str(_WHOLE)) for name in names])


class LazyGroup(Group):
    """The commands of the list, each loaded when it is called; until then its name and short help stand for it.

    Ends every failure Keycairn knows with its one sentence; the exit code is 2 for a setting or a database it cannot
    begin with, else 1.
    """

    def __init__(self, name: str, **attributes: Any) -> None:
        stand_ins = {each: click.Command(each, short_help=entry.short_help) for each, entry in COMMANDS.items()}
        super().__init__(name, commands=stand_ins, **attributes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as in click
        """The command of that name, loaded."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].place.partition(":")
        found: click.Command = getattr(import_module(f"keycairn.app.cli.{module}"), attribute)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeycairnError as error:
            click.echo("\n".join(lines_of(error)), err=True)
            sys.exit(exit_code(error))


@click.group("keycairn", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keycairn")
def main() -> None:
    """Keep the keys of your AI providers in one place.

    Start with `keycairn serve`, look at `keycairn env`, move the keys in with `keycairn migrate-env`, and prove them
    with `keycairn test --all`. Commands talk to the running server, or work by themselves when there is none.

    What can be set by environment variables is listed by `keycairn settings`.

    Exit codes: 0 done, 1 the operation failed, 2 wrong use, or a setting or database that cannot be used.
    """
