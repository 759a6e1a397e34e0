"""Waiting for a database server that is not there yet: the service lives, is not ready, and says why."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from secrets import token_hex
from typing import Any, cast

import structlog
import uvicorn
from litestar.types import Receive, Scope, Send

from keycairn.app.cli.protocol import BoundedHttp
from keycairn.app.cli.show import say
from keycairn.app.cli.stopping import GracefulServer
from keycairn.app.first_run import FirstRun
from keycairn.app.gateway import GATEWAY_PATHS
from keycairn.app.gateway.errors import render
from keycairn.app.gateway.routes import ANTHROPIC
from keycairn.app.keycairn import Keycairn
from keycairn.app.server import guarded, hosts_of
from keycairn.app.settings import Settings
from keycairn.app.web.raw import send_problem
from keycairn.app.wiring import open_with_first_run
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import RestoringError, StoreError, StoreUnavailableError

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 0.5
"""Seconds between two attempts to open the database."""

Opened = tuple[Keycairn, FirstRun]
_log = structlog.get_logger()


class Waiting:
    """What answers meanwhile: it is alive, and `why` it cannot do anything."""

    def __init__(self, why: StoreError) -> None:
        self.why = why

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if scope["type"] != "http":  # type: ignore[comparison-overlap]  # a server tells it as text
            await send({"type": "websocket.close", "code": 1013, "reason": ""})
        elif path == "/health/live":
            await _answer(send, 200, [(b"content-type", b"application/json")], b'{"status":"ok"}')
        elif path.startswith(GATEWAY_PATHS):
            dialect = Dialect.ANTHROPIC if path.startswith(ANTHROPIC) else Dialect.OPENAI
            await _answer(send, *render(self.why, dialect, token_hex(8)))
        else:
            await send_problem(send, self.why)


@asynccontextmanager
async def opened(
    here: Settings, listener: socket.socket, *, new_database: bool, worker: int | None = None
) -> AsyncIterator[Opened]:
    """As `open_with_first_run`, but a database server that cannot be reached, or is being restored, is waited for.

    `listener` is answered at meanwhile, and as before afterwards. Commands and programs that open Keycairn by
    themselves do not wait.
    """
    async with AsyncExitStack() as stack:

        async def attempt() -> Opened:
            return await stack.enter_async_context(open_with_first_run(here, new_database=new_database, worker=worker))

        try:
            found = await attempt()
        except (StoreUnavailableError, RestoringError) as error:
            if here.embedded:
                raise
            found = await _waited(here, listener, attempt, error)
        yield found


async def _waited(
    here: Settings, listener: socket.socket, attempt: Callable[[], Awaitable[Opened]], why: StoreError
) -> Opened:
    _tell(here, why)
    waiting = Waiting(why)
    server = GracefulServer(
        uvicorn.Config(
            cast("Any", guarded(waiting, hosts_of(here))),  # two ASGIs
            interface="asgi3",
            http=BoundedHttp,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener.dup()]))
    try:
        while True:
            await asyncio.sleep(random.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))  # noqa: S311  # jitter
            try:
                found = await attempt()
            except (StoreUnavailableError, RestoringError) as error:
                if str(error) != str(waiting.why):
                    _tell(here, error)
                waiting.why = error
            else:
                _log.info("the database is there")
                return found
    finally:
        server.stop()
        server.hurry()
        await serving


def _tell(here: Settings, why: StoreError) -> None:
    say(f"Waiting for the database at {here.store_url}: {why}", "bold yellow")
    _log.warning("the service waits for its database", database=here.store_url, detail=str(why))


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = [] if any(name == b"content-length" for name, _ in headers) else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
