"""The connections to one place."""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from keycairn.adapters.httptools_upstream.connection import UpstreamConnection
from keycairn.adapters.httptools_upstream.dialing import dialled
from keycairn.domain.egress_proxy import EgressProxy
from keycairn.domain.errors import NotSentError
from keycairn.domain.url import Url

CONNECTIONS = 1000
"""Failover with one place at one time; a call beyond waits for one to end, as long as it would for connecting."""
KEEP_ALIVE = {"http": 4.0, "https": 30.0}
"""Seconds an idle connection is kept, below what servers keep theirs: a request that meets a closing one fails.

Servers that run models at home close after 5 (uvicorn's own number); what speaks TLS in public after 60 (AWS's load
balancers) or 75 (nginx) at the earliest, and there a new connection costs round trips.
"""
_LATE = "No connection to the provider came about in time."


class Pool:
    """Makes connections to `url`, keeps them for the next exchange, and lets them go.

    `addresses` gives those it may connect to, judged anew for every connection; `tls` is None for plain HTTP. With a
    `proxy`, they are the proxy's, which connects to `url`.
    """

    def __init__(
        self,
        url: Url,
        addresses: Callable[[], Awaitable[Sequence[str]]],
        tls: ssl.SSLContext | None,
        *,
        most: int = CONNECTIONS,
        keep_alive: float | None = None,
        proxy: EgressProxy | None = None,
    ) -> None:
        self._url = url
        self._keep_alive = KEEP_ALIVE[url.scheme] if keep_alive is None else keep_alive
        self._addresses = addresses
        self._tls = tls
        self._proxy = proxy
        self._all: set[UpstreamConnection] = set()
        self._idle: list[UpstreamConnection] = []
        self._most = most
        self._busy = 0
        """Exchanges under way."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        """Those that wait for one of them to end."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._connecting = 0
        self._closed = False

    @property
    def empty(self) -> bool:
        """Whether it holds no connection, nor will soon."""
        return not self._all and not self._connecting

    async def take(self, within: float, *, fresh: bool = False) -> tuple[UpstreamConnection, bool]:
        """A connection, and whether it was used before. An exchange must be begun on it at once, and gives it back.

        Raises EgressRefusedError or NotSentError.
        """
        if self._busy < self._most and not self._waiting:
            self._busy += 1
        else:
            await self._turn(within)
        try:
            while self._idle and not fresh:
                connection = self._idle.pop()
                if connection.open and connection.clean:
                    return connection, True
                connection.cut()
            return await self._connected(within), False
        except BaseException:
            self._make_room()
            raise

    def close(self) -> None:
        """Cut every connection, and make no more."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._all):
            connection.cut()

    async def _turn(self, within: float) -> None:
        """Wait for room, first come, first served; it is taken then. Raises NotSentError."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(within):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._make_room()  # it was this one's turn already
            else:
                with suppress(ValueError):  # whoever made room has passed it by
                    self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise NotSentError(_LATE) from None
            raise

    def _make_room(self) -> None:
        """Hand the place of an exchange that ended to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._busy -= 1

    async def _connected(self, within: float) -> UpstreamConnection:
        self._connecting += 1
        try:
            async with asyncio.timeout(within):
                return await self._connect(await self._addresses())
        except TimeoutError:
            raise NotSentError(_LATE) from None
        except ssl.SSLError:
            raise NotSentError("The provider's TLS certificate or handshake is not acceptable.") from None
        except OSError:
            raise NotSentError from None
        finally:
            self._connecting -= 1

    async def _connect(self, addresses: Sequence[str]) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        found = await dialled(addresses, self._url, self._proxy)
        try:
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(self._released, self._lost),
                sock=found,
                ssl=self._tls,
                server_hostname=self._url.host if self._tls else None,
            )
        except BaseException:
            found.close()
            raise
        if self._closed or not connection.open:
            # A provider that speaks before it is asked has been cut off already.
            connection.cut()
            raise NotSentError
        self._all.add(connection)
        return connection

    def _released(self, connection: UpstreamConnection, keep: bool) -> None:  # noqa: FBT001  # a callback
        self._make_room()
        if keep:
            loop = asyncio.get_running_loop()
            connection.idle_since = loop.time()
            self._idle.append(connection)
            if self._sweeper is None:
                self._sweeper = loop.call_later(self._keep_alive, self._sweep)

    def _lost(self, connection: UpstreamConnection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _sweep(self) -> None:
        """Close what has been idle for too long; the list is ordered by that, as the last one used is taken first."""
        loop = asyncio.get_running_loop()
        self._sweeper = None
        for connection in list(self._idle):
            if loop.time() - connection.idle_since < self._keep_alive:
                break
            connection.cut()
            self._idle.remove(connection)
        if self._idle:
            left = self._keep_alive - (loop.time() - self._idle[0].idle_since)
            self._sweeper = loop.call_later(left, self._sweep)
