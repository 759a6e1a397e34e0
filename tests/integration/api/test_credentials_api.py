"""The credential lifecycle over HTTP, as a client sees it."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.app_client import AppClient
from tests.house import House

from keycairn.domain.change import ReplaceCredential
from keycairn.domain.ids import CredentialId
from keycairn.domain.secret import Secret

KEY = "sk-canary-4f9A7c2E81b6D05x"
Client = AppClient


async def create(api: Client, **fields: Any) -> dict[str, Any]:
    body = {"name": "Work", "provider": "openai", "api_key": KEY, **fields}
    answer = await api.post("/api/credentials", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def in_a_list(shown: dict[str, Any]) -> dict[str, Any]:
    """A credential as lists show it: nobody looked for its duplicates."""
    return {name: value for name, value in shown.items() if name != "duplicates"}


async def change(api: Client, id: str, **fields: Any) -> dict[str, Any]:
    answer = await api.put(f"/api/credentials/{id}", json=fields)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def add_model(api: Client, credential: str, name: str = "gpt-4o", type: str = "language") -> str:
    answer = await api.post(
        "/api/models", json={"name": name, "provider": "openai", "type": type, "credential": credential}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def break_secret(house: House, id: str) -> None:
    key = CredentialId(id)
    before = (await house.keycairn.credentials.get(key)).credential
    twin = await house.keycairn.credentials.create(
        "openai", name="twin", secrets={"api_key": Secret("sk-twin-00000000000000")}
    )
    broken = replace(before, sealed=twin.credential.sealed, version=before.version + 1)
    await house.store.commit((ReplaceCredential(broken, expected=before.version),))
    await house.keycairn.credentials.delete(twin.credential.id)
    await house.keycairn.credential_opener.sweep("default")


async def test_create_answers_201_with_every_field_of_the_wire_and_no_key(api: Client) -> None:
    answer = await api.post(
        "/api/credentials",
        json={
            "name": "Work",
            "provider": "OpenAI",
            "api_key": KEY,
            "base_url": "http://127.0.0.1:9/v1",
            "endpoint": None,
        },
    )
    body = answer.json()

    assert answer.status_code == 201
    assert answer.headers["etag"] == '"1"'
    assert KEY not in answer.text
    assert body | {"id": "", "created": "", "updated": ""} == {
        "id": "",
        "name": "Work",
        "provider": "openai",
        "modalities": ["language", "embedding"],
        "base_url": "http://127.0.0.1:9/v1",
        "endpoint": None,
        "api_version": None,
        "endpoint_llm": None,
        "endpoint_embedding": None,
        "endpoint_stt": None,
        "endpoint_tts": None,
        "project": None,
        "location": None,
        "credentials_path": None,
        "num_ctx": None,
        "has_api_key": True,
        "created": "",
        "updated": "",
        "model_count": 0,
        "decryption_error": None,
        "config": {},
        "has_secrets": {"api_key": True},
        "workspace": "default",
        "version": 1,
        "last_check": None,
        "limits": dict.fromkeys(
            ("concurrent", "requests_per_minute", "tokens_per_day", "micros_per_day", "micros_per_month")
        ),
        "options": {
            "any_model": False,
            "first_byte_timeout": None,
            "idle_timeout": None,
            "total_timeout": None,
            "headers": {},
            "ca_certificates": "",
            "closed": "",
        },
        "duplicates": [],
    }


async def test_what_is_created_is_read_back_and_gone_after_deletion(api: Client) -> None:
    made = await create(api)
    path = f"/api/credentials/{made['id']}"

    assert (await api.get(path)).json() == made
    assert (await api.get("/api/credentials")).json() == [in_a_list(made)]
    gone = await api.delete(path)
    assert gone.json()["message"] == "Credential deleted"
    assert (await api.get(path)).status_code == 404
    assert (await api.get("/api/credentials")).json() == []


async def test_the_list_is_filtered_whatever_the_case_and_the_hyphens(api: Client) -> None:
    await create(api)
    other = await create(api, provider="anthropic")

    assert (await api.get("/api/credentials?provider=ANTHROPIC")).json() == [in_a_list(other)]
    assert (await api.get("/api/credentials/by-provider/Anthropic")).json() == [in_a_list(other)]
    assert (await api.get("/api/credentials?provider=nobody")).json() == []


async def test_absent_keeps_and_null_clears_the_nullable(api: Client, house: House) -> None:
    made = await create(api, num_ctx=4096)

    kept = await change(api, made["id"], name="Home")
    assert (kept["name"], kept["num_ctx"], kept["has_api_key"]) == ("Home", 4096, True)
    ignored = await change(api, made["id"], name=None, modalities=None, api_key=None)
    assert ignored == kept
    assert await change(api, made["id"], api_key="") == kept
    cleared = await change(api, made["id"], num_ctx=None)
    assert cleared["num_ctx"] is None
    await api.post(f"/api/credentials/{made['id']}/test")
    assert house.openai.keys == [KEY]


@pytest.mark.parametrize("nothing", [None, 0])
async def test_num_ctx_is_cleared_by_null_and_by_zero(api: Client, nothing: int | None) -> None:
    made = await create(api, num_ctx=4096)

    assert (await change(api, made["id"], num_ctx=nothing))["num_ctx"] is None


@pytest.mark.parametrize("nothing", [None, ""])
async def test_a_url_is_cleared_by_null_and_by_blank_when_the_key_comes_along(api: Client, nothing: str | None) -> None:
    made = await create(api, base_url="http://127.0.0.1:9/v1")

    cleared = await change(api, made["id"], base_url=nothing, api_key=KEY)

    assert cleared["base_url"] is None


async def test_a_new_host_asks_for_the_key_again(api: Client) -> None:
    made = await create(api, base_url="http://127.0.0.1:9/v1")

    refused = await api.put(f"/api/credentials/{made['id']}", json={"base_url": "http://127.0.0.1:10/v1"})

    assert (refused.status_code, refused.json()["code"]) == (422, "secret_reentry_required")
    assert refused.json()["errors"] == {"api_key": "send this secret again"}


async def test_the_provider_may_be_sent_but_not_changed(api: Client) -> None:
    made = await create(api)

    assert (await change(api, made["id"], provider="OpenAI"))["version"] == 1
    refused = await api.put(f"/api/credentials/{made['id']}", json={"provider": "anthropic"})
    assert (refused.status_code, refused.json()["errors"]) == (422, {"provider": "cannot change"})


async def test_the_mask_is_never_stored_as_the_key(api: Client, house: House) -> None:
    made = await create(api)

    refused = await api.put(f"/api/credentials/{made['id']}", json={"api_key": "********"})

    assert refused.status_code == 422
    await api.post(f"/api/credentials/{made['id']}/test")
    assert house.openai.keys == [KEY]


async def test_if_match_guards_against_lost_updates(api: Client) -> None:
    made = await create(api)
    path = f"/api/credentials/{made['id']}"

    first = await api.put(path, json={"name": "One"}, headers={"If-Match": '"1"'})
    stale = await api.put(path, json={"name": "Two"}, headers={"If-Match": '"1"'})
    stale_delete = await api.delete(path, headers={"If-Match": '"1"'})
    malformed = await api.put(path, json={"name": "Two"}, headers={"If-Match": "1"})
    star = await api.put(path, json={"name": "Three"}, headers={"If-Match": "*"})

    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert stale_delete.status_code == 412
    assert (malformed.status_code, malformed.json()["code"]) == (400, "malformed_if_match")
    assert (star.status_code, star.headers["etag"]) == (200, '"3"')
    assert (await api.get(path)).headers["etag"] == '"3"'


async def test_deleting_takes_the_models_along_after_a_dry_run_said_so(api: Client) -> None:
    made = await create(api)
    model = await add_model(api, made["id"])
    await api.put("/api/models/defaults", json={"default_chat_model": model})

    plan = (await api.delete(f"/api/credentials/{made['id']}?dry_run=true")).json()
    assert (plan["dry_run"], plan["deleted"], plan["cleared_defaults"]) == (True, [model], ["default_chat_model"])
    assert len((await api.get("/api/models")).json()) == 1
    done = (await api.delete(f"/api/credentials/{made['id']}")).json()
    assert (done["deleted_models"], done["message"]) == (1, "Credential deleted")
    assert (await api.get("/api/models")).json() == []
    assert (await api.get("/api/models/defaults")).json()["default_chat_model"] is None


async def test_models_move_to_another_credential_of_the_provider(api: Client) -> None:
    made, heir = await create(api), await create(api, name="Heir")
    model = await add_model(api, made["id"])

    done = (await api.delete(f"/api/credentials/{made['id']}", params={"migrate_to": heir["id"]})).json()

    assert (done["deleted_models"], done["moved"]) == (0, [model])
    assert (await api.get("/api/models")).json()[0]["credential"] == heir["id"]


async def test_tokens_follow_the_models_where_an_administrator_moves_them(api: Client) -> None:
    one, two, three = [(await create(api, name=name))["id"] for name in ("One", "Two", "Three")]
    wish = {"name": "app", "scopes": ["invoke"], "reach": {"credentials": [one]}}
    app = (await api.post("/api/tokens", json=wish)).json()["id"]
    writer = (await api.post("/api/tokens", json={"name": "w", "scopes": ["credentials:write"]})).json()["token"]

    done = (await api.delete(f"/api/credentials/{one}", params={"migrate_to": two})).json()
    assert (done["followed_tokens"], done["stranded_tokens"]) == ([app], [])

    lesser = {"Authorization": f"Bearer {writer}"}
    done = (await api.delete(f"/api/credentials/{two}", params={"migrate_to": three}, headers=lesser)).json()
    assert (done["followed_tokens"], done["stranded_tokens"]) == ([], [app])
    reach = [each["reach"]["credentials"] for each in (await api.get("/api/tokens")).json() if each["id"] == app]
    assert reach == [[two]]

    changed = (await api.put(f"/api/tokens/{app}", json={"reach": {"credentials": [three]}, "name": "new"})).json()
    assert (changed["reach"]["credentials"], changed["name"]) == ([three], "new")
    freed = (await api.put(f"/api/tokens/{app}", json={"reach": None, "limits": None, "expires": None})).json()
    assert freed["reach"]["credentials"] is None
    assert (await api.put(f"/api/tokens/{app}", json={"scopes": ["admin"]})).status_code == 422


async def test_models_move_neither_to_themselves_nor_to_another_provider(api: Client) -> None:
    made, other = await create(api), await create(api, provider="anthropic")
    path = f"/api/credentials/{made['id']}"

    for target in (made["id"], other["id"], "credential:NOBODY"):
        refused = await api.delete(path, params={"migrate_to": target})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_migration_target")
    assert (await api.get(path)).status_code == 200


async def test_a_record_that_does_not_open_is_shown_everywhere_and_can_be_repaired_or_deleted(
    api: Client, house: House
) -> None:
    made = await create(api)
    path = f"/api/credentials/{made['id']}"
    await add_model(api, made["id"])
    await break_secret(house, made["id"])

    shown = (await api.get(path)).json()
    assert shown["decryption_error"].startswith("api_key: ")
    assert shown["has_api_key"] is True
    assert (await api.get("/api/credentials")).json() == [in_a_list(shown)]
    assert (await api.get("/api/credentials/by-provider/openai")).json() == [in_a_list(shown)]
    assert (await api.put(path, json={"name": "Renamed"})).status_code == 200
    assert (await api.post(f"{path}/test")).json()["success"] is False
    refused = await api.post(f"{path}/discover")
    assert (refused.status_code, refused.json()["code"]) == (409, "undecryptable")
    house.environment.values = {"OPENAI_API_KEY": "sk-env-00000000000000"}
    assert (await api.post("/api/credentials/migrate-from-env")).json()["skipped"] == ["openai"]
    assert (await change(api, made["id"], api_key=KEY))["decryption_error"] is None
    assert (await api.post(f"{path}/test")).json()["success"] is True
    await break_secret(house, made["id"])
    assert (await api.delete(path)).json()["deleted_models"] == 1


async def test_lists_are_paged_by_a_link_that_can_be_followed(api: Client) -> None:
    for number in range(5):
        await create(api, name=f"C{number}")

    seen: list[str] = []
    path: str | None = "/api/credentials?limit=2&provider=openai"
    while path:
        answer = await api.get(path)
        seen += [item["name"] for item in answer.json()]
        link = answer.headers.get("link")
        path = link[1 : link.index(">")] if link else None

    assert seen == ["C0", "C1", "C2", "C3", "C4"]


@pytest.mark.parametrize("cursor", ["x", "e30", "WzFd", "%F0%9F%92%A9", "a" * 1500])
@pytest.mark.parametrize("path", ["/api/credentials", "/api/models", "/api/audit"])
async def test_a_broken_cursor_is_refused(api: Client, path: str, cursor: str) -> None:
    answer = await api.get(f"{path}?cursor={cursor}")

    assert answer.status_code in {400, 404, 422}
    assert answer.json()["code"] in {"invalid_cursor", "invalid_input"}


async def test_the_cached_list_never_lies(api: Client, house: House) -> None:
    made = await create(api)
    assert (await api.get("/api/credentials")).json()[0]["name"] == "Work"
    assert (await api.get("/api/credentials")).json()[0]["name"] == "Work"

    await change(api, made["id"], name="Home")
    assert (await api.get("/api/credentials")).json()[0]["name"] == "Home"
    await add_model(api, made["id"])
    assert (await api.get("/api/credentials")).json()[0]["model_count"] == 1
    await api.post(f"/api/credentials/{made['id']}/test")
    assert (await api.get("/api/credentials")).json()[0]["last_check"]["outcome"] == "ok"
    denied = await api.get("/api/credentials", headers={"Authorization": "Bearer nobody"})
    assert denied.status_code == 401


async def test_a_key_that_is_here_already_is_named_and_its_fingerprint_never(house: House, api: Client) -> None:
    one = await create(api, name="One")
    two = await create(api, name="Two")
    twin = [{"id": one["id"], "name": "One", "provider": "openai"}]
    assert one["duplicates"] == []
    assert two["duplicates"] == twin
    read = await api.get(f"/api/credentials/{two['id']}")
    assert read.json()["duplicates"] == twin
    renamed = await change(api, two["id"], name="Deux")
    assert renamed["duplicates"] == twin
    assert (await change(api, two["id"], api_key="sk-another-0123456789"))["duplicates"] == []

    house.environment.values["ANTHROPIC_API_KEY"] = KEY
    moved = (await api.post("/api/credentials/migrate-from-env")).json()
    (entry,) = [entry for entry in moved["entries"] if entry["provider"] == "anthropic"]
    assert entry["duplicates"] == twin

    stored = await house.keycairn.credentials.get(CredentialId(one["id"]))
    (mark,) = stored.credential.fingerprints.values()
    listed, audit = await api.get("/api/credentials"), await api.get("/api/audit")
    assert "duplicates" not in listed.json()[0]
    for answer in (read, listed, audit):
        assert mark not in answer.text


async def test_a_token_of_bounded_reach_is_not_told_of_duplicates_beyond_it(house: House, api: Client) -> None:
    one, two = await create(api, name="One"), await create(api, name="Two")
    made = await api.post(
        "/api/tokens",
        json={"name": "t", "scopes": ["credentials:read", "credentials:write"], "reach": {"credentials": [two["id"]]}},
    )
    bounded = {"Authorization": f"Bearer {made.json()['token']}"}
    path = f"/api/credentials/{two['id']}"
    assert (await api.get(path)).json()["duplicates"][0]["id"] == one["id"]
    read = await api.get(path, headers=bounded)
    changed = await api.put(path, json={"name": "Deux"}, headers=bounded)
    for answer in (read, changed):
        assert answer.status_code == 200
        assert answer.json()["duplicates"] == []
        assert one["id"] not in answer.text
