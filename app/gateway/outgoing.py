"""Bodies ready to be sent to a provider, as often as need be."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

from msgspec import Struct

from keycairn.app.gateway.kept import PIECE, KeptBody

SENT_AT_ONCE = 2**20
"""Bytes of a body that are handed over in one; a larger one goes out in pieces, so that nobody waits."""


class WholeBody(Struct, frozen=True):
    """A body in memory."""

    beginning: bytes

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again."""
        return True

    @property
    def length(self) -> int | None:
        """Bytes, where they are known."""
        return len(self.beginning)

    @property
    def content(self) -> bytes | AsyncIterator[bytes]:
        """What to send: the bytes, or chunks."""
        return self.beginning if len(self.beginning) <= SENT_AT_ONCE else self._pieces()

    @property
    def whole(self) -> bool:
        """Whether `beginning` is all of it."""
        return True

    async def sha256(self) -> str:
        """The digest of all of it, in hexadecimal."""
        if len(self.beginning) <= SENT_AT_ONCE:
            return sha256(self.beginning).hexdigest()
        return (await asyncio.to_thread(sha256, self.beginning)).hexdigest()

    async def _pieces(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self.beginning), PIECE):
            yield self.beginning[at : at + PIECE]
            await asyncio.sleep(0)


class StreamedBody(Struct, frozen=True):
    """A body that may still be coming, with the bytes of `place` replaced by `value`."""

    kept: KeptBody
    place: tuple[int, int] = (0, 0)
    value: bytes = b""

    @property
    def beginning(self) -> bytes:
        """All of it where that is small and here, else nothing."""
        body = self.kept.in_memory
        begin, end = self.place
        return b"" if body is None else body[:begin] + self.value + body[end:]

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again: all that was drawn of it is kept."""
        return self.kept.whole

    @property
    def length(self) -> int | None:
        """Bytes, where they are known."""
        length, (begin, end) = self.kept.incoming.length, self.place
        return None if length is None else length + len(self.value) - (end - begin)

    @property
    def content(self) -> bytes | AsyncIterator[bytes]:
        """What to send: the bytes, or chunks."""
        return self.beginning or self._chunks()

    @property
    def whole(self) -> bool:
        """Whether `beginning` is all of it."""
        return self.kept.in_memory is not None

    async def sha256(self) -> str:
        """The digest of all of it, in hexadecimal; takes the rest in. Raises as `KeptBody.draw_all`."""
        await self.kept.draw_all()
        digest = sha256()
        begin, end = self.place
        async for chunk in self.kept.chunks(0, begin):
            digest.update(chunk)
        digest.update(self.value)
        async for chunk in self.kept.chunks(end):
            digest.update(chunk)
        return digest.hexdigest()

    async def _chunks(self) -> AsyncIterator[bytes]:
        begin, end = self.place
        async for chunk in self.kept.chunks(0, begin):
            yield chunk
        if self.value:
            yield self.value
        async for chunk in self.kept.chunks(end):
            yield chunk


Outgoing = WholeBody | StreamedBody
NO_BODY = WholeBody(b"")
