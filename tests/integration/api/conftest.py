from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from litestar import Litestar
from tests.app_client import AppClient
from tests.house import House

from keycairn.app.plugin import KeycairnPlugin

ADMIN = "admin-0123456789-0123456789-0123456789"
KEY = "sk-canary-4f9A7c2E81b6D05x"

Client = AppClient


@asynccontextmanager
async def serving(house: House, *, token: str | None = ADMIN, path: str = "/") -> AsyncIterator[Client]:
    app = Litestar(
        plugins=[KeycairnPlugin(keycairn=house.keycairn, path=path)], openapi_config=None, logging_config=None
    )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with AppClient(app, raise_server_exceptions=False) as client:
        client.headers.update(headers)
        yield client


@pytest.fixture
def house() -> House:
    return House(admin_token=ADMIN)


@pytest.fixture
async def api(house: House) -> AsyncIterator[Client]:
    await house.open()
    async with serving(house) as client:
        yield client


@pytest.fixture
def serve() -> Callable[..., AbstractAsyncContextManager[Client]]:
    return serving
