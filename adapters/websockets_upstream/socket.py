"""What a handshake led to: an open connection, or the provider's refusal."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from keycairn.ports.upstream import Headers
from keycairn.ports.websocket import SWITCHING, Close, Message

LOST = Close(1006)
_GARBLED = frozenset({1002, 1007, 1009})
"""Codes with which we end a connection for what the provider sent."""


class RefusedSocket:
    """A `keycairn.ports.upstream.UpstreamAnswer`: what the provider said in place of opening a connection."""

    __slots__ = ("_body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status: int = status
        self.headers: Headers = headers
        self._body = body

    async def beginning(self) -> bytes | None:
        """See `UpstreamAnswer.beginning`."""
        return self._body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """See `UpstreamAnswer.chunks`."""
        if self._body:
            yield self._body

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""


class OpenSocket:
    """A `keycairn.ports.websocket.UpstreamSocket`."""

    __slots__ = ("_connection", "_ended", "headers")

    status = SWITCHING

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ended: Close | None = None
        answer = connection.response
        raw = answer.headers.raw_items() if answer is not None else ()
        self.headers: Headers = [(name.lower(), value) for name, value in raw]

    @property
    def subprotocol(self) -> str:
        """See `UpstreamSocket.subprotocol`."""
        return self._connection.subprotocol or ""

    async def beginning(self) -> bytes | None:
        """See `UpstreamAnswer.beginning`."""
        return b""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """See `UpstreamAnswer.chunks`: a connection has no body."""
        none: tuple[bytes, ...] = ()
        for chunk in none:
            yield chunk

    async def receive(self) -> Message | Close:
        """See `UpstreamSocket.receive`."""
        if self._ended is not None:
            return self._ended
        text, data = False, bytearray()
        try:
            # Frame by frame, so that very many small ones of one message cost no more than what they hold.
            async with aclosing(self._connection.recv_streaming()) as pieces:  # type: ignore[type-var]  # a generator
                async for piece in pieces:
                    text = isinstance(piece, str)
                    data += piece.encode() if isinstance(piece, str) else piece
        except (ConnectionClosed, OSError):
            self._ended = self._end()
            return self._ended
        return Message(bytes(data), text)

    async def send(self, message: Message) -> None:
        """See `UpstreamSocket.send`."""
        try:
            await self._connection.send(message.data, text=message.text)
        except (ConnectionClosed, OSError):
            await asyncio.sleep(0)

    async def end(self, close: Close) -> None:
        """See `UpstreamSocket.end`."""
        await self._connection.close(close.code, close.reason)
        self._connection.transport.abort()

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""
        self._connection.transport.abort()

    def _end(self) -> Close:
        """How it ended, where a code of our own side tells more than that the connection is gone."""
        protocol = self._connection.protocol
        given = protocol.close_rcvd
        if given is None and protocol.close_sent is not None and protocol.close_sent.code in _GARBLED:
            given = protocol.close_sent
        return LOST if given is None else Close(given.code, given.reason)
