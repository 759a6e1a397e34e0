"""Answers that are compressed although nobody asked for it, unpacked while they come."""

import zlib
from collections.abc import AsyncGenerator

from keycairn.domain.errors import GarbledAnswerError
from keycairn.ports.upstream import Headers, UpstreamAnswer

PIECE = 65_536
"""Bytes that are unpacked at a time."""
FREE = 2**20
"""Bytes any answer may unpack to."""
MOST_TO_ONE = 100
"""How many times as long as it came an answer may become beyond that. JSON and text shrink to a tenth."""

_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 47}
_CODED = frozenset({"content-encoding", "content-length"})


def readable(answer: UpstreamAnswer) -> UpstreamAnswer:
    """The answer, unpacked where it is compressed. Raises GarbledAnswerError for an encoding that is not known here."""
    codings = [value.strip().lower() for name, value in answer.headers if name == "content-encoding"]
    if not codings:
        return answer
    coding = ",".join(codings)
    if coding in {"", "identity"}:
        return answer
    if coding not in _WINDOWS:
        raise GarbledAnswerError(
            "The provider's answer is encoded in a way that was not asked for.", status=answer.status
        )
    return Unpacked(answer, _WINDOWS[coding])


class Unpacked:
    """A `keycairn.ports.upstream.UpstreamAnswer`: another one, whose body is unpacked."""

    __slots__ = ("_answer", "_window", "headers")

    def __init__(self, answer: UpstreamAnswer, window: int) -> None:
        self._answer = answer
        self._window = window
        self.headers: Headers = [pair for pair in answer.headers if pair[0] not in _CODED]

    @property
    def status(self) -> int:
        """See `UpstreamAnswer.status`."""
        return self._answer.status

    async def beginning(self) -> bytes | None:
        """See `UpstreamAnswer.beginning`. What is packed tells nothing."""
        return None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """See `UpstreamAnswer.chunks`. Raises GarbledAnswerError also for what does not unpack, or to too much."""
        unpacking = zlib.decompressobj(self._window)
        came = became = 0
        async for chunk in self._answer.chunks():
            came += len(chunk)
            left = chunk
            while left:
                try:
                    piece = unpacking.decompress(left, PIECE)
                except zlib.error:
                    raise GarbledAnswerError(status=self.status) from None
                became += len(piece)
                if became > FREE and became > came * MOST_TO_ONE:
                    raise GarbledAnswerError(
                        "The provider's answer unpacks to more than can be passed on.", status=self.status
                    )
                if piece:
                    yield piece
                left = unpacking.unconsumed_tail
                if unpacking.eof:
                    if unpacking.unused_data:
                        raise GarbledAnswerError(status=self.status)
                    break
        if not unpacking.eof and came:
            raise GarbledAnswerError(status=self.status)

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""
        self._answer.close()
