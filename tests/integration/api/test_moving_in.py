"""Imports over HTTP."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from tests.app_client import AppClient
from tests.house import House
from tests.notebook import PASSPHRASE, encrypted

from keycairn.domain.ids import CredentialId

KEY = "sk-canary-4f9A7c2E81b6D05x"
Client = AppClient
LEGACY = "/api/credentials/migrate-from-provider-config"
CONFIGS = {
    "credentials": {
        "openai": [
            {"id": "one-1", "name": "Work", "provider": "openai", "is_default": False, "api_key": KEY + "-plain"},
            {
                "id": "two-2",
                "name": "Main",
                "provider": "openai",
                "is_default": True,
                "api_key": encrypted(KEY),
                "model": "gpt-4o",
                "base_url": "https://proxy.example/v1",
                "created": "2025-03-04 05:06:07",
            },
            {"id": "three", "name": "Work", "provider": "openai", "api_key": encrypted(KEY, "another")},
            {"id": "four", "name": "Empty", "provider": "openai"},
        ],
        "anthropic": "not a list",
        "mystery": [{"id": "five", "name": "X", "api_key": KEY}],
    }
}


async def post(api: Client, path: str, body: object = None, **query: str) -> Any:
    answer = await api.post(path, json=body, params=query) if body is not None else await api.post(path, params=query)
    assert answer.status_code == 200, answer.text
    assert KEY not in answer.text
    return answer.json()


@pytest.fixture
def house() -> House:
    return House(admin_token="admin-0123456789-0123456789-0123456789", legacy=True)


async def test_every_entry_of_the_former_singleton_comes_in_or_is_named(api: Client, house: House) -> None:
    await api.post("/api/models", json={"name": "gpt-loose", "provider": "openai", "type": "language"})

    done = await post(api, LEGACY, {"provider_configs": CONFIGS, "passphrase": PASSPHRASE})

    assert done["migrated"] == ["openai/Main", "openai/Work", "openai/Work"]
    assert done["repair"] == ["openai/Work"]
    assert [error.partition(": ")[0] for error in done["errors"]] == ["openai/Empty", "anthropic/*", "mystery/X"]
    assert (done["skipped"], done["not_configured"]) == ([], [])
    listed = {item["id"]: item for item in (await api.get("/api/credentials")).json()}
    main = listed["credential:two-2"]
    assert (main["name"], main["base_url"], main["config"]) == (
        "Main",
        "https://proxy.example/v1",
        {"is_default": True},
    )
    assert main["created"] == "2025-03-04T05:06:07Z"
    assert main["model_count"] == 2
    assert listed["credential:three"]["name"] == "Work 2"
    assert listed["credential:three"]["decryption_error"]
    assert await house.key_of(CredentialId("credential:one-1")) == KEY + "-plain"
    assert await house.key_of(CredentialId("credential:two-2")) == KEY


async def test_running_it_again_changes_nothing(api: Client, house: House) -> None:
    body = {"provider_configs": CONFIGS, "passphrase": PASSPHRASE}
    planned = await post(api, LEGACY, body, dry_run="true")
    assert await house.store.credentials("default") == []
    first = await post(api, LEGACY, body)
    assert planned["migrated"] == first["migrated"]
    revision = await house.store.revision()

    again = await post(api, LEGACY, body)

    assert (again["migrated"], sorted(again["skipped"])) == ([], sorted(first["migrated"]))
    assert await house.store.revision() == revision


async def test_a_name_that_is_taken_by_another_key_stays_as_it_is_and_the_entry_is_refused(
    api: Client, house: House
) -> None:
    mine = {"name": "Main", "provider": "openai", "api_key": "sk-mine-0123456789"}
    id = (await api.post("/api/credentials", json=mine)).json()["id"]

    done = await post(api, LEGACY, {"provider_configs": CONFIGS, "passphrase": PASSPHRASE})

    assert done["skipped"] == []
    assert any(error.startswith("openai/Main: ") and "another key" in error for error in done["errors"])
    assert await house.key_of(CredentialId(id)) == "sk-mine-0123456789"


async def test_without_a_body_the_record_of_the_database_is_taken(api: Client, house: House) -> None:
    assert (await post(api, LEGACY))["migrated"] == []
    house.legacy_record = CONFIGS
    house.environment.values["OPEN_NOTEBOOK_ENCRYPTION_KEY"] = PASSPHRASE
    assert (await post(api, LEGACY))["migrated"] == ["openai/Main", "openai/Work", "openai/Work"]


@pytest.mark.parametrize("body", [{"provider_configs": {"credentials": KEY}}, {"provider_configs": {}}])
async def test_another_document_is_refused_without_being_quoted(api: Client, body: object) -> None:
    answer = await api.post(LEGACY, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "unreadable_source")
    assert KEY not in answer.text


async def test_rows_come_in_and_the_report_names_them(api: Client, house: House) -> None:
    row = {"row": "credential", "where": "line 1", "provider": "openai", "name": "A", "secrets": {"api_key": KEY}}
    odd = {**row, "where": "line 2", "name": "B", "settings": {"base_url": "ftp://x"}}
    body = {"rows": [{**row, "models": [{"row": "model", "name": "gpt-4o"}]}, odd]}

    done = await post(api, "/api/credentials/import", body)

    assert [(one["where"], one["models"]) for one in done["created"]] == [("line 1", ["gpt-4o"])]
    assert [one["where"] for one in done["refused"]] == ["line 2"]
    again = await post(api, "/api/credentials/import", body)
    assert ([one["where"] for one in again["skipped"]], again["created"]) == (["line 1"], [])


async def test_a_malformed_row_is_not_quoted(api: Client) -> None:
    for body in ({"rows": [{"row": "credential", KEY: KEY}]}, {"rows": [{"row": KEY}]}, {"rows": KEY}):
        answer = await api.post("/api/credentials/import", content=json.dumps(body).encode(), headers=JSON)
        assert answer.status_code == 422
        assert KEY not in answer.text


JSON = {"Content-Type": "application/json"}
Serve = Callable[..., AbstractAsyncContextManager[Client]]


async def test_importing_needs_the_scope_to_write(api: Client, house: House, serve: Serve) -> None:
    made = (await api.post("/api/tokens", json={"name": "reader", "scopes": ["credentials:read"]})).json()
    async with serve(house, token=made["token"]) as reader:
        for path in ("/api/credentials/import", LEGACY):
            assert (await reader.post(path, json={"rows": []})).status_code == 403


async def test_a_key_that_was_deleted_here_does_not_come_back_from_the_environment(api: Client, house: House) -> None:
    house.environment.values = {"OPENAI_API_KEY": KEY}
    env = "/api/credentials/migrate-from-env"
    first = await post(api, env)
    assert first["entries"][0]["removable"] == ["OPENAI_API_KEY"]
    [made] = (await api.get("/api/credentials")).json()
    await api.delete(f"/api/credentials/{made['id']}")

    unasked = await post(api, env)
    assert (unasked["migrated"], unasked["skipped"]) == ([], ["openai"])
    assert "deleted" in unasked["entries"][0]["reason"]

    assert (await post(api, env, again="true"))["migrated"] == ["openai"]


async def test_the_status_says_why_a_variable_configures_nothing(api: Client, house: House) -> None:
    house.environment.values = {"OPENAI_API_KEY": "user_provided", "ANTHROPIC_API_KEY": KEY}
    status = (await api.get("/api/credentials/status")).json()
    assert (status["source"]["openai"], status["source"]["anthropic"]) == ("none", "environment")
    assert list(status["refused"]) == ["openai"]
    assert "OPENAI_API_KEY" in status["refused"]["openai"]
    assert (await api.get("/api/credentials/env-status")).json() == {"openai": False, "anthropic": True}


async def test_a_new_key_is_no_deleted_key(api: Client, house: House) -> None:
    house.environment.values = {"OPENAI_API_KEY": KEY}
    await post(api, "/api/credentials/migrate-from-env")
    [made] = (await api.get("/api/credentials")).json()
    await api.delete(f"/api/credentials/{made['id']}")
    house.environment.values = {"OPENAI_API_KEY": "sk-fresh-0123456789"}
    assert (await post(api, "/api/credentials/migrate-from-env"))["migrated"] == ["openai"]
