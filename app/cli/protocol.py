"""HTTP as uvicorn speaks it, with bounds on what a client may send, and nothing that two readers read differently."""

import asyncio
import logging
from functools import cache
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from keycairn.app.logs import LogBudget
from keycairn.app.web.raw import raw_problem, send_problem
from keycairn.domain.errors import AmbiguousRequestError

LARGEST_HEAD = 64 * 1024
"""Bytes of a request line and its headers, and again of its trailers, give or take what one read brings."""
HEAD_WITHIN = 30.0
"""Seconds from the connection, later from a request's first byte, until its headers are there; and from an answer that
was given before the body was there, until it is."""
_VERSIONS = frozenset({"1.0", "1.1"})

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

    Trailers are dropped: a field behind the body is no header, and was not there when the headers were judged
    (RFC 9110, 6.5.1). A target that is no path is refused.

    Where there are too many connections, a new one takes the place of the one that has waited longest for a request:
    those that do nothing must not keep others out.
    """

    largest_head = LARGEST_HEAD
    head_within = HEAD_WITHIN
    most: ClassVar[int | None] = None
    app: Any
    url: bytes
    _waiting: ClassVar[dict["BoundedHttp", None]] = {}
    _garbled: ClassVar[LogBudget] = LogBudget("requests that are no HTTP")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger: logging.Logger = _Sparing(self.logger, self._garbled)  # type: ignore[assignment]  # has what uvicorn uses of it
        self._head = 0
        self._in_head = True
        self._between_chunks = False
        self._deaf = False
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
        if self._deaf:
            return
        if self._in_head:
            if self._head > self.largest_head:
                self.send_400_response("The headers are too large.")
                return
            self._head += len(data)
        elif self._between_chunks:
            if self._head > self.largest_head:
                self.transport.close()
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

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; a trailer is dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_waiting()
        self._in_head, self._begun, self._head = False, False, 0
        self._joining.at_head = True
        self._waiting.pop(self, None)
        if self.url.startswith(b"/") and b"#" not in self.url and self.parser.get_http_version() in _VERSIONS:
            super().on_headers_complete()
            return
        served, self.app, self.url = self.app, cast("Any", _refuse_target), b"/"
        try:
            super().on_headers_complete()
        finally:
            self.app = served

    def on_chunk_header(self) -> None:
        """A chunk begins, or, behind the last one, the trailers: the parser keeps each until it ends."""
        self._between_chunks = True

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._between_chunks, self._head = False, 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Say that it cannot be understood, and hang up. What was asked before is answered first."""
        if self.cycle is not None and not self.cycle.response_complete:
            if self._in_head or self.pipeline:
                if not self._in_head:
                    self.pipeline.popleft()  # the one that turned out to be garbled
                self._deaf, self._begun = True, False
                self._stop_waiting()
                return
            if self.cycle.response_started:
                self.transport.close()
                return
        status, headers, body = raw_problem(AmbiguousRequestError(msg))
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[status], lines, body))
        self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for another request, unless it is here already."""
        another = bool(self.pipeline)
        super().on_response_complete()
        if not another and not self.transport.is_closing():
            self._waiting[self] = None
            if not self._in_head:
                self._wait()  # for the rest of a body that nobody reads
        if self._deaf and not another:
            self.transport.close()

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._in_head, self._between_chunks, self._head = True, False, 0
        self._stop_waiting()
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


async def _refuse_target(_: Any, __: Any, send: Any) -> None:
    await send_problem(send, AmbiguousRequestError("The target of a request is a path, in HTTP/1.0 or HTTP/1.1."))


class _Sparing(logging.LoggerAdapter[logging.Logger]):
    """A logger whose warnings, which strangers can cause without end, are bounded. Errors are told each."""

    def __init__(self, logger: logging.Logger, budget: LogBudget) -> None:
        super().__init__(logger)
        self.level: int = logger.level
        self._budget = budget

    def warning(self, msg: object, *args: object, **options: Any) -> None:
        if self._budget.allows():
            super().warning(msg, *args, **options)


class _Joining:
    """A transport that sends the head of an answer, and what follows at once, together at the end of the loop's turn.

    uvicorn writes head and body separately, and each write is a system call and wakes the client. What is written later
    goes out as it comes.
    """

    __slots__ = ("_held", "_loop", "_transport", "at_head", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self.at_head = False
        """Whether what is written next is a head."""
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

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
