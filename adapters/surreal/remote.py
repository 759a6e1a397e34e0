"""A SurrealDB server: a small pool of connections, each of them watched and made anew when it breaks."""

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from keycairn.adapters.surreal.errors import results
from keycairn.adapters.surreal.link import Link
from keycairn.adapters.surreal.rpc import BROKEN, RpcConnection, RpcError
from keycairn.domain.errors import ConnectionLostError, StoreError, StoreUnavailableError
from keycairn.domain.secret import Secret

LINKS = 4
"""Connections at the most. A further one is made when each of the others is busy."""
BUSY = 16
"""Requests under way on one connection; SurrealDB works on 24 of one connection at once, by default."""
MOST_UNDER_WAY = 256
"""Requests under way at once; others wait."""
MOST_ASKED = 1024
"""Requests under way and waiting; more are refused at once."""
CONNECT_WITHIN = 5.0
"""Seconds for connecting and signing in, at the most."""
WATCH_AGAIN = 0.2
"""Seconds until a live query that ended is begun anew."""
ATTEMPTS = 20
"""How often a namespace is asked for while other instances define the same one."""
LONGEST_PAUSE = 0.1
"""Seconds between two of these attempts, at most."""
CLOSED = "The database is closed."
_UNKNOWN_AUTHORITY = (
    "The database server's certificate is of no authority that is believed. Name its own: KEYCAIRN_DATABASE_CA_FILE."
)
_TOO_MANY = "More is asked of the database than it answers. Nothing was sent. Try again shortly."
_REFUSED = "The database refused the user name or the password."


class RemoteConnection:
    """The pool. Many calls may be under way at once; while the server is down they fail at once."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str,
        database: str,
        user: str | None,
        password: Secret | None,
        deadline: float,
        authorities: str = "",
    ) -> None:
        """`deadline` is in seconds. `authorities` in PEM are, where given, the only ones `wss://` believes."""
        self._url = url.removesuffix("/").removesuffix("/rpc")
        self._trust = ssl.create_default_context(cadata=authorities or None) if url.startswith("wss://") else None
        self._namespace, self._database = namespace, database
        self._user, self._password = user, password
        self.deadline = deadline
        self._pass: str | None = None
        self._links = [Link(self._connect)]
        self._turns = asyncio.Semaphore(MOST_UNDER_WAY)
        self._asked = 0
        self._closed = False

    async def version(self) -> str:
        """What the server calls itself, such as `surrealdb-2.3.10`. Raises StoreUnavailableError."""
        try:
            async with asyncio.timeout(self.deadline):
                return str(await (await self._link().ready()).call("version"))
        except (RpcError, *BROKEN):
            raise StoreUnavailableError from None

    async def query(self, text: str, variables: Mapping[str, Any], *, until: float | None = None) -> list[Any]:
        """The result of each statement; `until` is a time of the event loop, the deadline from now where it is None.

        Raises StoreUnavailableError when nothing was sent, ConnectionLostError when the request may have been carried
        out, or what `results` raises.
        """
        if self._asked >= MOST_ASKED:
            raise StoreUnavailableError(_TOO_MANY)
        self._asked += 1
        sent = False
        try:
            async with asyncio.timeout_at(self._until(until)), self._turns:
                link = self._link()
                connection = await link.ready()
                link.under_way += 1
                sent = True
                try:
                    answer = await connection.query(text, variables)
                finally:
                    link.under_way -= 1
        except BROKEN:
            raise (ConnectionLostError if sent else StoreUnavailableError) from None
        finally:
            self._asked -= 1
        return results(answer)

    async def read(self, text: str, variables: Mapping[str, Any], *, until: float | None = None) -> list[Any]:
        """As `query`, for what changes nothing: asked again once, where the connection broke.

        Raises StoreUnavailableError, or what `results` raises.
        """
        until = self._until(until)
        try:
            return await self.query(text, variables, until=until)
        except ConnectionLostError:
            try:
                return await self.query(text, variables, until=until)
            except ConnectionLostError:
                raise StoreUnavailableError from None

    async def watch(self, text: str, notice: Callable[[Any], None]) -> None:
        """Run a live query on a connection of its own, anew where that breaks, until cancelled.

        `notice` gets each record it tells of, and None after each beginning: what was told before may be missing.
        A server without live queries tells nothing.
        """
        link = Link(self._connect)
        link.start()
        try:
            while not self._closed:
                with suppress(StoreError, RpcError, *BROKEN):
                    connection = await link.ready()
                    connection.noticed = lambda told: notice(told.get("result") if isinstance(told, dict) else None)
                    results(await connection.query(text, {}))
                    notice(None)
                    await connection.ended()
                await asyncio.sleep(WATCH_AGAIN)
        finally:
            await link.close()

    async def close(self) -> None:
        """Close the connections. Later calls raise StoreUnavailableError."""
        self._closed = True
        await asyncio.gather(*(link.close() for link in self._links))

    def _until(self, given: float | None) -> float:
        return asyncio.get_running_loop().time() + self.deadline if given is None else given

    def _link(self) -> Link:
        """The least busy of the links that are up; where none is, one that is being connected."""
        if self._closed:
            raise StoreUnavailableError(CLOSED)
        up = [link for link in self._links if link.is_up]
        best = min(up or self._links, key=lambda link: (link.is_down, link.under_way))
        if up and best.under_way >= BUSY and len(self._links) < LINKS:
            self._links.append(Link(self._connect))
            self._links[-1].start()
        best.start()
        return best

    async def _connect(self) -> RpcConnection:
        """A connection that is signed in. Raises StoreUnavailableError."""
        connection: RpcConnection | None = None
        try:
            async with asyncio.timeout(min(self.deadline, CONNECT_WITHIN)):
                connection = await RpcConnection.open(self._url, self._trust)
                await self._sign_in(connection)
                await self._use(connection)
        except BaseException as error:
            if connection is not None:
                connection.abort()
            if isinstance(error, ssl.SSLCertVerificationError):
                raise StoreUnavailableError(_UNKNOWN_AUTHORITY) from None
            if isinstance(error, (RpcError, *BROKEN)):
                raise StoreUnavailableError from None  # the text may quote the sign-in
            raise
        return connection

    async def _sign_in(self, connection: RpcConnection) -> None:
        """Sign in as a user of the database, the namespace or the server, whichever knows the name.

        Hashing the password costs the server 0.1 s, so further connections show the pass that it gave for it.
        """
        if self._user is None or self._password is None:
            return
        if self._pass is not None:
            with suppress(RpcError):  # it has run out, or the server does not know it
                await connection.call("authenticate", self._pass)
                return
        for level in ({"NS": self._namespace, "DB": self._database}, {"NS": self._namespace}, {}):
            with suppress(RpcError):
                given = await connection.call("signin", {**level, "user": self._user, "pass": self._password.reveal()})
                self._pass = given if isinstance(given, str) else None
                return
        raise StoreUnavailableError(_REFUSED)

    async def _use(self, connection: RpcConnection) -> None:
        """Choose the database, which defines it the first time: instances then get in each other's way."""
        for attempt in range(1, ATTEMPTS):
            try:
                await connection.call("use", self._namespace, self._database)
            except RpcError:
                await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * attempt)))  # noqa: S311  # jitter
            else:
                return
        await connection.call("use", self._namespace, self._database)
