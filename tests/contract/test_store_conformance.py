"""Every store of ours keeps every promise of the port. The suite is the one that authors of others get."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.stores import ENGINES, a_store

from keycairn.ports.store import Store
from keycairn.testing import StoreConformance


class TestStores(StoreConformance):
    engine: str

    @pytest.fixture(autouse=True, params=ENGINES)
    def _engine(self, request: pytest.FixtureRequest) -> None:
        """Each implementation of the port. Behind the socket, the engine keeps its data in memory."""
        self.engine = request.param

    def opened(self, folder: Path) -> AbstractAsyncContextManager[Store]:
        return a_store(self.engine, folder)
