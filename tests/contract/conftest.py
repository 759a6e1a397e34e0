from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.servers.surreal_rpc import surreal_rpc

from keycairn.adapters.memory import MemoryStore
from keycairn.adapters.surreal import open_surreal
from keycairn.ports.store import Store


@pytest.fixture(params=["memory", "surreal mem", "surrealkv", "surreal ws"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Each implementation of the port, empty."""
    match request.param:
        case "memory":
            yield MemoryStore()
        case "surreal mem":
            mem = await open_surreal("mem://")
            yield mem
            await mem.aclose()
        case "surrealkv":
            kv = await open_surreal(f"surrealkv://{tmp_path / 'data' / 'db'}")
            yield kv
            await kv.aclose()
        case _:
            async with surreal_rpc() as server:
                ws = await open_surreal(server.url)
                yield ws
                await ws.aclose()
