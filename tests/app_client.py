"""A client of an application in this process: on the event loop of the test, without sockets and threads."""

import asyncio
from types import TracebackType
from typing import Self

import httpx
from litestar import Litestar

ADDRESS = ("testclient", 50000)


class AppClient(httpx.AsyncClient):
    """Starts the application when it is entered, and stops it when it is left."""

    def __init__(self, app: Litestar, *, raise_server_exceptions: bool = True, root_path: str = "") -> None:
        transport = httpx.ASGITransport(app, raise_server_exceptions, root_path, ADDRESS)  # type: ignore[arg-type]  # Litestar's scopes are typed dicts
        super().__init__(transport=transport, base_url="http://testserver.local", follow_redirects=True, timeout=None)
        self.app = app
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # A task of its own: fixtures are set up and torn down in different ones, and what the application starts has to
        # end in that which started it.
        self._life = asyncio.create_task(self._live())
        started = asyncio.create_task(self._started.wait())
        await asyncio.wait({self._life, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._life.done():
            self._life.result()
        return await super().__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await super().__aexit__(exc_type, exc_value, traceback)
        self._stopping.set()
        assert self._life is not None
        await self._life

    async def _live(self) -> None:
        async with self.app.lifespan():
            self._started.set()
            await self._stopping.wait()
