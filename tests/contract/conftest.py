from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.stores import ENGINES, a_store

from keycairn.ports.store import Store


@pytest.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Each implementation of the port, empty. Behind the socket, the engine keeps its data in memory."""
    async with a_store(request.param, tmp_path) as store:
        yield store
