"""Write docs/commands.md from the commands themselves: what each is for, what it takes."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import click

from keycairn.app.cli import main

PAGE = Path(__file__).parents[1] / "docs/commands.md"
HEAD = """# Commands

Written by `make docs` from the commands themselves; a test compares. `keycairn COMMAND --help` says the same.

Commands talk to the service named by `--url` or `KEYCAIRN_URL`, else to the one `keycairn login` remembers, else to the
one of the data folder, else to the one that runs on this machine; without a service they work by themselves, and those
that only read create nothing. `KEYCAIRN_DATA_DIR` and `KEYCAIRN_DATABASE_URL` go before a login. The token is that of
`--token-file`, `KEYCAIRN_TOKEN`, `KEYCAIRN_TOKEN_FILE` or the login; on the service's own machine that of
`first-token` in its data folder is found by itself.

Wherever an id is asked for, a name will do, and `provider/name` where several have it. A key is typed at a hidden
prompt, comes from standard input (`-`) or from a file (`@FILE`), and never stands in a command. Every command that
answers takes `--json`; a failure is then `{"error": {"code", "detail", "hint", "errors"}}` on standard output, with its
sentence on standard error. `--url`, `--token-file` and `--json` may stand before a command's name as well. `keycairn
completion bash` (or `zsh`, `fish`) sets up the tab key, for names and ids too.

Exit codes: 0 done, 1 the operation failed, 2 wrong use, or a setting or database that cannot be used, 130 Ctrl-C or
Ctrl-D, 141 the reader of the output went away; `keycairn run` ends with that of its program.
"""


def all_commands(
    group: click.Group, name: str, above: click.Context | None = None
) -> Iterator[tuple[str, click.Command]]:
    """Each command with its whole name, groups before what is in them."""
    context = click.Context(group, info_name=name, parent=above)
    for each in group.list_commands(context):
        command = group.get_command(context, each)
        if command is None:
            continue
        yield f"{name} {each}", command
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{name} {each}", context)


def section(name: str, command: click.Command) -> str:
    """What the page says of one command."""
    words = [parameter.make_metavar(click.Context(command)) for parameter in command.params if _is_argument(parameter)]
    more = "COMMAND ..." if isinstance(command, click.Group) else "[OPTIONS]"
    level = "#" * (1 + len(name.split()))
    lines = [f"{level} `{name}`", f"```\n{' '.join([name, more, *words])}\n```", _prose(command.help or "")]
    rows = [_row(parameter) for parameter in command.params if _is_own(parameter)]
    if rows:
        lines.append("\n".join(["| option | |", "|-|-|", *rows]))
    return "\n\n".join(lines) + "\n"


def _is_argument(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)


def _is_own(parameter: click.Parameter) -> TypeGuard[click.Option]:
    return isinstance(parameter, click.Option) and not parameter.hidden


def _prose(text: str) -> str:
    return inspect.cleandoc(text.replace("\b", ""))


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{each}`" for each in (*option.opts, *option.secondary_opts))
    takes = "" if option.is_flag else f" `{option.make_metavar(click.Context(click.Command('x')))}`"
    help = re.sub(r"\s+", " ", option.help or "")
    return f"| {names}{takes.replace('|', chr(92) + '|')} | {help.replace('|', chr(92) + '|')} |"


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(name, command) for name, command in all_commands(main, "keycairn"))])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
