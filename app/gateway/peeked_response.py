"""An answer whose beginning was read to understand it, and is passed on all the same."""

from collections.abc import AsyncGenerator

from keycairn.ports.upstream import Headers, UpstreamAnswer

WINDOW = 65_536
"""Bytes of a refusal that are read to find its reason."""


class PeekedResponse:
    """A `keycairn.ports.upstream.UpstreamAnswer`: another one, of which `seen` was read already."""

    __slots__ = ("_answer", "_rest", "seen")

    def __init__(self, answer: UpstreamAnswer) -> None:
        self._answer = answer
        self._rest = answer.chunks()
        self.seen = b""

    async def look(self) -> bytes:
        """The beginning of the body, all of it where it is short. Raises as `UpstreamAnswer.chunks`."""
        async for chunk in self._rest:
            self.seen += chunk
            if len(self.seen) >= WINDOW:
                break
        return self.seen

    @property
    def status(self) -> int:
        """See `UpstreamAnswer.status`."""
        return self._answer.status

    @property
    def headers(self) -> Headers:
        """See `UpstreamAnswer.headers`."""
        return self._answer.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """See `UpstreamAnswer.chunks`."""
        if self.seen:
            yield self.seen
        async for chunk in self._rest:
            yield chunk

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""
        self._answer.close()
