"""An answer while it comes: filled by its connection, emptied by its reader."""

import asyncio
from collections.abc import Callable

from keycairn.domain.errors import CannotConnectError, ProviderTimeoutError
from keycairn.ports.upstream import Headers

READ_AHEAD = 2**17
"""Bytes held for a reader that is slower than the provider; then the connection is read no more until it catches up."""


class Answer:
    """A `keycairn.ports.upstream.UpstreamAnswer`. `within` is in seconds, how long the provider may be silent.

    After the head, `idle` takes its place, where there is one; `total` is for all of it, however busy the provider is.
    `cut` ends the connection with a failure, `resume` has it read on; both are the connection's.
    """

    __slots__ = (
        "_chunks", "_cut", "_end_timer", "_ended", "_failure", "_heard", "_idle", "_loop", "_resume", "_timer",
        "_waiter", "_within",
        "begun", "excused", "headers", "held", "status",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        within: float,
        cut: Callable[[Exception], None],
        resume: Callable[[], None],
        *,
        idle: float | None = None,
        total: float | None = None,
    ) -> None:
        self.status: int = 0
        self.headers: Headers = ()
        self.begun: bool = False
        """Whether status and headers are there."""
        self.excused: bool = False
        """Whether the provider waits for us: more of the request is to come."""
        self._cut, self._resume = cut, resume
        self._chunks: list[bytes] = []
        self.held: int = 0
        """Bytes that came and were not read. From `READ_AHEAD` on, the connection reads no more."""
        self._ended = False
        self._failure: Exception | None = None
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._within = within
        self._idle = within if idle is None else idle
        self._heard = self._loop.time()
        self._timer = loop.call_at(self._heard + within, self._look)
        self._end_timer = None if total is None else loop.call_later(total, self._late)

    async def head(self) -> None:
        """Wait for status and headers. Raises what the exchange failed with."""
        while not self.begun:
            if self._failure is not None:
                raise self._failure from None
            await self._news()

    async def beginning(self) -> bytes | None:
        """See `UpstreamAnswer.beginning`."""
        while not self._chunks:
            if self._failure is not None:
                raise self._failure from None
            if self._ended:
                return b""
            await self._news()
        return self._chunks[0]

    def chunks(self) -> "Answer":
        """See `UpstreamAnswer.chunks`. No generator: the loop keeps a list of those, which costs each call."""
        return self

    def __aiter__(self) -> "Answer":
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._failure is not None:
                raise self._failure from None
            if self._ended:
                raise StopAsyncIteration
            await self._news()
        chunk = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if self.held >= READ_AHEAD and not self._ended:  # afterwards the connection is another one's
            self._resume()
        self.held = 0
        return chunk

    async def aclose(self) -> None:
        """See `Chunks.aclose`. The exchange is ended by `close`."""

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""
        if not self._ended:
            self._cut(CannotConnectError("The exchange was ended here."))

    def touch(self) -> None:
        """Note a sign of life: bytes that came, or bytes that went."""
        self._heard = self._loop.time()

    def begin(self, status: int, headers: Headers) -> None:
        """The head is there."""
        self.status, self.headers, self.begun = status, headers, True
        if self._idle != self._within:
            self._within = self._idle
            self._timer.cancel()
            self._timer = self._loop.call_later(self._within, self._look)
        self._wake()

    def add(self, chunk: bytes) -> bool:
        """One more piece. Whether it made the answer full, with which reading must pause."""
        before = self.held
        self._chunks.append(chunk)
        self.held = before + len(chunk)
        self._wake()
        return before < READ_AHEAD <= self.held

    def end(self, failure: Exception | None = None) -> None:
        """Nothing more will come. A failure is raised once what came before it has been read."""
        self._ended, self._failure = True, failure
        self._timer.cancel()
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._wake()

    async def _news(self) -> None:
        self.touch()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _late(self) -> None:
        self._cut(ProviderTimeoutError())

    def _look(self) -> None:
        """Has the provider been silent for too long? That a reader or the request's source is slow is not its fault."""
        counts = self._waiter is not None and not self.excused
        left = self._within - (self._loop.time() - self._heard) if counts else self._within
        if left <= 0:
            self._cut(ProviderTimeoutError())
        else:
            self._timer = self._loop.call_later(left, self._look)
