"""Commands that talk to Keycairn."""

import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import quote

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def segment(id: str) -> str:
    """An id as one segment of a path, whatever a person typed for it."""
    return quote(id, safe=":")


def with_client(command: Callable[..., Awaitable[int | None]]) -> Callable[..., None]:
    """Run an async command with a `Client` as its first argument; what it returns is the exit code."""

    @wraps(command)
    def run(*args: object, **options: object) -> None:
        import asyncio  # noqa: PLC0415  # with the HTTP client 0.2 s, which `--help` does not need

        from keycairn.app.cli.client import connect  # noqa: PLC0415
        from keycairn.app.cli.settings import settings  # noqa: PLC0415

        async def go() -> int:
            async with connect(settings()) as client:
                return await command(client, *args, **options) or 0

        sys.exit(asyncio.run(go()))

    return run
