"""A websocket whose provider was heard before it is passed on: some say in their first message that they refuse."""

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from keycairn.domain.error_body import of_json
from keycairn.domain.hidden_failure import hidden_failure
from keycairn.domain.provider_failure import Failure, classified
from keycairn.ports.upstream import Chunks, Headers
from keycairn.ports.websocket import Close, Message, UpstreamSocket

FIRST_WITHIN = 5.0
"""Seconds a provider that speaks first has for its first message, before the client is let in all the same."""
_GOING = frozenset({1000, 1001, 1012})
"""Codes of an end that is no refusal."""


async def heard(socket: UpstreamSocket) -> tuple["HeardSocket | UnwillingSocket", Failure | None]:
    """The connection with its first message, and what that stands for where it is a refusal."""
    first = asyncio.ensure_future(socket.receive())
    try:
        await asyncio.wait({first}, timeout=FIRST_WITHIN)
    except BaseException:
        first.cancel()
        raise
    if first.done():
        said = first.result()
        if (failure := refusal(said)) is not None:
            body = said.data if isinstance(said, Message) else _as_json(said)
            return UnwillingSocket(socket, failure, body), failure
    return HeardSocket(socket, first), None


def refusal(said: Message | Close) -> Failure | None:
    """The failure that a provider's first word is, None where it is none."""
    if isinstance(said, Message):
        return hidden_failure(200, (), said.data)
    if said.code in _GOING:
        return None
    return classified(200, (), of_json(msgspec.json.decode(_as_json(said))))


def _as_json(close: Close) -> bytes:
    """The end of a connection in the form of an error. OpenAI's reason is a type and a code, with a dot between."""
    code = close.reason.rpartition(".")[2] if " " not in close.reason else ""
    error = {"message": close.reason or "The provider closed the connection.", "type": str(close.code), "code": code}
    return msgspec.json.encode({"error": error})


class HeardSocket:
    """A `keycairn.ports.websocket.UpstreamSocket`: another one, whose first message is drawn already, or will be."""

    __slots__ = ("_first", "_socket", "headers", "status")

    def __init__(self, socket: UpstreamSocket, first: "asyncio.Future[Message | Close]") -> None:
        self._socket = socket
        self._first: asyncio.Future[Message | Close] | None = first
        self.status: int = socket.status
        self.headers: Headers = socket.headers

    @property
    def subprotocol(self) -> str:
        """See `UpstreamSocket.subprotocol`."""
        return self._socket.subprotocol

    async def beginning(self) -> bytes | None:
        """See `UpstreamAnswer.beginning`."""
        return b""

    def chunks(self) -> Chunks:
        """See `UpstreamAnswer.chunks`."""
        return self._socket.chunks()

    async def receive(self) -> Message | Close:
        """See `UpstreamSocket.receive`."""
        if self._first is not None:
            first, self._first = self._first, None
            return await first
        return await self._socket.receive()

    async def send(self, message: Message) -> None:
        """See `UpstreamSocket.send`."""
        await self._socket.send(message)

    async def end(self, close: Close) -> None:
        """See `UpstreamSocket.end`."""
        await self._socket.end(close)

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""
        if self._first is not None:
            self._first.cancel()
        self._socket.close()


class UnwillingSocket:
    """A `keycairn.ports.upstream.UpstreamAnswer` in place of a connection whose first word was a refusal."""

    __slots__ = ("_body", "_socket", "headers", "status")

    def __init__(self, socket: UpstreamSocket, failure: Failure, body: bytes) -> None:
        self._socket = socket
        self._body = body
        self.status: int = failure.status
        self.headers: Headers = [*socket.headers, ("content-type", "application/json")]

    async def beginning(self) -> bytes | None:
        """See `UpstreamAnswer.beginning`."""
        return self._body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """See `UpstreamAnswer.chunks`."""
        yield self._body

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""
        self._socket.close()
