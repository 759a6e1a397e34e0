"""A provider on a real socket that speaks over websockets: checks the key, records what it was told."""

import asyncio
import json
from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from keycairn.testing.server import KEY


class SocketServer:
    """One provider. Subclasses say its path, its authorization and what it answers (`session`).

    `key` may be changed at any time; sessions that were opened with a former one go on. `faults` gives one fault for
    each coming handshake: a status.
    """

    base: ClassVar[str] = ""
    path: ClassVar[str] = ""
    subprotocols: ClassVar[Sequence[str]] = ()

    def __init__(self, *, key: str = KEY) -> None:
        self.key = key
        self.faults: list[int] = []
        self.handshakes: list[Request] = []
        self.received: list[str | bytes] = []
        self.closes: list[tuple[int | None, str | None]] = []
        self.sessions: list[ServerConnection] = []
        self.opened = 0
        self._server: Server | None = None
        self.origin = ""

    @property
    def url(self) -> str:
        return self.origin + self.base

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle,
            "127.0.0.1",
            0,
            process_request=self._greet,
            select_subprotocol=self._choose,
            compression=None,
            max_size=2**25,
        )
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close(close_connections=True)
        await self._server.wait_closed()

    def has(self, path: str) -> bool:
        """Whether it opens a connection at a path."""
        return path == self.path

    async def session(self, socket: ServerConnection) -> None:
        """What is said on an open connection, until it is closed."""
        raise NotImplementedError

    def presented(self, request: Request) -> str | None:
        """The key of a handshake."""
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    def refused(self, status: int) -> object:
        """The body of a refusal."""
        return {"error": {"message": f"Something about the key {self.key}.", "type": "x", "code": str(status)}}

    def query(self, number: int = -1) -> dict[str, str]:
        """The query of a handshake."""
        return dict(parse_qsl(urlsplit(self.handshakes[number].path).query, keep_blank_values=True))

    def _choose(self, socket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((one for one in offered if one in self.subprotocols), None)

    def _greet(self, socket: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request)
        status = self.faults.pop(0) if self.faults else 0
        if not status and not self.has(urlsplit(request.path).path):
            status = 404
        if not status and self.presented(request) != self.key and not self.told_later:
            status = 401
        if not status:
            return None
        response = socket.respond(HTTPStatus(status), json.dumps(self.refused(status)))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        return response

    told_later: ClassVar[bool] = False
    """Whether a bad key is told over the open connection."""

    async def _handle(self, socket: ServerConnection) -> None:
        self.sessions.append(socket)
        self.opened += 1
        try:
            await self.session(socket)
        except ConnectionClosed:
            pass
        finally:
            self.opened -= 1
            self.closes.append((socket.close_code, socket.close_reason))

    async def hear(self, socket: ServerConnection) -> Any:
        """The next message: JSON decoded, sound as bytes."""
        message = await socket.recv()
        self.received.append(message)
        return json.loads(message) if isinstance(message, str) else message


async def until(condition: Any, seconds: float = 5.0) -> None:
    """Wait for it, in small steps."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for is in another task's plain attributes
            await asyncio.sleep(0.01)
