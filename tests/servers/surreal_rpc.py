"""A SurrealDB server of a kind: the wire protocol of a real one in front of an engine in this process.

It serves what a client does to its connection. It proves nothing about sign-in rules or isolation: of a hundred pairs
of transactions that rest on what the other changes, the engine commits about one. So one runs at a time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import websockets
from surrealdb._surrealdb_ext import AsyncEmbeddedDB
from surrealdb.cbor import loads
from surrealdb.data.cbor import encode, tag_decoder
from websockets.asyncio.server import Server, ServerConnection


class RpcServer:
    """Switches for what can go wrong, and what was seen."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.connections: set[ServerConnection] = set()
        self._transaction = asyncio.Lock()
        self.port = 0
        self.sign_ins = 0
        self.thawed = asyncio.Event()
        """Clear it to let every request wait."""
        self.thawed.set()
        self.drop_before: str | None = None
        """Cut the connection instead of running the next request whose text contains this."""
        self.drop_after: str | None = None
        """Run the next request whose text contains this, then cut the connection instead of answering."""
        self.gone_after = False
        """Cut every connection from then on, once one was cut for `drop_after`."""
        self.gone = False
        self.answers: list[dict[str, Any]] = []
        """Answer the next transactions with these and do not run them."""
        self.password = "correct horse"

    @property
    def dropped(self) -> bool:
        """Whether no request is left to be dropped."""
        return self.drop_before is None and self.drop_after is None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def drop_all(self) -> None:
        for connection in set(self.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    async def serve(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                async for frame in connection:
                    group.create_task(self._answer(connection, frame))
        except* (websockets.ConnectionClosed, ConnectionError):
            pass
        finally:
            self.connections.discard(connection)

    async def _answer(self, connection: ServerConnection, frame: Any) -> None:
        request = loads(frame, tag_hook=tag_decoder)
        text = str(request.get("params", [""])[0]) if request["method"] == "query" else ""
        await self.thawed.wait()
        if request["method"] in {"signin", "authenticate"}:
            self.sign_ins += 1
            shown = request["params"][0]
            good = shown == "a.b.c" if isinstance(shown, str) else shown["pass"] == self.password
            outcome = {"result": "a.b.c"} if good else {"error": {"code": -32000, "message": "no"}}
            await connection.send(encode({"id": request["id"], **outcome}))
            return
        if self.drop_before and self.drop_before in text:
            self.drop_before = None
            connection.transport.abort()
            return
        if self.answers and text.startswith("BEGIN"):
            await connection.send(encode({"id": request["id"], **self.answers.pop(0)}))
            return
        if self.gone:
            connection.transport.abort()
            return
        async with self._transaction if text.startswith("BEGIN") else nullcontext():
            answer = await self.engine.execute(frame)
        if self.drop_after and self.drop_after in text:
            self.drop_after, self.gone = None, self.gone_after
            connection.transport.abort()
            return
        with suppress(websockets.ConnectionClosed):
            await connection.send(answer)


@asynccontextmanager
async def surreal_rpc(engine: Any = None) -> AsyncIterator[RpcServer]:
    """A server on a free loopback port."""
    engine = engine or AsyncEmbeddedDB("mem://")
    await engine.connect()
    server = RpcServer(engine)
    listener: Server = await websockets.serve(
        server.serve, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("cbor")], max_size=None
    )
    server.port = next(iter(listener.sockets)).getsockname()[1]
    try:
        yield server
    finally:
        server.thawed.set()
        await server.drop_all()
        listener.close()
        await listener.wait_closed()
