"""An answer whose beginning was read to understand it, and is passed on all the same."""

from collections.abc import AsyncGenerator

from keycairn.domain.hidden_failure import error_json, hidden_failure, is_suspect, is_undecided, is_whole
from keycairn.domain.provider_failure import Failure
from keycairn.ports.upstream import Headers, UpstreamAnswer

WINDOW = 65_536
"""Bytes of a refusal that are read to find its reason."""


class PeekedResponse:
    """A `keycairn.ports.upstream.UpstreamAnswer`: another one, of which `seen` was read already."""

    __slots__ = ("_answer", "_rest", "seen")

    def __init__(self, answer: UpstreamAnswer) -> None:
        self._answer = answer
        self._rest = answer.chunks()
        self.seen: bytes = b""

    async def look(self) -> bytes:
        """The beginning of the body, all of it where it is short. Raises as `UpstreamAnswer.chunks`."""
        async for chunk in self._rest:
            self.seen += chunk
            if len(self.seen) >= WINDOW:
                break
        return self.seen

    async def failure(self) -> Failure | None:
        """What is wrong with an answer of a good status, judged by its first bytes. Raises as `look`.

        More than the first chunk is read only where that begins as a failure does.
        """
        async for chunk in self._rest:
            self.seen = self.seen + chunk if self.seen else chunk
            if is_undecided(self.seen):
                continue
            if not is_suspect(self.seen):
                return None
            if len(self.seen) >= WINDOW or is_whole(self.seen):
                break
        return hidden_failure(self.status, self.headers, self.seen)

    @property
    def status(self) -> int:
        """See `UpstreamAnswer.status`."""
        return self._answer.status

    @property
    def headers(self) -> Headers:
        """See `UpstreamAnswer.headers`."""
        return self._answer.headers

    async def beginning(self) -> bytes | None:
        """See `UpstreamAnswer.beginning`."""
        return self.seen or None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """See `UpstreamAnswer.chunks`."""
        try:
            if self.seen:
                yield self.seen
            async for chunk in self._rest:
                yield chunk
        finally:
            await self._rest.aclose()  # left to the loop, it would be a task for each answer

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""
        self._answer.close()


class FailedResponse:
    """A `keycairn.ports.upstream.UpstreamAnswer` in place of one that said its error with a good status.

    It has the status the error should have had, and the error alone as its body.
    """

    __slots__ = ("_answer", "_body", "headers", "status")

    def __init__(self, answer: PeekedResponse, failure: Failure) -> None:
        self._answer = answer
        self._body = error_json(answer.seen)
        self.status: int = failure.status
        self.headers: Headers = answer.headers

    async def beginning(self) -> bytes | None:
        """See `UpstreamAnswer.beginning`."""
        return self._body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """See `UpstreamAnswer.chunks`."""
        yield self._body

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""
        self._answer.close()
