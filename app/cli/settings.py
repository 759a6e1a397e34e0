"""The settings of a command, and the command that lists what can be set."""

import os

import click

from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import print_json, table
from keycairn.app.settings import FOR_COMMANDS, HELP, PREFIX, SECRETS, Settings, read_settings


@click.command("settings")
@as_json
def list_settings(*, as_json: bool) -> None:
    """List the environment variables that are settings, and whether they are set."""

    def is_set(name: str) -> bool:
        return any(os.environ.get(f"{PREFIX}{name}{ending}", "").strip() for ending in ("", "_FILE"))

    rows = [
        (f"{PREFIX}{name}{'[_FILE]' if name in SECRETS else ''}", is_set(name), text)
        for name, text in {**HELP, **FOR_COMMANDS}.items()
    ]
    if as_json:
        print_json([{"variable": variable, "set": known, "meaning": text} for variable, known, text in rows])
        return
    table(("variable", "set", "meaning"), rows, empty="")


def settings() -> Settings:
    """The settings of the environment."""
    return read_settings(os.environ)
