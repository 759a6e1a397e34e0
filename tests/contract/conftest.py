from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.stores import ENGINES, a_store

from keycairn.ports.store import Store

BY_DAY = 8
"""Of so many tests on a real server one runs by day: each takes a third of a second."""


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    on_a_server = [item for item in items if item.path.parent == Path(__file__).parent and "server" in _ids(item)]
    for number, item in enumerate(on_a_server):
        if number % BY_DAY:
            item.add_marker(pytest.mark.night)


def _ids(item: pytest.Item) -> list[str]:
    return item.callspec.id.split("-") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else []


@pytest.fixture(params=ENGINES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Each implementation of the port, empty. Behind the socket, the engine keeps its data in memory."""
    async with a_store(request.param, tmp_path) as store:
        yield store
