"""The library's connection, with bounds on what it holds and on how long it reads at a time."""

import asyncio
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol

MOST_FRAMES = 8
"""Frames that are held for a reader who is slower than the provider."""
SLICE = 2**14
"""Bytes that are read at a time; between two, others are served: of very small frames that is milliseconds."""
PING_EVERY, PONG_WITHIN = 20.0, 60.0
"""Seconds between two pings, and how long a provider may leave one unanswered."""
CLOSE_WITHIN = 2.0
"""Seconds a provider has to answer the end of a connection, and then to hang up."""


class Held:
    """Counts the bytes that all connections hold of messages which are not whole."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.count: int = 0

    def change(self, by: int) -> bool:
        """Count so many more, or fewer where it is negative; False, counting nothing, where it would be too many."""
        if by > 0 and self.count + by > self._most:
            return False
        self.count += by
        return True


class GuardedConnection(ClientConnection):
    """A connection that reads in slices, and is cut where all together hold more than they may."""

    def __init__(self, protocol: ClientProtocol, held: Held) -> None:
        super().__init__(
            protocol,
            ping_interval=PING_EVERY,
            ping_timeout=PONG_WITHIN,
            close_timeout=CLOSE_WITHIN,
            max_queue=MOST_FRAMES,
        )
        self.paused_by_reader: bool = False
        self._held = held
        self._mine = 0
        self._unread = bytearray()
        self._waits = False
        self._end_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._real = cast("asyncio.Transport", transport)
        super().connection_made(cast("asyncio.Transport", _Paced(self._real, self)))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._unread += data
        if not self._waits:
            self._read()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`. What came before is read first."""
        while self._unread and not self._real.is_closing():
            self._read_slice()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._held.change(-self._mine)
        self._mine = 0
        self._unread.clear()
        if self._end_timer is not None:
            self._end_timer.cancel()
        super().connection_lost(exc)

    def go_on(self) -> None:
        """Read on: what came was taken."""
        self.paused_by_reader = False
        if not self._waits:
            self._waits = True
            self.loop.call_soon(self._read)

    def _read(self) -> None:
        self._waits = False
        if self.paused_by_reader or self._real.is_closing():
            return
        self._read_slice()
        if self.paused_by_reader or self._real.is_closing():
            return
        if self._unread:
            self._real.pause_reading()
            self._waits = True
            self.loop.call_soon(self._read)
        else:
            self._real.resume_reading()

    def _read_slice(self) -> None:
        piece = bytes(self._unread[:SLICE])
        del self._unread[: len(piece)]
        super().data_received(piece)
        if self._end_timer is None and self.protocol.close_expected():  # the library waits for that without an end
            self._end_timer = self.loop.call_later(CLOSE_WITHIN, self._real.abort)
        holds = len(self.protocol.reader.buffer) + len(self._unread)
        if self._held.change(holds - self._mine):
            self._mine = holds
        else:
            self._real.abort()


class _Paced:
    """A transport that reads on when the connection has read what came."""

    __slots__ = ("_connection", "_transport")

    def __init__(self, transport: asyncio.Transport, connection: GuardedConnection) -> None:
        self._transport = transport
        self._connection = connection

    def pause_reading(self) -> None:
        self._connection.paused_by_reader = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._connection.go_on()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
