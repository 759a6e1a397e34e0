"""One service and one browser for all tests of this folder that a process runs."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.browser import Place, a_place


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with a_place(tmp_path_factory.mktemp("page")) as place:
        yield place


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def tidied(place: Place) -> AsyncIterator[None]:
    """No window of a test before, and no fault that a browser told of."""
    place.trouble.clear()
    yield
    await place.tidied()
    assert not place.trouble
