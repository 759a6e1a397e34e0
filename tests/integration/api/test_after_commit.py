"""A database that goes away right behind a commit: what was stored is answered as stored, or a retry does it twice."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from litestar import Litestar
from tests.app_client import AppClient
from tests.house import House

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.memory import MemoryStore
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.change import Changeset
from keycairn.domain.errors import StoreUnavailableError
from keycairn.domain.state import State
from keycairn.ports.store import Finish

ADMIN = "admin-0123456789-0123456789-0123456789"
KEY = "sk-123456789-abcdefgh"
ROW = {"row": "credential", "where": "r", "provider": "openai", "name": "i", "secrets": {"api_key": "sk-imported-1"}}
pytestmark = pytest.mark.asyncio(loop_scope="module")
Client = AppClient


class GoingStore(MemoryStore):
    """Answers nothing from the first commit on that is made while `armed`."""

    armed = gone = False

    @property
    def state(self) -> State:
        if self.gone:
            raise StoreUnavailableError
        return super().state

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        await super().commit(changes, finish)
        self.gone = self.armed


class Scene:
    """A service with two accounts and their models."""

    def __init__(self) -> None:
        self.store = GoingStore()
        self.house = House(store=self.store, admin_token=ADMIN, keysets=AesGcmKeysets())

    async def furnish(self, api: Client) -> None:
        """Make what the next request is about."""
        self.ids = {}
        for name in ("first", "second"):
            body = {"name": name, "provider": "openai", "api_key": f"{KEY}-{name}"}
            made = (await api.post("/api/credentials", json=body)).json()["id"]
            models = [{"name": f"{name}-{kind}", "model_type": kind} for kind in ("language", "embedding")]
            await api.post(f"/api/credentials/{made}/register-models", json={"models": models})
            self.ids[name] = made
        named = (await api.get("/api/models")).json()
        self.ids["model"] = next(
            one["id"] for one in named if (one["credential"], one["type"]) == (self.ids["first"], "language")
        )
        self.ids["token"] = (await api.post("/api/tokens", json={"name": "t", "scopes": ["invoke"]})).json()["id"]
        await api.put(f"/api/credentials/{self.ids['second']}/key-rotation", json={"every_days": 30})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[tuple[Client, Scene]]:
    scene = Scene()
    await scene.house.open()
    app = Litestar(plugins=[KeycairnPlugin(keycairn=scene.house.keycairn)], openapi_config=None, logging_config=None)
    async with AppClient(app, raise_server_exceptions=False) as api:
        api.headers["Authorization"] = f"Bearer {ADMIN}"
        yield api, scene


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/credentials", {"name": "n", "provider": "openai", "api_key": KEY}),
        ("PUT", "/api/credentials/{first}", {"name": "renamed"}),
        ("PUT", "/api/credentials/{first}", {"api_key": f"{KEY}-new"}),
        ("PUT", "/api/credentials/{first}", {"limits": {"requests_per_minute": 5}}),
        ("DELETE", "/api/credentials/{first}", None),
        ("DELETE", "/api/credentials/{first}?migrate_to={second}", None),
        ("POST", "/api/credentials/{first}/register-models", {"models": [{"name": "m", "model_type": "language"}]}),
        ("POST", "/api/credentials/{first}/test", None),
        ("PUT", "/api/credentials/{first}/key-rotation", {"every_days": 30}),
        ("POST", "/api/credentials/{second}/key-rotation/leaked", {"may_close": True}),
        ("DELETE", "/api/credentials/{second}/key-rotation", None),
        ("POST", "/api/credentials/import", {"rows": [ROW]}),
        ("POST", "/api/models", {"name": "x", "provider": "openai", "type": "language", "credential": "{first}"}),
        ("PATCH", "/api/models/{model}", {"priority": 3}),
        ("DELETE", "/api/models/{model}", None),
        ("PUT", "/api/models/defaults", {"default_chat_model": "{model}"}),
        ("POST", "/api/models/auto-assign", None),
        ("POST", "/api/tokens", {"name": "made", "scopes": ["invoke"]}),
        ("DELETE", "/api/tokens/{token}", None),
    ],
)
async def test_what_was_stored_is_answered_as_stored(
    service: tuple[Client, Scene], method: str, path: str, body: object
) -> None:
    api, scene = service
    await scene.furnish(api)
    before = await scene.store.revision()
    scene.store.armed = True
    try:
        answer = await api.request(method, path.format(**scene.ids), json=_filled(body, scene.ids))
    finally:
        committed = scene.store.gone
        scene.store.armed = scene.store.gone = False
    assert committed, answer.text
    assert await scene.store.revision() == before + 1
    assert answer.status_code < 300, answer.text


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, ids) for one in value]
    return value.format(**ids) if isinstance(value, str) and value.startswith("{") else value
