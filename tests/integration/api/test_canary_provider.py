"""A provider that repeats the key in everything it says: none of it reaches a client, a log or the database."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import structlog
from litestar import Litestar
from msgspec import Struct
from tests.app_client import AppClient
from tests.canary import scan
from tests.fakes import FakeClock, FakeEnvironment, FakeIds
from tests.house import ROOT_KEY, FakeKeysets
from tests.spelled import SPELLINGS, recoverable

from keycairn.adapters.guarded_http import MemoryTokenCache
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.http import Request, Response

ADMIN = "admin-0123456789-0123456789-0123456789"
KEY = "sk-canary-4f9A7c2E81b6D05x"
SETTINGS = {
    "openai": {},
    "anthropic": {},
    "google": {},
    "azure": {"endpoint": "https://eu.example.com", "api_version": "2024-10-21"},
    "openai_compatible": {"base_url": "https://llm.example.com/v1"},
}


def echoes() -> list[Response]:
    """Bad and odd answers, each with the key in its body, its headers, and its encoded forms."""
    encoded = " ".join(spell(KEY) for spell in SPELLINGS.values())
    listed = [{"id": spell(KEY), "name": spell(KEY), "displayName": spell(KEY)} for spell in SPELLINGS.values()]
    error = json.dumps({"error": {"message": f"Incorrect API key provided: {encoded}", "type": KEY, "code": KEY}})
    bodies = [error, f"<html>{encoded}</html>", json.dumps({"data": KEY}), json.dumps({"data": [{"id": 5}, KEY]}), ""]
    bodies.append(json.dumps({"data": listed, "models": listed}))
    headers = {"x-request-id": KEY, "www-authenticate": f"Bearer {KEY}", "location": f"https://{KEY}.example"}
    statuses = (200, 302, 400, 401, 402, 403, 404, 418, 429, 500, 503)
    return [Response(status=status, headers=headers, body=body.encode()) for status in statuses for body in bodies]


class EchoingHttp:
    """Answers every request with `answer`."""

    def __init__(self) -> None:
        self.answer = Response(status=200)
        self.sent: list[Request] = []
        self.tokens = MemoryTokenCache()

    def vet(self, url: str, *, field: str | None = None) -> None:
        parse_url(url, field=field)

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        self.sent.append(request)
        return self.answer


class Scene:
    """Keycairn with the real provider plugins over an echoing network, and everything that was said and logged."""

    def __init__(self) -> None:
        self.http = EchoingHttp()
        self.store = MemoryStore()
        self.said: list[str] = []
        self.keycairn = Keycairn(
            store=self.store,
            opener=FakeKeysets(),
            registry=PluginRegistry(external=False),
            http=self.http,
            environment=FakeEnvironment(),
            clock=FakeClock(step=0.001),
            ids=FakeIds(),
            admin_token=Secret(ADMIN),
        )

    def structured(self, _: Any, method: str, event: Any) -> Any:
        self.said.append(f"{method} {event!r}")
        raise structlog.DropEvent


@pytest.fixture
async def scene(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Scene]:
    scene = Scene()
    caplog.set_level(logging.DEBUG)
    structlog.configure(processors=[scene.structured], cache_logger_on_first_use=False)
    await scene.keycairn.vault.unlock(ROOT_KEY)
    yield scene
    structlog.reset_defaults()


@pytest.mark.parametrize("provider", SETTINGS)
async def test_what_a_provider_repeats_goes_no_further(
    scene: Scene, provider: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Litestar(plugins=[KeycairnPlugin(keycairn=scene.keycairn)], openapi_config=None, logging_config=None)
    async with AppClient(app, raise_server_exceptions=False) as api:
        api.headers["Authorization"] = f"Bearer {ADMIN}"

        async def say(method: str, path: str, body: object = None) -> Any:
            answer = await api.request(method, path, json=body)
            scene.said.append(f"{answer.text} {answer.headers!r}")
            assert answer.status_code in {200, 201, 502}, answer.text
            return answer.json()

        made = await say(
            "POST", "/api/credentials", {"name": "W", "provider": provider, "api_key": KEY, **SETTINGS[provider]}
        )
        path = f"/api/credentials/{made['id']}"
        model = {"name": "m", "provider": provider, "type": "language", "credential": made["id"]}
        model_path = f"/api/models/{(await say('POST', '/api/models', model))['id']}"
        for answer in echoes():
            scene.http.answer = answer
            for step in (f"{path}/test", f"{path}/discover", f"{model_path}/test", f"/api/models/sync/{provider}"):
                await say("POST", step)
        for place in (path, "/api/credentials", "/api/models", "/api/audit"):
            await say("GET", place)

    models = await scene.store.models(DEFAULT_WORKSPACE)
    stored: list[Sequence[Struct]] = [
        await scene.store.credentials(DEFAULT_WORKSPACE),
        models,
        await scene.store.events(DEFAULT_WORKSPACE),
    ]
    logged = [
        record.getMessage() + repr(record.__dict__) for record in caplog.records if "HTTP Request" not in record.msg
    ]
    assert len(scene.http.sent) > 100
    assert any(KEY in _header_text(request) for request in scene.http.sent)
    assert scan("\n".join(scene.said), KEY) == []
    assert scan("\n".join(logged), KEY) == []
    assert scan(repr(scene.http.sent), KEY) == []
    # The transparent cipher of these tests keeps the key readable inside of what is sealed; nothing else may hold it.
    plain = [repr(record).replace(sealed, "") for page in stored for record in page for sealed in _sealed(record)]
    assert scan("\n".join(plain), KEY) == []
    assert not any(recoverable(KEY, model.name) for model in models)


def _sealed(record: Any) -> list[str]:
    return list(getattr(record, "sealed", {}).values()) or ["\0"]


def _header_text(request: Request) -> str:
    return " ".join(value.reveal() if isinstance(value, Secret) else value for value in request.headers.values())
