"""Commands that talk to Keycairn, and the options they have in common."""

import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import quote

import click

from keycairn.app.cli.where import TOKEN_FILE, URL

_F = TypeVar("_F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs; failures too.")


def _kept(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None:
        context.meta[URL if parameter.name == "url" else TOKEN_FILE] = value


def service_options(command: _F) -> _F:
    """The options that name a service and the token for it."""
    url = click.option(
        "--url", expose_value=False, callback=_kept, help="The Keycairn to talk to, in place of KEYCAIRN_URL."
    )
    file = click.option(
        "--token-file",
        expose_value=False,
        callback=_kept,
        type=click.Path(dir_okay=False),
        help="A file with the token for it, in place of KEYCAIRN_TOKEN.",
    )
    return url(file(command))


def segment(id: str) -> str:
    """An id as one segment of a path, whatever a person typed for it."""
    return quote(id, safe=":")


def with_client(command: Callable[..., Awaitable[int | None]]) -> Callable[..., None]:
    """Run an async command with a `Client` as its first argument; what it returns is the exit code.

    Without a service, a Keycairn opens in this process, and begins to exist where there is none.
    """
    return service_options(_connected(command, reads=False))


def reading(command: Callable[..., Awaitable[int | None]]) -> Callable[..., None]:
    """As `with_client`, for a command that only reads: it makes nothing where there is nothing."""
    return service_options(_connected(command, reads=True))


def _connected(command: Callable[..., Awaitable[int | None]], *, reads: bool) -> Callable[..., None]:
    @wraps(command)
    def run(*args: object, **options: object) -> None:
        import asyncio  # noqa: PLC0415  # with the HTTP client 0.2 s, which `--help` does not need

        from keycairn.app.cli.client import connect  # noqa: PLC0415
        from keycairn.app.cli.settings import settings  # noqa: PLC0415

        only_reads = reads or options.get("dry_run") is True

        async def go() -> int:
            async with connect(settings(), reads=only_reads) as client:
                return await command(client, *args, **options) or 0

        sys.exit(asyncio.run(go()))

    return run
