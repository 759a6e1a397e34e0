"""One connection, which carries one exchange at a time."""

import asyncio
import select
from collections.abc import AsyncIterator, Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from keycairn.adapters.httptools_upstream.answer import READ_AHEAD, Answer
from keycairn.adapters.httptools_upstream.states import ConnectionState, Event, after
from keycairn.domain.errors import CannotConnectError, GarbledAnswerError, InvalidInputError, NotSentError

LARGEST_HEAD = 2**16
"""Bytes of an answer's headers, interim answers included; also of what may come without a byte of the body."""
MOST_HEADERS = 100

# Looked up once: on Python 3.11 a member of an enum costs more than the transition.
_IDLE, _QUEUED, _WAITING = ConnectionState.IDLE, ConnectionState.QUEUED, ConnectionState.WAITING
_BEGIN, _SEND, _KEPT_HEAD, _END, _RELEASE, _CUT = (
    Event.BEGIN, Event.SEND, Event.KEPT_HEAD, Event.END, Event.RELEASE, Event.CUT
)  # fmt: skip
_LISTENING = frozenset(
    {_WAITING, ConnectionState.INTERIM, ConnectionState.KEPT_BODY, ConnectionState.LAST_BODY, ConnectionState.OPEN_BODY}
)
"""States in which the provider may say something."""
_BODY = frozenset({ConnectionState.KEPT_BODY, ConnectionState.LAST_BODY, ConnectionState.OPEN_BODY})
_ENDED = frozenset({ConnectionState.COMPLETE, ConnectionState.SPENT})
_MEASURES = frozenset({"content-length", "transfer-encoding"})
"""Headers that say where a body ends."""


