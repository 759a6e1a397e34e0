"""Stores of every kind, empty, for as long as a test wants them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.servers.surreal_rpc import surreal_rpc

from keycairn.adapters.memory import MemoryStore
from keycairn.adapters.surreal import open_surreal
from keycairn.ports.store import Store

ENGINES = ("memory", "surrealkv", "ws")


@asynccontextmanager
async def a_store(engine: str, folder: Path) -> AsyncIterator[Store]:
    """An empty store of `engine`."""
    match engine:
        case "memory":
            yield MemoryStore()
        case "surrealkv":
            kv = await open_surreal(f"surrealkv://{folder}/{engine}/db")
            yield kv
            await kv.aclose()
        case _:
            async with surreal_rpc() as server:
                ws = await open_surreal(server.url)
                yield ws
                await ws.aclose()
