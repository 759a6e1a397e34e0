"""A SurrealDB server. The SDK's client does not reconnect and has no deadlines, so it is supervised here."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from cbor2 import CBORDecodeError
from surrealdb import AsyncWsSurrealConnection
from surrealdb.errors import SurrealError
from websockets.exceptions import WebSocketException

from keycairn.adapters.surreal.errors import results
from keycairn.adapters.surreal.wire import decoded
from keycairn.domain.errors import ConnectionLostError, StoreUnavailableError
from keycairn.domain.secret import Secret

_BROKEN = (KeyError, OSError, TimeoutError, WebSocketException, SurrealError)
"""What the client raises when its connection is gone. A request in flight ends with KeyError, from its own clean-up."""


class _Client(AsyncWsSurrealConnection):
    """The SDK's client. Its own reader ends for good at the first value that it cannot decode."""

    async def _recv_task(self) -> None:
        try:
            async for data in self.socket:
                answer = decoded(data)
                waiting = self.qry.get(str(answer.get("id")))
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (WebSocketException, CBORDecodeError):
            pass
        finally:
            for waiting in self.qry.values():
                waiting.cancel()
            self.qry.clear()


class RemoteConnection:
    """A connection that is made anew when it breaks. Many calls may be under way at once."""

    shared = True

    def __init__(
        self, url: str, *, namespace: str, database: str, user: str | None, password: Secret | None, deadline: float
    ) -> None:
        self._url = url.removesuffix("/").removesuffix("/rpc")
        self._namespace, self._database = namespace, database
        self._user, self._password = user, password
        self._deadline = deadline
        self._client: AsyncWsSurrealConnection | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def version(self) -> str:
        """What the server calls itself, such as `surrealdb-2.3.10`."""
        client = await self._ready()
        try:
            async with asyncio.timeout(self._deadline):
                return str(await client.version())
        except _BROKEN:
            await self._drop(client)
            raise StoreUnavailableError from None

    async def query(self, text: str, variables: Mapping[str, Any]) -> list[Any]:
        """The result of each statement.

        Raises StoreUnavailableError when nothing was sent, ConnectionLostError when the request may have been carried
        out, or what `results` raises.
        """
        client = await self._ready()
        try:
            async with asyncio.timeout(self._deadline):
                answer = await client.query_raw(text, dict(variables))
        except _BROKEN:
            await self._drop(client)
            raise ConnectionLostError from None
        return results(answer)

    async def close(self) -> None:
        """Close the connection. Later calls raise StoreUnavailableError."""
        self._closed = True
        async with self._connecting:
            if self._client is not None:
                await self._discard(self._client)

    async def _ready(self) -> AsyncWsSurrealConnection:
        """The live client, connecting first where there is none."""
        async with self._connecting:
            if self._closed:
                raise StoreUnavailableError("The database is closed.")
            if self._client is not None and _is_dead(self._client):
                await self._discard(self._client)
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> AsyncWsSurrealConnection:
        client = _Client(self._url)
        try:
            async with asyncio.timeout(self._deadline):
                await client.connect()
                await self._sign_in(client)
                await client.use(self._namespace, self._database)
        except BaseException as error:
            await _close(client)
            if isinstance(error, _BROKEN):
                raise StoreUnavailableError from None  # the text may quote the sign-in
            raise
        return client

    async def _sign_in(self, client: AsyncWsSurrealConnection) -> None:
        """Sign in as a user of the database, the namespace or the server, whichever knows the name."""
        if self._user is None or self._password is None:
            return
        levels: tuple[dict[str, str], ...] = (
            {"namespace": self._namespace, "database": self._database},
            {"namespace": self._namespace},
            {},
        )
        for level in levels:
            with suppress(SurrealError):
                await client.signin({**level, "username": self._user, "password": self._password.reveal()})
                return
        raise StoreUnavailableError("The database refused the user name or the password.")

    async def _drop(self, client: AsyncWsSurrealConnection) -> None:
        """Give `client` up, unless somebody else noticed first and there is a new one."""
        async with self._connecting:
            if self._client is client:
                await self._discard(client)

    async def _discard(self, client: AsyncWsSurrealConnection) -> None:
        self._client = None
        await _close(client)


def _is_dead(client: AsyncWsSurrealConnection) -> bool:
    """Whether nobody reads its answers any more; requests would wait for ever."""
    return client.recv_task is None or client.recv_task.done()


async def _close(client: AsyncWsSurrealConnection) -> None:
    with suppress(*_BROKEN):
        async with asyncio.timeout(1):
            await client.close()
