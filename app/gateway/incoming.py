"""A client's request: its headers, and its body without holding more of it than must be."""

import asyncio
from collections.abc import AsyncIterator

from litestar.types import Receive
from msgspec import Struct

from keycairn.app.gateway.errors import BodyTooLargeError, BodyTooSlowError, OverloadedError

LARGEST_HEAD = 32 * 2**20
"""Bytes of a body that are held until its model is known: all of a JSON body, the start of a form."""
MOST_HELD = 256 * 2**20
"""Bytes of all calls together that are held at one time."""
BODY_WITHIN = 60.0
"""Seconds a client may take for the part of its body that is held, and again between two chunks of the rest."""


class ClientGoneError(Exception):
    """The client closed its connection. Nobody is left to be told."""


class Intake:
    """The limits of taking bodies in: counts the bytes all calls hold, and refuses what would be too many.

    `within` is in seconds, as BODY_WITHIN says.
    """

    def __init__(self, most: int = MOST_HELD, within: float = BODY_WITHIN) -> None:
        self._most = most
        self.within = within
        self.held = 0

    def take(self, count: int) -> None:
        """Hold `count` bytes more. Raises OverloadedError."""
        if self.held + count > self._most:
            raise OverloadedError
        self.held += count

    def give_back(self, count: int) -> None:
        """Hold `count` bytes less."""
        self.held -= count


class Incoming:
    """One request's body. `close` gives back what it held."""

    __slots__ = ("_held", "_intake", "_receive", "complete", "drawn", "finished", "head", "length")

    def __init__(self, receive: Receive, intake: Intake, length: int | None) -> None:
        self._receive = receive
        self._intake = intake
        self._held = 0
        self.length = length
        self.head: bytes | bytearray = b""
        self.complete = False
        self.drawn = False
        """Whether any of what follows `head` was taken, so that the body cannot be sent again."""
        self.finished = asyncio.Event()
        """Set when the last byte came; until then nobody else may call `receive`."""

    async def read(self) -> bytes:
        """All of the body. Raises BodyTooLargeError, BodyTooSlowError, OverloadedError, ClientGoneError."""
        if self.length is not None and self.length > LARGEST_HEAD:
            raise _too_large()
        try:
            async with asyncio.timeout(self._intake.within):
                chunk, more = await self._next()
                if not more:
                    self.head = chunk
                    return chunk
                whole = bytearray(chunk)
                while more:
                    chunk, more = await self._next()
                    whole += chunk
                    if len(whole) > LARGEST_HEAD:
                        raise _too_large()
        except TimeoutError:
            raise BodyTooSlowError from None
        body = self.head = bytes(whole)
        return body

    async def more(self) -> None:
        """Add one chunk more to `head`. Raises as `read`."""
        try:
            async with asyncio.timeout(self._intake.within):
                chunk, _ = await self._next()
        except TimeoutError:
            raise BodyTooSlowError from None
        if isinstance(self.head, bytes):
            self.head = bytearray(self.head)
        self.head += chunk
        if len(self.head) > LARGEST_HEAD:
            raise _too_large()

    async def rest(self) -> AsyncIterator[bytes]:
        """What follows `head`, each chunk when it is drawn, none kept. Raises BodyTooSlowError, ClientGoneError."""
        while not self.complete:
            self.drawn = True
            try:
                async with asyncio.timeout(self._intake.within):
                    chunk, _ = await self._next(keep=False)
            except TimeoutError:
                raise BodyTooSlowError from None
            if chunk:
                yield chunk

    async def gone(self) -> None:
        """Returns when the client is gone."""
        await self.finished.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def close(self) -> None:
        """Give back what was held."""
        self._intake.give_back(self._held)
        self._held = 0
        self.head = b""

    async def _next(self, *, keep: bool = True) -> tuple[bytes, bool]:
        """The next chunk, and whether more follow."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.complete = True
            self.finished.set()
            raise ClientGoneError
        chunk: bytes = message.get("body", b"")  # type: ignore[assignment]  # a http.request, which holds bytes
        if keep and chunk:
            self._intake.take(len(chunk))
            self._held += len(chunk)
        more = bool(message.get("more_body", False))
        if not more:
            self.complete = True
            self.finished.set()
        return chunk, more


class Outgoing(Struct, frozen=True):
    """A body ready to be sent on: what is held, and whether more follows from the client.

    `length` is that of the whole body where it is known.
    """

    head: bytes
    incoming: Incoming | None = None
    length: int | None = None

    @property
    def whole(self) -> bool:
        """Whether all of it is held."""
        return self.incoming is None

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again: nothing was taken of what is not held."""
        return self.incoming is None or not self.incoming.drawn

    @property
    def content(self) -> bytes | AsyncIterator[bytes]:
        """What to send: the bytes, or the chunks where more follows."""
        return bytes(self.head) if self.incoming is None else self.chunks()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The held part, then the rest as it comes. Once only."""
        yield self.head
        if self.incoming is not None:
            async for chunk in self.incoming.rest():
                yield chunk


def _too_large() -> BodyTooLargeError:
    return BodyTooLargeError(f"The request must name its model within the first {LARGEST_HEAD // 2**20} MiB.")