class UpstreamConnection(asyncio.Protocol):
    """Sends requests and parses answers. `states` tells what it is in, and what follows what.

    `released` is called at the end of each exchange, and told whether another one may follow; `lost` when the
    connection is gone.
    """

    def __init__(
        self, released: Callable[["UpstreamConnection", bool], None], lost: Callable[["UpstreamConnection"], None]
    ) -> None:
        self._released, self._lost = released, lost
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._state = _IDLE
        self._bodiless = False
        self._headers: list[tuple[str, str]] = []
        self._head_size = self._barren = 0
        self._sender: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._unread = select.poll()
        self.idle_since: float = 0.0

    @property
    def open(self) -> bool:
        """Whether a request may be sent."""
        return self._state is _IDLE and self._transport is not None and not self._transport.is_closing()

    @property
    def clean(self) -> bool:
        """Whether nothing waits to be read, neither an end nor bytes, which would pass for the next call's answer."""
        return not self._unread.poll(0)

    def exchange(
        self,
        head: bytes,
        body: bytes | AsyncIterator[bytes] | None,
        *,
        length: int | None,
        bodiless: bool,
        within: float,
        idle: float | None = None,
        total: float | None = None,
    ) -> Answer:
        """Send a request, and return the answer that will come. `bodiless` is one to HEAD, which has no body.

        `length` is what `head` says of a body that is streamed; None where it says that it is chunked. `within`, `idle`
        and `total` are as those of `Answer`. Raises NotSentError while another exchange is under way.
        """
        transport = self._transport
        if transport is None or self._answer is not None:
            raise NotSentError
        answer = self._answer = Answer(self._loop, within, self.cut, transport.resume_reading, idle=idle, total=total)
        self._bodiless = bodiless
        self._headers, self._head_size, self._barren = [], 0, 0
        self._state = after(self._state, _BEGIN)
        if self._state is not _QUEUED:  # the connection is gone
            self._finish(NotSentError())
        elif body is None or isinstance(body, bytes):
            # At the end of the loop's turn: under load many requests go out together, which wakes fewer processes.
            self._loop.call_soon(self._write, head + body if body else head)
        else:
            self._state = after(self._state, _SEND)
            transport.write(head)
            self._sender = self._loop.create_task(self._send(body, answer, length))
        return answer

    def cut(self, failure: Exception | None = None) -> None:
        """End the exchange under way, and the connection."""
        self._finish(failure or CannotConnectError("The connection was closed."))
        self._state = after(self._state, _CUT)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        answer = self._answer
        if answer is None or self._state not in _LISTENING:  # nobody asked
            self.cut(NotSentError())
            return
        answer.touch()
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._state = after(self._state, Event.EXCESS)
        state = self._state
        if state in _ENDED:
            self._finish(None)
        elif state is ConnectionState.CLOSED or self._barren > LARGEST_HEAD:
            self.cut(GarbledAnswerError())

    def eof_received(self) -> None:
        """See `asyncio.Protocol`. What still waits to be sent would hold the connection open."""
        self._break_off(None)
        self._state = after(self._state, _CUT)
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._resume_writing()
        self._break_off(exc)
        self._state = after(self._state, _CUT)
        self._lost(self)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._resume_writing()

    def on_message_begin(self) -> None:
        """More than one answer to one request is none."""
        if self._state is not _WAITING:
            self._state = after(self._state, Event.EXCESS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one of a trailer, which is left out."""
        if self._state is not _WAITING:
            return
        text = name.lower().decode("latin-1")
        if text == "transfer-encoding" and value.strip().lower() != b"chunked":
            raise GarbledAnswerError  # a coding that was not asked for, and that nobody would undo
        self._headers.append((text, value.decode("latin-1")))
        self._head_size += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """The head is there, unless it is that of an interim answer. Raises GarbledAnswerError, to the parser."""
        answer, status = self._answer, self._parser.get_status_code()
        if answer is None or self._state is not _WAITING:
            return
        if not 100 <= status < 600 or status == 101:
            raise GarbledAnswerError
        if self._head_size > LARGEST_HEAD or len(self._headers) > MOST_HEADERS:
            raise GarbledAnswerError
        if status < 200:
            self._headers = []
            self._state = after(self._state, Event.INTERIM_HEAD)
            return
        self._barren = 0
        answer.begin(status, self._headers)
        kept = not self._bodiless and self._parser.should_keep_alive()
        self._state = after(_WAITING, _KEPT_HEAD if kept else self._last_head())

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        answer = self._answer
        if answer is None or self._state not in _BODY:
            return
        self._barren = 0
        if answer.add(chunk) and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The end, interim answers' too."""
        self._state = after(self._state, _END)

    def _last_head(self) -> Event:
        """Which kind of head the parser has read, after whose answer the connection is not kept."""
        if self._bodiless:
            return Event.SOLE_HEAD
        measured = any(name in _MEASURES for name, _ in self._headers)
        return Event.LAST_HEAD if measured else Event.OPEN_HEAD

    def _finish(self, failure: Exception | None) -> None:
        """End the exchange, which may keep the connection only where all of it was sent and all of it came."""
        answer, transport, self._answer = self._answer, self._transport, None
        if answer is None or transport is None:
            return
        # A request that was answered before all of it was sent would have its rest before the next one.
        whole = failure is None and self._sender is None and not transport.get_write_buffer_size()
        self._state = state = after(self._state, _RELEASE if whole else _CUT)
        if self._sender is not None:
            self._sender.cancel()
            self._sender = None
        keep = state is _IDLE
        if not keep:
            transport.abort()
        elif answer.held >= READ_AHEAD:
            transport.resume_reading()
        answer.end(failure)
        self._released(self, keep)

    def _break_off(self, exc: Exception | None) -> None:
        """The provider says no more. That is how an answer without a length ends."""
        failure: Exception | None = None
        if self._state is _QUEUED:
            failure = NotSentError()
        elif self._state in {_WAITING, ConnectionState.INTERIM}:
            failure = CannotConnectError("The provider closed the connection without an answer.")
        elif self._state is not ConnectionState.OPEN_BODY or exc is not None:
            failure = CannotConnectError("The provider broke off in the middle of its answer.")
        self._finish(failure)

    async def _send(self, body: AsyncIterator[bytes], answer: Answer, length: int | None) -> None:
        """The body, as fast as it is taken."""
        transport = cast("asyncio.Transport", self._transport)
        size = 0
        try:
            answer.excused = True
            async for chunk in body:
                if not chunk:
                    continue
                answer.excused = False
                answer.touch()
                size += len(chunk)
                if length is None:
                    transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                elif size <= length:
                    transport.write(chunk)
                else:
                    break
                if self._room is not None:
                    await self._room
                answer.excused = True
            answer.excused = False
            answer.touch()
            if length is None:
                transport.write(b"0\r\n\r\n")
            elif size != length:
                # What is missing would be taken from the next request, what is too much for its beginning.
                raise InvalidInputError("The body is not as long as was announced.")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001  # whatever it is, the one who reads the answer is told
            self._sender = None
            self.cut(error)
        else:
            self._sender = None

    def _write(self, request: bytes) -> None:
        if self._state is not _QUEUED or self._transport is None:  # it was cut meanwhile
            return
        if self._transport.is_closing():
            self.cut(NotSentError())
        else:
            self._state = after(self._state, _SEND)
            self._transport.write(request)

    def _resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
