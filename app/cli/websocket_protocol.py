"""Websockets as uvicorn speaks them, with bounds on what a client may have held, and nothing of it in the log."""

import asyncio
import logging
from typing import Any, ClassVar, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

LARGEST_MESSAGE = 16 * 2**20
"""Bytes of a message. OpenAI's realtime API takes 15 MiB."""
MOST_HELD = 128 * 2**20
"""Bytes that came from all clients together, and are not a whole message yet; who sends more is cut off."""
FRAMING = 64 * 1024
"""Bytes that the frames of one message may have beyond its own; with more it is made of very small ones."""
CLOSE_WITHIN = 10.0
"""Seconds from the end of a session until its connection is cut."""
MOST_FRAMES = 16_384
"""Frames of one message."""
SLICE = 2**14
"""Bytes that are read at a time; between two, others are served: of very small frames that is milliseconds."""
TOO_BIG, AGAIN_LATER = 1009, 1013

_GARBLED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_silent = logging.getLogger("keycairn.websockets")
_silent.setLevel(logging.CRITICAL)  # both libraries write headers and targets, which hold tokens, into their logs


class BoundedWebsocket(WebSocketsSansIOProtocol):
    """Takes no compression, and puts the frames of a message together as they come."""

    largest: ClassVar[int] = LARGEST_MESSAGE
    most: ClassVar[int] = MOST_HELD
    logger: logging.Logger
    frames: list[bytes]
    _all: ClassVar[int] = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _silent
        self.conn.logger = _silent
        self.conn.debug = False
        self.conn.max_message_size = self.largest
        self.held: bool = False
        """Whether what came has to be taken before more is read."""
        self._unread = bytearray()
        self._waits = False
        self._came = self._count = 0
        """Bytes and frames of the message that is coming."""
        self._begun = bytearray()
        """The frames of it that came, but for the first one while it is alone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._real = cast("asyncio.Transport", transport)
        super().connection_made(cast("asyncio.Transport", _Paced(self._real, self)))

    def data_received(self, data: bytes) -> None:
        """Read it in slices, unless it is too much. The first is a whole head, which uvicorn writes anew."""
        self._unread += data
        self._came += len(data)
        BoundedWebsocket._all += len(data)
        if self._came > self.largest + FRAMING + len(data):
            self._cut(TOO_BIG)
        elif BoundedWebsocket._all > self.most:
            self._cut(AGAIN_LATER)
        elif not self._waits:
            self._read()

    def go_on(self) -> None:
        """Read on: what came was taken."""
        self.held = False
        if not self._waits:
            self._waits = True
            self.loop.call_soon(self._read)

    def _read(self) -> None:
        self._waits = False
        if self.held or self._real.is_closing():
            return
        piece = bytes(self._unread[:SLICE]) if self.handshake_initiated else bytes(self._unread)
        del self._unread[: len(piece)]
        super().data_received(piece)
        if not self.handshake_initiated:
            self._real.write(_GARBLED)
            self._real.close()
        elif self._unread:
            self._real.pause_reading()
            if not self.held:
                self._waits = True
                self.loop.call_soon(self._read)
        else:
            if not (self.frames or self._begun or self.conn.reader.buffer):
                self._forget()
            if not self.held and not self._real.is_closing():
                self._real.resume_reading()

    def handle_cont(self, event: Frame) -> None:
        """Another frame of the message that is coming."""
        for piece in (*self.frames, event.data):
            self._begun += piece
        self.frames = []
        self._count += 1
        if self._count > MOST_FRAMES:
            self._cut(TOO_BIG)
        elif event.fin:
            self._count = 0
            self.frames, self._begun = [bytes(self._begun)], bytearray()
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """A message is whole."""
        super().send_receive_event_to_app()
        self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        """What came is gone with the connection."""
        self._unread.clear()
        self._forget()
        super().connection_lost(exc)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The session is over: a client that takes nothing does not keep its connection."""
        super().on_task_complete(task)
        self.loop.call_later(CLOSE_WITHIN, self.transport.abort)

    def _cut(self, code: int) -> None:
        self._unread.clear()
        self._forget()
        if self.handshake_complete:
            self.conn.fail(code)
            self.handle_parser_exception()
        else:
            self.transport.close()

    def _forget(self) -> None:
        left = len(self._unread)
        BoundedWebsocket._all -= self._came - left
        self._came = left


class _Paced:
    """A transport that reads on when the protocol has read what came."""

    __slots__ = ("_protocol", "_transport")

    def __init__(self, transport: asyncio.Transport, protocol: BoundedWebsocket) -> None:
        self._transport = transport
        self._protocol = protocol

    def pause_reading(self) -> None:
        self._protocol.held = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._protocol.go_on()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
