"""How commands get at root keys: from files, standard input or a hidden prompt, never from an argument."""

import sys
from pathlib import Path

import click

from keycairn.app.cli.asking import asked
from keycairn.app.cli.option import Option
from keycairn.app.cli.settings import settings
from keycairn.app.cli.where import named
from keycairn.app.data_folder import root_key_of
from keycairn.app.text_files import text_of
from keycairn.domain.errors import RootKeyError, SettingsError
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret

current_root_key: Option = click.option(
    "--current-root-key",
    "current",
    metavar="-|@FILE",
    help="The present root key: - for standard input (a terminal is asked, and shows nothing), or @ and a file.",
)
_QUESTION = "The present root key"


def present_root_key(source: str | None) -> str:
    """The text of the present root key, read at this moment.

    Without a `source` it is the one that is set or lies in the data folder; a service elsewhere is shown none that was
    not named for it. Raises SettingsError.
    """
    if source is None and not elsewhere() and (own := root_key_of(settings())) is not None:
        return f"{own.form}:{own.material.reveal()}"
    if source is not None and source.startswith("@") and len(source) > 1:
        return root_key_in(Path(source[1:]))
    if source not in {None, "-"}:
        raise SettingsError("--current-root-key takes - or @ and a file. What stands in a command, others can read.")
    if sys.stdin.isatty():
        return _usable(asked(_QUESTION, hidden=True), "What was typed")
    if source is None:
        raise SettingsError(
            "The present root key is needed: a token is none. Give it with --current-root-key, as - or @ and a file."
        )
    return _usable(sys.stdin.read(), "Standard input")


def root_key_in(file: Path) -> str:
    """The text of the root key in a file. Raises SettingsError when it cannot be used as one."""
    return _usable(text_of(file), str(file))


def elsewhere() -> bool:
    """Whether the commands talk to a service that the data folder knows nothing of."""
    return named() is not None


def _usable(text: str, where: str) -> str:
    try:
        parse_root_key(Secret(text))
    except RootKeyError as error:
        raise SettingsError(f"{where} cannot be used. {error}") from None
    return text.strip()
