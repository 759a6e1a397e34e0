"""A body that is kept while it streams, so that it can be sent again from its beginning."""

import asyncio
from collections.abc import AsyncIterator, Callable

from keycairn.app.gateway.request_body import LARGEST_HEAD, Incoming, too_large
from keycairn.domain.errors import BodyTooLargeError, OverloadedError, SpoolError
from keycairn.ports.spool import Spool

KEPT_IN_MEMORY = 2**18
"""Bytes of a streamed body that are kept in memory; what is more goes to disk."""
LARGEST_KEPT = 64 * 2**20
"""Bytes of a streamed body that are kept at all. A larger one is sent once only."""
PIECE = 2**18
"""Bytes that are read back at one time."""


class KeptBody:
    """What was drawn of `incoming`: its beginning on disk, where it is long, and the rest in memory.

    `watch` sees each chunk before anybody else, and may raise to refuse the body. `close` gives all back.
    """

    def __init__(self, incoming: Incoming, watch: Callable[[bytes], None] | None = None) -> None:
        self.incoming = incoming
        self.whole: bool = True
        """Whether all that was drawn is kept, so that the body can be sent again."""
        self._watch = watch
        self._tail = bytearray()
        self._spooled = self._drawn = 0
        self._spool: Spool | None = incoming.intake.spool()
        self._full = self._spool is None
        self._drawing = asyncio.Lock()
        incoming.closing = self.close

    @property
    def complete(self) -> bool:
        """Whether the client sent all of it."""
        return self.incoming.complete

    @property
    def in_memory(self) -> bytes | None:
        """All of the body, where it is complete and none of it on disk."""
        return bytes(self._tail) if self.complete and self.whole and not self._spooled else None

    async def draw(self, *, needed: bool = False) -> bytes:
        """The next chunk, and keep it if that can be. `needed`: raise where it cannot.

        Raises as `Incoming.draw` and as the watch; BodyTooLargeError and OverloadedError where it is needed.
        """
        async with self._drawing:
            chunk = await self.incoming.draw()
            self._drawn += len(chunk)
            if self._watch is not None:
                self._watch(chunk)
            if self.whole:
                await self._keep(chunk, needed=needed)
            return chunk

    async def draw_all(self) -> None:
        """Draw the rest and keep all of it. Raises as `draw`, BodyTooLargeError where it cannot be kept."""
        try:
            while not self.complete:
                await self.draw(needed=True)
        except BodyTooLargeError:
            raise _too_long_to_sign() from None
        if not self.whole:
            raise _too_long_to_sign()

    async def chunks(self, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `begin` to `end`: those kept, then the rest as the client sends it.

        Raises as `draw`; SpoolError where what is kept cannot be read.
        """
        at = begin
        while end is None or at < end:
            if at < self._spooled + len(self._tail):
                chunk = await self._read(at, PIECE if end is None else min(PIECE, end - at))
            elif self.complete:
                return
            else:
                chunk = await self.draw()
            at += len(chunk)
            if chunk:
                yield chunk
                # A receiver with room for all of it would not let anybody else go on.
                await asyncio.sleep(0)

    def close(self) -> None:
        """Give back the memory and the disk."""
        self.whole = False
        self.incoming.hold(-len(self._tail))
        self._tail.clear()
        self.incoming.intake.give_disk_back(self._spooled)
        self._spooled = 0
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    async def _keep(self, chunk: bytes, *, needed: bool) -> None:
        try:
            if self._drawn > LARGEST_KEPT or (not needed and (self.incoming.length or 0) > LARGEST_KEPT):
                raise _too_long()
            self.incoming.hold(len(chunk))
            self._tail += chunk
            if len(self._tail) > KEPT_IN_MEMORY and not self._full:
                await self._to_disk()
            if len(self._tail) > (LARGEST_HEAD if needed else KEPT_IN_MEMORY):
                raise too_large()
        except (BodyTooLargeError, OverloadedError):
            if needed:
                raise
            self.close()  # whoever draws has read all that is kept

    async def _to_disk(self) -> None:
        """Move what is in memory to disk, where that takes it. A write that was cancelled is done once more."""
        data, spool = bytes(self._tail), self._spool
        if spool is None or not self.incoming.intake.take_disk(len(data)):
            self._full = True
            return
        written = False
        try:
            await spool.write(self._spooled, data)
            written = True
        except SpoolError:
            self._full = True
        finally:
            if written and self.whole:
                self._spooled += len(data)
                del self._tail[: len(data)]
                self.incoming.hold(-len(data))
            else:
                self.incoming.intake.give_disk_back(len(data))

    async def _read(self, at: int, size: int) -> bytes:
        if at >= self._spooled:
            at -= self._spooled
            return bytes(self._tail[at : at + size])
        if self._spool is None:
            raise SpoolError
        return await self._spool.read(at, min(size, self._spooled - at))


def _too_long() -> BodyTooLargeError:
    return BodyTooLargeError(f"The form must name its model within the first {LARGEST_KEPT // 2**20} MiB.")


def _too_long_to_sign() -> BodyTooLargeError:
    limit = f"{LARGEST_KEPT // 2**20} MiB, and {LARGEST_HEAD // 2**20} MiB where the disk is full"
    return BodyTooLargeError(f"This provider's calls are signed with their body, which may have at most {limit}.")
