"""The options of every command, before its name or behind it: which service is meant, and whether JSON is wanted."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from keycairn.app.cli.option import Option

URL, TOKEN_FILE, AS_JSON = "keycairn.url", "keycairn.token-file", "keycairn.json"
"""What the options say, in the context of a command."""
_PLACES = {"url": URL, "token_file": TOKEN_FILE, "as_json": AS_JSON}
_F = TypeVar("_F", bound=Callable[..., Any])


def _kept(context: click.Context, parameter: click.Parameter, value: object) -> object:
    """Remember what is said, wherever it is said; what stands nearer to the command goes before."""
    place = _PLACES[str(parameter.name)]
    if value:
        context.meta[place] = value
    return value or context.meta.get(place, value)


def _url(*, shown: bool) -> click.Option:
    return click.Option(
        ["--url"],
        expose_value=False,
        callback=_kept,
        hidden=not shown,
        help="The Keycairn to talk to, in place of KEYCAIRN_URL.",
    )


def _token_file(*, shown: bool) -> click.Option:
    return click.Option(
        ["--token-file"],
        expose_value=False,
        callback=_kept,
        hidden=not shown,
        type=click.Path(dir_okay=False),
        help="A file with the token for it, in place of KEYCAIRN_TOKEN.",
    )


def group_options(*, shown: bool = False) -> list[click.Parameter]:
    """The options as a group of commands takes them, on behalf of the command that follows."""
    json = click.Option(
        ["--json", "as_json"],
        is_flag=True,
        expose_value=False,
        callback=_kept,
        hidden=not shown,
        help="Print JSON, for programs; failures too.",
    )
    return [_url(shown=shown), _token_file(shown=shown), json]


def service_options(command: _F) -> _F:
    """The options that name a service and the token for it."""
    params = command.__dict__.setdefault("__click_params__", [])
    params += [_token_file(shown=True), _url(shown=True)]  # click reads them from the last to the first
    return command


as_json: Option = click.option(
    "--json", "as_json", is_flag=True, callback=_kept, help="Print JSON, for programs; failures too."
)
