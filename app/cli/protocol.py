"""HTTP as uvicorn speaks it, with bounds on what a client may send before it has said what it wants."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 64 * 1024
"""Bytes of a request line and its headers, give or take what one read of the socket brings."""
HEAD_WITHIN = 30.0
"""Seconds from the connection, later from a request's first byte, until its headers are there."""


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection whose head grows or lasts beyond bounds; uvicorn and httptools set none of their own."""

    largest_head = LARGEST_HEAD
    head_within = HEAD_WITHIN

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head = 0
        self._in_head = True
        self._begun = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
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
        super().on_headers_complete()

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
