"""Open Notebook's settings pages run against Keycairn alone: its client's calls, in its order, from another origin."""

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from litestar import Litestar
from tests.app_client import AppClient
from tests.house import EMBEDDING, LANGUAGE, House

from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.settings import Settings
from keycairn.domain.errors import InvalidAuthError, StoreUnavailableError
from keycairn.domain.outcome import DiscoveredModel
from keycairn.domain.token import Scope
from keycairn.ports.store import Store

PASSWORD = "admin-0123456789-0123456789-0123456789"
PAGE = "http://notebook.example:8502"
KEY, NEW_KEY = "sk-canary-0123456789", "sk-rotated-0123456789"


class NotebookClient:
    """Calls as the web client makes them: JSON, the password as a bearer token, and what a browser sends along."""

    def __init__(self, http: AppClient) -> None:
        self._http = http
        self.password = ""

    async def send(self, method: str, path: str, **sent: Any) -> httpx.Response:
        headers = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
        if self.password:
            headers["Authorization"] = f"Bearer {self.password}"
        return await self._http.request(method, f"/api{path}", headers=headers, **sent)

    async def preflight(self, method: str, path: str) -> httpx.Response:
        headers = {
            "Origin": PAGE,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        return await self._http.request("OPTIONS", f"/api{path}", headers=headers)

    async def get(self, path: str, **sent: Any) -> Any:
        answer = await self.send("GET", path, **sent)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["access-control-allow-origin"] == PAGE
        return answer.json()

    async def change(self, method: str, path: str, **sent: Any) -> Any:
        allowed = await self.preflight(method, path)
        assert method in allowed.headers["access-control-allow-methods"]
        answer = await self.send(method, path, **sent)
        assert answer.is_success, (path, answer.text)
        return answer.json()


class GoneStore:
    """A store that does not answer a ping. Nothing else is asked of it."""

    async def ping(self) -> None:
        raise StoreUnavailableError


@pytest.fixture
def house() -> House:
    house = House(admin_token=PASSWORD)
    house.openai.models = (
        DiscoveredModel(name="gpt-4o", type=LANGUAGE),
        DiscoveredModel(name="ada", type=EMBEDDING),
        DiscoveredModel(name="picture", type=None),
    )
    return house


@pytest.fixture
async def client(house: House) -> AsyncIterator[NotebookClient]:
    await house.open()
    settings = Settings(open_notebook_client=True, cors_origins=(PAGE,))
    plugin = KeycairnPlugin(settings, keycairn=house.keycairn)
    app = Litestar(plugins=[plugin], openapi_config=None, logging_config=None)
    async with AppClient(app, raise_server_exceptions=False) as http:
        yield NotebookClient(http)


@pytest.fixture
async def signed_in(client: NotebookClient) -> NotebookClient:
    client.password = PASSWORD
    return client


class TestSigningIn:
    async def test_goes_as_the_client_expects(self, client: NotebookClient) -> None:
        config = await client.get("/config")
        assert config == {"version": "", "latestVersion": None, "hasUpdate": False, "dbStatus": "online"}
        assert (await client.get("/auth/status"))["auth_enabled"] is True

        client.password = "a wrong password"
        assert (await client.send("GET", "/notebooks")).status_code == 401
        client.password = PASSWORD
        assert await client.get("/notebooks") == []

    async def test_needs_no_more_than_any_token(self, client: NotebookClient, house: House) -> None:
        _, text = await house.keycairn.tokens.create("caller", (Scope.INVOKE,))
        client.password = text.reveal()
        assert await client.get("/notebooks") == []
        assert (await client.send("GET", "/credentials")).status_code == 403

    async def test_tells_where_the_database_is_gone(self, client: NotebookClient, house: House) -> None:
        house.keycairn.store = cast("Store", GoneStore())
        assert (await client.get("/config"))["dbStatus"] == "offline"

    async def test_is_not_there_unless_it_is_wanted(self, house: House) -> None:
        await house.open()
        app = Litestar(plugins=[KeycairnPlugin(keycairn=house.keycairn)], openapi_config=None, logging_config=None)
        async with AppClient(app, raise_server_exceptions=False) as http:
            for path in ("/api/config", "/api/auth/status", "/api/notebooks"):
                answer = await http.get(path, headers={"Authorization": f"Bearer {PASSWORD}"})
                assert answer.status_code == 404

    async def test_from_a_page_that_is_not_on_the_list_is_refused(self, client: NotebookClient) -> None:
        answer = await client._http.get("/api/config", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403


async def test_the_page_of_keys_opens(signed_in: NotebookClient) -> None:
    status = await signed_in.get("/credentials/status")
    assert {"configured", "source", "encryption_configured"} <= status.keys()
    assert status["encryption_configured"] is True
    assert await signed_in.get("/credentials/env-status") == {"openai": False, "anthropic": False}
    assert await signed_in.get("/credentials") == []
    assert [*(await signed_in.get("/providers"))[0]][:5] == [
        "name", "display_name", "modalities", "docs_url", "env_configured",
    ]  # fmt: skip
    assert await signed_in.get("/models") == []
    assert (await signed_in.get("/models/defaults"))["default_chat_model"] is None


async def test_a_key_is_added_tested_used_rotated_and_removed(signed_in: NotebookClient, house: House) -> None:
    ui = signed_in
    made = await ui.change(
        "POST", "/credentials", json={"name": "Work", "provider": "openai", "modalities": ["language"], "api_key": KEY}
    )
    assert (made["has_api_key"], made["model_count"], KEY in str(made)) == (True, 0, False)
    path = f"/credentials/{made['id']}"
    assert [one["id"] for one in await ui.get("/credentials", params={"provider": "OpenAI"})] == [made["id"]]
    assert [one["id"] for one in await ui.get("/credentials/by-provider/openai")] == [made["id"]]

    tested = await ui.change("POST", f"{path}/test")
    assert (tested["provider"], tested["success"]) == ("openai", True)
    found = await ui.change("POST", f"{path}/discover")
    assert (found["credential_id"], len(found["discovered"])) == (made["id"], 3)
    chosen = [{key: one[key] for key in ("name", "provider", "model_type")} for one in found["discovered"][:2]]
    assert await ui.change("POST", f"{path}/register-models", json={"models": chosen}) == {"created": 2, "existing": 0}
    by_hand = {"name": "my-own", "provider": "openai", "type": "language", "credential": made["id"]}
    own = await ui.change("POST", "/models", json=by_hand)
    assert (await ui.get(f"/models/{own['id']}"))["name"] == "my-own"

    models = {one["name"]: one for one in await ui.get("/models")}
    assert {one["credential"] for one in models.values()} == {made["id"]}
    assert (await ui.change("POST", "/models/auto-assign"))["missing"] == []
    defaults = {"default_tools_model": models["my-own"]["id"], "large_context_model": None}
    assert (await ui.change("PUT", "/models/defaults", json=defaults))["default_tools_model"] == own["id"]
    assert (await ui.change("POST", f"/models/{own['id']}/test"))["success"] is True

    renamed = await ui.change("PUT", path, json={**await ui.get(path), "name": "Office", "api_key": NEW_KEY})
    assert (renamed["name"], await house.key_of(made["id"])) == ("Office", NEW_KEY)
    house.openai.error = InvalidAuthError()
    assert (await ui.change("POST", f"{path}/test"))["success"] is False

    await ui.change("DELETE", f"/models/{own['id']}")
    gone = await ui.change("DELETE", path, params={"delete_models": "true"})
    assert (gone["deleted_models"], await ui.get("/models"), await ui.get("/credentials")) == (2, [], [])


async def test_the_environment_is_moved_in_from_its_banner(signed_in: NotebookClient, house: House) -> None:
    house.environment.values = {"OPENAI_API_KEY": KEY}
    assert (await signed_in.get("/credentials/env-status"))["openai"] is True
    assert (await signed_in.get("/credentials/status"))["source"]["openai"] == "environment"
    assert [one["name"] for one in await signed_in.get("/models/discover/openai")] == ["gpt-4o", "ada"]

    moved = await signed_in.change("POST", "/credentials/migrate-from-env")
    assert {"message", "migrated", "skipped", "not_configured", "errors"} <= moved.keys()
    assert moved["migrated"] == ["openai"]
    again = await signed_in.change("POST", "/credentials/migrate-from-env")
    assert (again["migrated"], again["skipped"]) == ([], ["openai"])


async def test_the_page_of_models_works(signed_in: NotebookClient) -> None:
    body = {"name": "Work", "provider": "openai", "modalities": ["language"], "api_key": KEY}
    await signed_in.change("POST", "/credentials", json=body)

    providers = await signed_in.get("/models/providers")
    assert (providers["available"], "openai" in providers["supported_types"]) == (["openai"], True)
    one = await signed_in.change("POST", "/models/sync/openai")
    assert {"provider", "discovered", "new", "existing"} <= one.keys()
    all = await signed_in.change("POST", "/models/sync")
    assert (all["total_new"], all["results"]["openai"]["existing"]) == (0, 2)
    assert (await signed_in.get("/models/count/openai"))["total"] == 2
    assert len(await signed_in.get("/models/by-provider/openai")) == 2
    assert len(await signed_in.get("/models", params={"type": "embedding"})) == 1


async def test_models_move_to_another_key_when_one_is_removed(signed_in: NotebookClient) -> None:
    ids = []
    for name, key in (("A", KEY), ("B", NEW_KEY)):
        body = {"name": name, "provider": "openai", "modalities": ["language"], "api_key": key}
        ids.append((await signed_in.change("POST", "/credentials", json=body))["id"])
    models = {"models": [{"name": "gpt-4o", "provider": "openai", "model_type": "language"}]}
    await signed_in.change("POST", f"/credentials/{ids[0]}/register-models", json=models)

    gone = await signed_in.change("DELETE", f"/credentials/{ids[0]}", params={"migrate_to": ids[1]})

    assert gone["deleted_models"] == 0
    assert [one["credential"] for one in await signed_in.get("/models")] == [ids[1]]
