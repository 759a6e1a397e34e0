"""The group of all commands, and how their failures end."""

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from keycairn import __version__
from keycairn.app.cli.commands import COMMANDS
from keycairn.app.cli.endings import INTERRUPTED, UNREAD, EarlyEnd, OutputLost, let_go_of_output
from keycairn.app.cli.service_options import group_options

FAILED = 1
WORDS = "keycairn.words"
"""What was typed, in the context of a command."""
_WHOLE = sys.maxsize


class Group(click.Group):
    """A group whose help shows the first sentence of each command whole.

    It takes the options that all its commands have, so that they may stand before a command's name too.
    """

    shows_options = False

    def __init__(self, name: str | None = None, *, params: list[click.Parameter] | None = None, **more: Any) -> None:
        own = params or []
        taken = {each.name for each in own}
        added = [each for each in group_options(shown=self.shows_options) if each.name not in taken]
        super().__init__(name, params=[*own, *added], **more)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        names = self.list_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands[name].get_short_help_str(_WHOLE)) for name in names])


class LazyGroup(Group):
    """The commands of the list, each loaded when it is called; until then its name and short help stand for it.

    Ends every failure Keycairn knows with its one sentence, and on `--json` with a document on standard output; the
    exit code is 2 for wrong use and for a setting or a database it cannot begin with, 130 for Ctrl-C and Ctrl-D, 141
    where the reader of its output went away, else 1.
    """

    shows_options = True

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

    def main(self, args: Sequence[str] | None = None, *others: Any, **more: Any) -> Any:
        """Run the command line, and end the process."""
        words = [*(sys.argv[1:] if args is None else args)]
        try:
            more["standalone_mode"] = False
            code = super().main(words, *others, **more)
        except OutputLost as error:
            let_go_of_output()
            error.show()
            sys.exit(UNREAD if error.unread else FAILED)
        except click.ClickException as error:
            _show_usage_error(error, for_programs=_for_programs(words))
            sys.exit(error.exit_code)
        except click.Abort:
            click.echo("Stopped.", err=True)
            sys.exit(INTERRUPTED)
        except OSError as error:
            let_go_of_output()
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"keycairn: {where}{error.strerror or 'reading or writing failed'}.", err=True)
            sys.exit(FAILED)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from keycairn.domain.errors import KeycairnError  # noqa: PLC0415  # with msgspec 30 ms, which `--help` has no use for

        try:
            return super().invoke(ctx)
        except KeycairnError as error:
            from keycairn.app.cli.failures import document_of, exit_code, lines_of  # noqa: PLC0415  # as above

            if _for_programs(ctx.meta.get(WORDS, ())):
                click.echo(json.dumps(document_of(error), indent=2, ensure_ascii=False))
            click.echo("\n".join(lines_of(error)), err=True)
            sys.exit(exit_code(error))

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context, which remembers the words it was made of."""
        words = [*args]
        context = super().make_context(info_name, args, parent, **extra)
        context.meta[WORDS] = words
        return context


def _for_programs(words: Sequence[str]) -> bool:
    """Whether the answer is to be JSON. What stands behind `--` is another program's."""
    own = words[: words.index("--")] if "--" in words else words
    return "--json" in own


def _show_usage_error(error: click.ClickException, *, for_programs: bool) -> None:
    if for_programs:
        code = error.code if isinstance(error, EarlyEnd) else "wrong_use"
        told = {"code": code, "detail": error.format_message()}
        click.echo(json.dumps({"error": told}, indent=2, ensure_ascii=False))
    error.show()


@click.group("keycairn", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keycairn")
def main() -> None:
    """Keep the keys of your AI providers in one place.

    Start with `keycairn serve`, look at `keycairn env`, move the keys in with `keycairn migrate-env`, and prove them
    with `keycairn test --all`. Commands talk to the running server, or work by themselves when there is none.

    What can be set by environment variables is listed by `keycairn settings`.

    A service elsewhere is named by `--url` and `--token-file`, before a command or behind it, by KEYCAIRN_URL and
    KEYCAIRN_TOKEN, or once for all by `keycairn login`. Wherever an id is asked for, a name will do. `keycairn
    completion` sets up the tab key.

    Exit codes: 0 done, 1 the operation failed, 2 wrong use, or a setting or database that cannot be used, 130 Ctrl-C or
    Ctrl-D, 141 nobody reads the output any more.
    """
