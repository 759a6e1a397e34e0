"""A TCP proxy with a bad day: it drops, delays or swallows what goes through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TcpProxy:
    """Forwards to a port of this machine. `delay` is in seconds for each piece, either way."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._streams: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.delay = 0.0
        self.whole = asyncio.Event()
        """Clear it to let nothing through, and tell nobody, as a partition of the network does."""
        self.whole.set()
        self.refuses = False
        """Whether new connections are ended at once."""

    def drop(self) -> None:
        """Cut every connection."""
        for stream in self._streams:
            stream.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if self.refuses:
            writer.transport.abort()
            return
        self._streams.add(writer)
        try:
            await self.whole.wait()
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                ways = [asyncio.create_task(self._pass(reader, ours)), asyncio.create_task(self._pass(theirs, writer))]
                _, pending = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in pending:
                    way.cancel()
            finally:
                ours.transport.abort()
        except OSError:
            pass
        finally:
            self._streams.discard(writer)
            writer.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(65536):
                await asyncio.sleep(self.delay)
                await self.whole.wait()
                target.write(piece)
                await target.drain()
        except OSError:
            pass


@asynccontextmanager
async def tcp_proxy(target: int) -> AsyncIterator[TcpProxy]:
    """A proxy on a free port, in front of `target`."""
    proxy = TcpProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.whole.set()
        server.close()
        proxy.drop()
