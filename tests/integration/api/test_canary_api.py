"""A key goes through every door, fits in none but its own, and shows up nowhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from tests.app_client import AppClient
from tests.canary import scan
from tests.house import LANGUAGE, House

from keycairn.adapters.memory import MemoryStore
from keycairn.app.api import bodies
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.change import Changeset
from keycairn.domain.errors import InvalidAuthError, StoreUnavailableError
from keycairn.domain.outcome import DiscoveredModel
from keycairn.domain.secret import Secret
from keycairn.ports.store import Finish

KEY = "sk-canary-4f9A7c2E81b6D05x"
OTHER = "sk-second-9B3d0F6a2C7e5184"
NAME = "scanary4f9a7c2e81b6d05x"
"""A key that would pass as the name of a field or of a provider."""
Client = AppClient


class FailingStore(MemoryStore):
    """Fails every commit while `down`."""

    down = False

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        if self.down:
            raise StoreUnavailableError
        await super().commit(changes, finish)


class Record:
    """Everything that was answered and logged."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def structured(self, _: Any, method: str, event: Any) -> Any:
        self.pieces.append(f"{method} {event!r}")
        raise structlog.DropEvent

    def found(self) -> list[str]:
        return scan("\n".join(self.pieces), KEY, OTHER, NAME)


@pytest.fixture
def record(caplog: pytest.LogCaptureFixture) -> Iterator[Record]:
    caplog.set_level(logging.DEBUG)
    # The test's own client logs the URLs it asks for.
    for name in ("httpx", "httpcore"):
        caplog.set_level(logging.WARNING, logger=name)
    record = Record()
    structlog.reset_defaults()  # a command that was tried before may have turned it down
    structlog.configure(processors=[record.structured], cache_logger_on_first_use=False)
    yield record
    structlog.reset_defaults()


async def say(api: Client, record: Record, method: str, path: str, **sent: Any) -> Any:
    answer = await api.request(method, path, **sent)
    record.pieces += [answer.text, repr(answer.headers)]
    return answer


async def misplace(api: Client, record: Record, path: str, field: str) -> None:
    good = {"name": "W", "provider": "openai", "api_key": KEY}
    await say(api, record, "POST", "/api/credentials", json={**good, field: field})
    await say(api, record, "PUT", path, json={field: field})
    await say(api, record, "PUT", path, json={"config": {field: field}})
    await say(api, record, "PUT", path, json={"secrets": {field: field}})
    await say(api, record, "PUT", "/api/models/defaults", json={field: field, "default_tools_model": field})
    await say(api, record, "POST", "/api/models", json={"name": "m", "provider": field, "type": field})
    await say(api, record, "POST", f"{path}/register-models", json={"models": [{"name": "m", field: field}]})
    await say(api, record, "POST", "/api/tokens", json={"name": "t", "scopes": [field]})
    await say(api, record, "POST", "/api/credentials", content=f'{{"{field}": {field}'.encode())
    for place in (f"/api/{field}", f"/api/credentials/{field}", f"/api/models/count/{field}", f"/{field}"):
        await say(api, record, "GET", place)
        await say(api, record, "PATCH", place)
    for query in ("provider", "limit", "cursor", "type", "dry_run", "anything"):
        for place in ("/api/credentials", "/api/models"):
            await say(api, record, "GET", f"{place}?{query}={quote(field)}&limit=1")
    for header in ("If-Match", "X-Anything", "Cookie", "Accept"):
        await say(api, record, "GET", path, headers={header: field})
    await say(api, record, "GET", path, headers={"Authorization": f"Bearer {field}"})


async def misfit(api: Client, record: Record) -> None:
    good = {"name": "W", "provider": "openai", "api_key": KEY}
    for name in (*good, "base_url", "endpoint", "num_ctx", "modalities", "config", "secrets"):
        for value in (KEY, [KEY], {KEY: KEY}, {"api_key": [KEY]}):
            if (name, value) != ("api_key", KEY):
                answer = await say(api, record, "POST", "/api/credentials", json={**good, name: value})
                assert 400 <= answer.status_code < 500, (name, value)


async def test_a_key_shows_up_nowhere(serve: Any, record: Record, caplog: pytest.LogCaptureFixture) -> None:
    store = FailingStore()
    house = House(store=store, admin_token="admin-0123456789-0123456789-0123456789")
    await house.open()
    house.openai.models = (DiscoveredModel(name="gpt-4o", type=LANGUAGE),)
    good = {"name": "W", "provider": "openai", "api_key": KEY}

    async with serve(house) as api:
        made = await say(api, record, "POST", "/api/credentials", json=good)
        path = f"/api/credentials/{made.json()['id']}"
        await say(api, record, "PUT", path, json={"api_key": OTHER, "base_url": "http://127.0.0.1:9/v1"})
        for step in ("test", "discover"):
            await say(api, record, "POST", f"{path}/{step}")
        for error in (InvalidAuthError(), RuntimeError(f"the plugin says {OTHER}"), ValueError(OTHER)):
            house.openai.error = error
            for step in (f"{path}/test", f"{path}/discover", "/api/models/sync"):
                await say(api, record, "POST", step)
        house.openai.error = None

        store.down = True
        for method, body in (("POST", {**good, "api_key": KEY}), ("PUT", {"api_key": KEY})):
            answer = await say(api, record, method, path if method == "PUT" else "/api/credentials", json=body)
            assert answer.status_code == 503
        store.down = False

        await misfit(api, record)
        for field in (KEY, NAME):
            await misplace(api, record, path, field)
        for place in (path, "/api/credentials", "/api/audit", "/metrics", "/openapi/openapi.json", "/openapi"):
            assert (await say(api, record, "GET", place)).status_code == 200

    record.pieces += [entry.getMessage() + repr(entry.__dict__) for entry in caplog.records]
    assert len(record.pieces) > 200
    assert any("'route': '/api/credentials'" in piece for piece in record.pieces)
    assert record.found() == []
    assert OTHER in house.openai.keys


def test_no_body_shows_what_it_holds() -> None:
    bodies_sent = [
        bodies.CreateCredential(name=KEY, provider=KEY, api_key=Secret(KEY), config={KEY: KEY}, base_url=KEY),
        bodies.UpdateCredential(name=KEY, secrets={"api_key": Secret(KEY)}, endpoint=KEY),
    ]

    for body in bodies_sent:
        assert scan(repr(body) + str(body), KEY) == []


async def test_no_exception_keeps_the_body_in_its_context(api: Client, record: Record) -> None:
    seen: list[BaseException] = []
    with remembering(api.app.plugins.get(KeycairnPlugin), seen):
        for body in (f'{{"{KEY}": 1}}', f'{{"name": "{KEY}"', f'{{"name": ["{KEY}"]}}', f'{{"modalities": ["{KEY}"]}}'):
            await api.post("/api/credentials", content=body.encode(), headers={"Content-Type": "application/json"})

    assert len(seen) == 4
    for error in seen:
        texts = []
        link: BaseException | None = error
        while link is not None:
            texts.append(repr(link) + repr(getattr(link, "fields", "")))
            link = link.__cause__ or link.__context__
        assert scan("\n".join(texts), KEY) == []


@contextmanager
def remembering(plugin: KeycairnPlugin, seen: list[BaseException]) -> Iterator[None]:
    async def remember(error: Exception, scope: Any) -> None:
        seen.append(error)

    hooks = plugin.router.after_exception
    hooks.append(remember)
    try:
        yield
    finally:
        hooks.remove(remember)
