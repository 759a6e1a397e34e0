"""A client's body as it comes in, within limits for each call and for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CoroutineType, coroutine
from typing import Any, TypeVar, cast

from litestar.types import Receive

from keycairn.domain.errors import BodyTooLargeError, BodyTooSlowError, OverloadedError
from keycairn.ports.spool import Spool, Spools

LARGEST_HEAD = 32 * 2**20
"""Bytes of a body that are held in memory: all of a JSON body."""
MOST_HELD = 256 * 2**20
"""Bytes of all calls together that are held in memory at one time."""
MOST_SPOOLED = 2**30
"""Bytes of all calls together that are kept on disk at one time."""
BODY_WITHIN = 60.0
"""Seconds a client may take for a body that is held in memory, and between two chunks of any other."""

_T = TypeVar("_T")


class ClientGoneError(Exception):
    """The client closed its connection. Nobody is left to be told."""


class Intake:
    """The limits of taking bodies in: counts the bytes all calls hold, and refuses what would be too many.

    `within` is in seconds, as BODY_WITHIN says. Without `spools`, nothing is kept on disk.
    """

    def __init__(
        self,
        most: int = MOST_HELD,
        within: float = BODY_WITHIN,
        spools: Spools | None = None,
        most_spooled: int = MOST_SPOOLED,
    ) -> None:
        self._most = most
        self._most_spooled = most_spooled
        self._spools = spools
        self._turn = asyncio.Lock()
        self.within = within
        self.held: int = 0
        self.spooled: int = 0

    def take(self, count: int) -> None:
        """Hold `count` bytes more in memory. Raises OverloadedError."""
        if self.held + count > self._most:
            raise OverloadedError
        self.held += count

    def give_back(self, count: int) -> None:
        """Hold `count` bytes less in memory."""
        self.held -= count

    def spool(self) -> Spool | None:
        """Room on disk, where there is any."""
        return self._spools.open() if self._spools else None

    def take_disk(self, count: int) -> bool:
        """Keep `count` bytes more on disk, or say that it would be too many."""
        if self.spooled + count > self._most_spooled:
            return False
        self.spooled += count
        return True

    def give_disk_back(self, count: int) -> None:
        """Keep `count` bytes less on disk."""
        self.spooled -= count

    async def pause(self) -> None:
        """Let others go on, in long work that has done a slice. Of all calls, one does a slice at a time."""
        async with self._turn:
            await asyncio.sleep(0)


class Incoming:
    """One request's body, drawn chunk by chunk. `close` gives back what it held in memory."""

    __slots__ = ("_end", "_held", "_receive", "_watcher", "closing", "complete", "intake", "length")

    def __init__(self, receive: Receive, intake: Intake, length: int | None) -> None:
        self._receive = receive
        self._held = 0
        self._end: float | None = None
        self.intake: Intake = intake
        self.length: int | None = length
        self.complete: bool = False
        self.closing: Callable[[], None] | None = None
        """What else to give back at the end."""
        self._watcher: asyncio.Future[None] | None = None
        """What waits for the last byte: until it came nobody else may call `receive`."""

    async def take(self) -> bytes:
        """The next chunk, counted as held until `close`.

        Raises BodyTooLargeError, BodyTooSlowError, OverloadedError, ClientGoneError.
        """
        if self._end is None:
            if self.length is not None and self.length > LARGEST_HEAD:
                raise too_large()
            self._end = asyncio.get_running_loop().time() + self.intake.within
        chunk = await self._next(self._end)
        if chunk:
            self.hold(len(chunk))
            if self._held > LARGEST_HEAD:
                raise too_large()
        return chunk

    async def read(self) -> bytes:
        """All of the body, held. Raises as `take`."""
        chunks = [await self.take()]
        while not self.complete:
            chunks.append(await self.take())
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def draw(self) -> bytes:
        """The next chunk, which may be empty, not counted as held. Raises BodyTooSlowError, ClientGoneError.

        Nothing is lost where drawing is cancelled.
        """
        return await self._next(asyncio.get_running_loop().time() + self.intake.within)

    def hold(self, count: int) -> None:
        """Count so many bytes as held, or fewer where it is negative. Raises OverloadedError."""
        self.intake.take(count)
        self._held += count

    async def gone(self) -> None:
        """Returns when the client is gone."""
        if not self.complete:
            self._watcher = asyncio.get_running_loop().create_future()
            await self._watcher
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def close(self) -> None:
        """Give back what was held."""
        if self.closing is not None:
            self.closing()
        self.intake.give_back(self._held)
        self._held = 0

    async def _next(self, end: float) -> bytes:
        message = await _within(end, self._receive())
        if message["type"] == "http.disconnect":
            self._finish()
            raise ClientGoneError
        chunk: bytes = message.get("body", b"")  # type: ignore[assignment]  # a http.request, which holds bytes
        if not message.get("more_body", False):
            self._finish()
        return chunk

    def _finish(self) -> None:
        self.complete = True
        if self._watcher is not None and not self._watcher.done():
            self._watcher.set_result(None)


async def _within(end: float, receiving: Awaitable[_T]) -> _T:
    """What comes until then, by the clock of the loop. Raises BodyTooSlowError.

    Most bodies came with their heads, and need no timer.
    """
    coming = receiving
    if isinstance(receiving, CoroutineType):
        try:
            waits_for = receiving.send(None)
        except StopIteration as came:
            return cast("_T", came.value)
        coming = _resumed(receiving, waits_for)
    try:
        async with asyncio.timeout_at(end):
            return await coming
    except TimeoutError:
        raise BodyTooSlowError from None


@coroutine
def _resumed(begun: Coroutine[Any, Any, _T], waits_for: object) -> Generator[Any, Any, _T]:
    """Goes on with a coroutine whose first step gave what it `waits_for`."""
    try:
        yield waits_for
    except BaseException as error:
        begun.throw(error)  # so that it ends in its own way
        raise
    return (yield from begun.__await__())


def too_large() -> BodyTooLargeError:
    """A body that is held and would be larger than is held."""
    return BodyTooLargeError(f"The request must name its model within the first {LARGEST_HEAD // 2**20} MiB.")
