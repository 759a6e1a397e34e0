"""A proxy that opens tunnels, on a real socket: it resolves names by itself, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from tests.servers.handling import handling, piped


class ConnectProxy:
    """`places` maps `host:port` to the port of 127.0.0.1 that stands for it. `answer` is given in place of a tunnel."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self.heads: list[str] = []
        self.answer: bytes | None = None
        self.port = 0

    @property
    def asked(self) -> list[str]:
        """The places tunnels were asked for."""
        return [head.split(" ", 2)[1] for head in self.heads]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        place = self.places.get(head.split(" ", 2)[1])
        if self.answer is not None or place is None:
            writer.write(self.answer or b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\nvia: 1.1 test\r\n\r\n")
        await piped(place)(reader, writer)


@asynccontextmanager
async def connect_proxy(places: Mapping[str, int] | None = None) -> AsyncIterator[ConnectProxy]:
    """A proxy that listens."""
    proxy = ConnectProxy()
    proxy.places |= places or {}
    async with handling(proxy.handle) as proxy.port:
        yield proxy
