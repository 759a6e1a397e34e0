"""HTTP as uvicorn speaks it, with bounds on what a client may send before it has said what it wants."""

import asyncio
from functools import cache
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 1024
"""Bytes of a request line and its headers, give or take what one read of the socket brings."""
HEAD_WITHIN = 30.0
"""Seconds from the connection, later from a request's first byte, until its headers are there."""

MOST_CONNECTIONS = 20_000
"""Connections at one time, fewer where the system allows fewer files."""
RESERVED = 256
"""Files that are left for everything else: the database, and connections to providers."""


@cache
def room() -> int:
    """How many connections there is room for."""
    try:
        import resource  # noqa: PLC0415  # POSIX only
    except ImportError:
        return MOST_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files // 2, min(MOST_CONNECTIONS, files - RESERVED)) if files > 0 else MOST_CONNECTIONS


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection whose head grows or lasts beyond bounds; uvicorn and httptools set none of their own.

    Where there are too many connections, a new one takes the place of the one that has waited longest for a request:
    those that do nothing must not keep others out.
    """

    largest_head = LARGEST_HEAD
    head_within = HEAD_WITHIN
    most: ClassVar[int | None] = None
    _waiting: ClassVar[dict["BoundedHttp", None]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head = 0
        self._in_head = True
        self._begun = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for the first head."""
        self._joining = _Joining(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._joining))
        self._wait()
        waiting = BoundedHttp._waiting
        if len(self.connections) > (self.most or room()) and waiting:
            longest = next(iter(waiting))
            del waiting[longest]
            longest.transport.close()
        waiting[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        self._waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse it, unless the head was too large already."""
        if self._in_head:
            if self._head > self.largest_head:
                self.send_400_response("The headers are too large.")
                return
            self._head += len(data)
        if not self.transport.is_closing():
            super().data_received(data)
        # Most heads come whole, and need no timer.
        if self._begun and self._timer is None:
            self._wait()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._begun = True

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_waiting()
        self._in_head, self._begun, self._head = False, False, 0
        self._joining.at_head = True
        self._waiting.pop(self, None)
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for another request, unless it is here already."""
        another = bool(self.pipeline)
        super().on_response_complete()
        if not another and not self.transport.is_closing():
            self._waiting[self] = None

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._in_head = True
        super().on_message_complete()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.head_within, self._too_late)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class _Joining:
    """A transport that sends the head of an answer, and what follows at once, together at the end of the loop's turn.

    uvicorn writes head and body separately, and each write is a system call and wakes the client. What is written later
    goes out as it comes.
    """

    __slots__ = ("_held", "_loop", "_transport", "at_head")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self.at_head = False
        """Whether what is written next is a head."""

    def write(self, data: bytes) -> None:
        if self.at_head:
            self.at_head = False
            self._held = data
            self._loop.call_soon(self._flush)
        elif self._held:
            self._held += data
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)
