"""One connection to a SurrealDB server: requests and answers as CBOR over a WebSocket.

The protocol: https://surrealdb.com/docs/surrealdb/integration/rpc. The SDK's client has no deadlines, takes no
certificates of one's own, waits for ever after an answer without an id, and writes CBOR slower than the server reads.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import cbor2
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from keycairn.adapters.surreal.wire import decoded, wired

BROKEN = (OSError, EOFError, TimeoutError, WebSocketException)
"""What `RpcConnection` raises where the connection cannot be made, or is gone."""
GOODBYE = 1.0
"""Seconds for the closing handshake."""


class RpcError(Exception):
    """The server refused a request. Its text may quote what was sent."""


class RpcConnection:
    """Many requests may be under way at once. Make one with `open`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Mapping[str, Any] | None]] = {}
        self._reader = asyncio.create_task(self._read())
        self.noticed: Callable[[Any], None] | None = None
        """Gets what live queries tell."""

    @classmethod
    async def open(cls, url: str, trust: ssl.SSLContext | None) -> "RpcConnection":
        """Connect; `trust` is for `wss://`. Raises one of `BROKEN`."""
        socket = await websockets.connect(
            f"{url}/rpc",
            ssl=trust,
            subprotocols=[websockets.Subprotocol("cbor")],
            max_size=None,
            compression=None,
            ping_interval=None,
            open_timeout=None,
            close_timeout=GOODBYE,
            proxy=None,
        )
        return cls(socket)

    @property
    def is_dead(self) -> bool:
        """Whether nobody reads its answers any more."""
        return self._reader.done()

    async def ended(self) -> None:
        """Wait until it is dead."""
        await asyncio.wait([self._reader])

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a request. Raises RpcError, or EOFError and others of `BROKEN` when the connection ends."""
        answer = await self._answer(method, params)
        if "error" in answer:
            raise RpcError
        return answer.get("result")

    async def query(self, text: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The raw answer to a query; see `results`. Raises as `call`."""
        return await self._answer("query", (text, dict(variables)))

    async def close(self) -> None:
        """Close it. Requests under way end with EOFError."""
        with suppress(*BROKEN):
            await self._socket.close()
        self._reader.cancel()
        await asyncio.wait([self._reader])

    def abort(self) -> None:
        """End it at once. Requests under way end with EOFError."""
        self._socket.transport.abort()
        self._reader.cancel()

    async def _answer(self, method: str, params: tuple[Any, ...]) -> Mapping[str, Any]:
        if self.is_dead:
            raise EOFError
        self._number += 1
        number = self._number
        answer: asyncio.Future[Mapping[str, Any] | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._socket.send(cbor2.dumps({"id": number, "method": method, "params": wired(params)}))
            if (given := await answer) is None:
                raise EOFError
            return given
        finally:
            del self._waiting[number]

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                answer = decoded(data if isinstance(data, bytes) else data.encode())
                if answer.get("id") is None and self.noticed is not None:
                    self.noticed(answer.get("result"))
                waiting = self._waiting.get(answer.get("id") or 0)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (*BROKEN, cbor2.CBORDecodeError):
            pass
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result(None)
