"""Commands that talk to Keycairn: each gets a client."""

import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import quote

from keycairn.app.cli.service_options import service_options


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
