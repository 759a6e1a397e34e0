"""One connection, which carries one exchange at a time."""

import asyncio
import select
from collections.abc import AsyncIterator, Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from keycairn.adapters.httptools_upstream.answer import Answer
from keycairn.domain.errors import CannotConnectError, GarbledAnswerError, InvalidInputError, NotSentError

LARGEST_HEAD = 2**16
"""Bytes of an answer's headers, interim answers included; also of what may come without a byte of the body."""
MOST_HEADERS = 100


class UpstreamConnection(asyncio.Protocol):
    """Sends requests and parses answers.

    `released` is called at the end of each exchange, and told whether another one may follow; `lost` when the
    connection is gone.
    """

    def __init__(
        self, released: Callable[["UpstreamConnection", bool], None], lost: Callable[["UpstreamConnection"], None]
    ) -> None:
        self._released, self._lost = released, lost
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._headless = False
        self._headers: list[tuple[str, str]] = []
        self._head_size = self._barren = 0
        self._sent = self._measured = self._interim = self._complete = self._keep = self._paused = False
        self._sender: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._unread = select.poll()
        self.idle_since = 0.0

    @property
    def open(self) -> bool:
        """Whether a request may be sent."""
        return self._answer is None and self._transport is not None and not self._transport.is_closing()

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
    ) -> Answer:
        """Send a request, and return the answer that will come. `bodiless` is one to HEAD, which has no body.

        `length` is what `head` says of a body that is streamed; None where it says that it is chunked.
        """
        transport = cast("asyncio.Transport", self._transport)
        answer = self._answer = Answer(within, self.cut, self._resume)
        self._headless = bodiless
        self._headers, self._head_size, self._barren = [], 0, 0
        self._sent = self._measured = self._interim = self._complete = self._keep = False
        if body is None or isinstance(body, bytes):
            # At the end of the loop's turn: under load many requests go out together, which wakes fewer processes.
            asyncio.get_running_loop().call_soon(self._write, answer, head + body if body else head)
        else:
            self._sent = True
            transport.write(head)
            self._sender = asyncio.get_running_loop().create_task(self._send(body, answer, length))
        return answer

    def cut(self, failure: Exception | None = None) -> None:
        """End the exchange under way, and the connection."""
        self._finish(failure or CannotConnectError("The connection was closed."), keep=False)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        answer = self._answer
        if answer is None or not self._sent:  # nobody asked
            self.cut(NotSentError())
            return
        answer.touch()
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._complete:
                self.cut(GarbledAnswerError())
                return
            self._keep = False
        if self._complete:
            self._finish(None, keep=self._keep)
        elif self._barren > LARGEST_HEAD:
            self.cut(GarbledAnswerError())

    def eof_received(self) -> None:
        """See `asyncio.Protocol`. What still waits to be sent would hold the connection open."""
        self._break_off(None)
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._resume_writing()
        self._break_off(exc)
        self._lost(self)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._resume_writing()

    def on_message_begin(self) -> None:
        """More than one answer to one request is none."""
        if self._complete:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one of a trailer, which is left out."""
        answer = self._answer
        if answer is None or answer.begun:
            return
        text = name.decode("latin-1").lower()
        if text in {"content-length", "transfer-encoding"}:
            self._measured = True
            if text == "transfer-encoding" and value.strip().lower() != b"chunked":
                raise GarbledAnswerError  # a coding that was not asked for, and that nobody would undo
        self._headers.append((text, value.decode("latin-1")))
        self._head_size += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """The head is there, unless it is that of an interim answer. Raises GarbledAnswerError, to the parser."""
        answer, status = self._answer, self._parser.get_status_code()
        if answer is None or self._complete:
            return
        if not 100 <= status < 600 or status == 101:
            raise GarbledAnswerError
        if self._head_size > LARGEST_HEAD or len(self._headers) > MOST_HEADERS:
            raise GarbledAnswerError
        if status < 200:
            self._interim, self._measured, self._headers = True, False, []
            return
        self._keep = self._parser.should_keep_alive()
        self._barren = 0
        answer.begin(status, self._headers)
        if self._headless:
            # The parser cannot be told that what is announced will not come.
            self._complete, self._keep = True, False

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        answer = self._answer
        if answer is None or self._complete or not answer.begun:
            return
        self._barren = 0
        if not answer.add(chunk) and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The end, unless it is that of an interim answer."""
        if self._interim:
            self._interim = False
        else:
            self._complete = True

    def _finish(self, failure: Exception | None, *, keep: bool) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        transport = cast("asyncio.Transport", self._transport)
        if self._sender is not None:
            keep = False
            self._sender.cancel()
            self._sender = None
        # A request that was answered before all of it was sent would have its rest before the next one.
        keep = keep and not transport.get_write_buffer_size()
        if keep:
            self._resume()
        else:
            transport.abort()
        answer.end(failure)
        self._released(self, keep)

    def _break_off(self, exc: Exception | None) -> None:
        """The provider says no more. That is how an answer without a length ends."""
        answer = self._answer
        if answer is None:
            return
        failure: Exception | None = None
        if not self._sent:
            failure = NotSentError()
        elif not answer.begun:
            failure = CannotConnectError("The provider closed the connection without an answer.")
        elif self._measured or exc is not None:
            failure = CannotConnectError("The provider broke off in the middle of its answer.")
        self._finish(failure, keep=False)

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

    def _write(self, answer: Answer, request: bytes) -> None:
        if self._answer is not answer or self._transport is None:
            return
        if self._transport.is_closing():
            self.cut(NotSentError())
        else:
            self._sent = True
            self._transport.write(request)

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
