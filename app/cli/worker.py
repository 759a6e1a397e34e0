"""A worker: one of the processes of `keycairn serve --workers N`, and what it and its supervisor tell each other."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
from msgspec import Struct

from keycairn.app.cli.running import RunningServer

LONGEST = 64 * 2**20
"""Bytes of a message, a page of metrics, at the most."""
PATIENCE = 5.0
"""Seconds for the pages of all workers."""


class WorkerHello(Struct, frozen=True, tag=True):
    """To a worker, first of all: what all of them are known as."""

    server: RunningServer


class WorkerOpened(Struct, frozen=True, tag=True):
    """From a worker: it has opened the database."""


class PageAsked(Struct, frozen=True, tag=True):
    """To a worker: its own page of metrics is wanted. From a worker: that of all is."""

    number: int


class MetricsPage(Struct, frozen=True, tag=True):
    """The page that was asked for by that number."""

    number: int
    text: str


Message = WorkerHello | WorkerOpened | PageAsked | MetricsPage
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


class Channel:
    """One end of the line between a worker and its supervisor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        """The line over one end of a pair of sockets."""
        return cls(*await asyncio.open_connection(sock=end, limit=LONGEST))

    async def send(self, message: Message) -> None:
        """Say something; a no-op where the other end is gone."""
        with suppress(OSError):
            self._writer.write(_encoder.encode(message) + b"\n")
            await self._writer.drain()

    async def receive(self) -> Message | None:
        """What is said next; None once the other end is gone."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError):
            return None
        return _decoder.decode(line) if line.endswith(b"\n") else None

    def close(self) -> None:
        """Close it."""
        self._writer.close()


class Worker:
    """What makes this process a worker: its number, the socket it shares with the others, the line to its supervisor.

    The number 0 is the first: it opens the database before the others, and says what a start has to say.
    """

    def __init__(self, number: int, listener: socket.socket, channel: Channel, server: RunningServer) -> None:
        self.number = number
        self.listener = listener
        self.server = server
        self.page: Callable[[], Awaitable[bytes]] | None = None
        """Makes this process's own page of metrics."""
        self._channel = channel
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._questions = 0

    @classmethod
    async def joined(cls, words: str) -> "Worker":
        """The worker that `words`, from `words_for`, make of this process."""
        number, listener, line = map(int, words.split(":"))
        channel = await Channel.over(socket.socket(fileno=line))
        hello = await channel.receive()
        if not isinstance(hello, WorkerHello):
            raise SystemExit(1)
        return cls(number, socket.socket(fileno=listener), channel, hello.server)

    async def opened(self) -> None:
        """Say that the database is open."""
        await self._channel.send(WorkerOpened())

    async def gather(self, own: bytes) -> bytes:
        """The page of all workers; this one's own where they cannot be had."""
        self._questions += 1
        number = self._questions
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._channel.send(PageAsked(number))
                return (await self._asked[number]).encode()
        except TimeoutError:
            return own
        finally:
            del self._asked[number]

    async def listen(self) -> None:
        """Answer the supervisor until it is gone."""
        while (message := await self._channel.receive()) is not None:
            if isinstance(message, PageAsked):
                page = b"" if self.page is None else await self.page()
                await self._channel.send(MetricsPage(message.number, page.decode()))
            elif isinstance(message, MetricsPage) and (asked := self._asked.get(message.number)) and not asked.done():
                asked.set_result(message.text)


def words_for(number: int, listener: socket.socket, line: socket.socket) -> str:
    """What makes a new process, which inherits both sockets, a worker."""
    return f"{number}:{listener.fileno()}:{line.fileno()}"
