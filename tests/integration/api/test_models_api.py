"""Models, defaults, discovery, the environment and the catalogue over HTTP."""

import pytest
from msgspec.structs import replace
from tests.app_client import AppClient
from tests.house import EMBEDDING, LANGUAGE, House

from keycairn.domain.errors import CannotConnectError, ProviderTimeoutError
from keycairn.domain.ids import CredentialId
from keycairn.domain.outcome import DiscoveredModel, Provenance
from keycairn.domain.provider import FieldSpec

KEY = "sk-canary-4f9A7c2E81b6D05x"
Client = AppClient
SLOTS = (
    "default_chat_model",
    "default_transformation_model",
    "large_context_model",
    "default_text_to_speech_model",
    "default_speech_to_text_model",
    "default_embedding_model",
    "default_tools_model",
    "default_vision_model",
)


@pytest.fixture
async def credential(api: Client, house: House) -> str:
    house.openai.models = (
        DiscoveredModel(name="gpt-4o", type=LANGUAGE),
        DiscoveredModel(name="text-embedding-3-small", type=EMBEDDING, provenance=Provenance.STATIC),
        DiscoveredModel(name="dall-e-3", type=None),
    )
    answer = await api.post("/api/credentials", json={"name": "Work", "provider": "openai", "api_key": KEY})
    return str(answer.json()["id"])


async def register(api: Client, credential: str, *models: tuple[str, str]) -> dict[str, str]:
    body = {"models": [{"name": name, "provider": "openai", "model_type": type} for name, type in models]}
    answer = await api.post(f"/api/credentials/{credential}/register-models", json=body)
    assert answer.status_code == 200, answer.text
    return {model["name"]: model["id"] for model in (await api.get("/api/models")).json()}


async def test_discovery_says_where_each_model_comes_from_and_what_drifted(api: Client, credential: str) -> None:
    await register(api, credential, ("gpt-old", "language"))

    found = (await api.post(f"/api/credentials/{credential}/discover")).json()

    assert found["credential_id"] == credential
    assert found["provider"] == "openai"
    assert [(model["name"], model["model_type"], model["provenance"]) for model in found["discovered"]] == [
        ("gpt-4o", "language", "live"),
        ("text-embedding-3-small", "embedding", "static"),
        ("dall-e-3", None, "live"),
    ]
    assert (found["new"], found["vanished"]) == (["gpt-4o", "text-embedding-3-small"], ["gpt-old"])


async def test_a_failed_discovery_is_a_typed_failure(api: Client, house: House, credential: str) -> None:
    house.openai.error = ProviderTimeoutError()
    late = await api.post(f"/api/credentials/{credential}/discover")
    house.openai.error = CannotConnectError()
    away = await api.get("/api/models/discover/openai")
    house.openai.error = RuntimeError(f"surprise {KEY}")
    broken = await api.post(f"/api/credentials/{credential}/discover")

    assert (late.status_code, late.json()["code"]) == (504, "provider_timeout")
    assert (away.status_code, away.json()["code"]) == (502, "provider_unreachable")
    assert (broken.status_code, broken.json()["code"]) == (502, "plugin_failed")


async def test_registering_twice_makes_models_once(api: Client, credential: str) -> None:
    models = [{"name": "gpt-4o", "provider": "OpenAI", "model_type": "language"}]
    path = f"/api/credentials/{credential}/register-models"

    assert (await api.post(path, json={"models": models})).json() == {"created": 1, "existing": 0}
    assert (await api.post(path, json={"models": models})).json() == {"created": 0, "existing": 1}
    strange = await api.post(path, json={"models": [{"name": "x", "provider": "anthropic", "model_type": "language"}]})
    assert strange.status_code == 422


async def test_a_thousand_models_are_registered_in_one_request(api: Client, credential: str) -> None:
    models = [{"name": f"model-{n}-{'x' * 60}", "provider": "openai", "model_type": "language"} for n in range(1000)]

    answer = await api.post(f"/api/credentials/{credential}/register-models", json={"models": models})

    assert answer.json() == {"created": 1000, "existing": 0}


async def test_the_life_of_a_model(api: Client, credential: str) -> None:
    body = {"name": "gpt-4o", "provider": "openai", "type": "language", "credential": credential}
    made = (await api.post("/api/models", json=body)).json()

    again = await api.post("/api/models", json=body)
    odd = await api.post("/api/models", json=body | {"type": "image"})
    tested = await api.post(f"/api/models/{made['id']}/test")
    gone = await api.delete(f"/api/models/{made['id']}")

    assert {name: made[name] for name in ("name", "provider", "type", "credential")} == body
    assert (again.status_code, again.json()["code"]) == (400, "model_exists")
    assert (odd.status_code, odd.json()["code"]) == (400, "invalid_model_type")
    assert tested.json() == {"success": True, "message": "gpt-4o answered.", "details": "language", "outcome": "ok"}
    assert gone.json()["message"] == "Model deleted"
    assert (await api.delete(f"/api/models/{made['id']}")).status_code == 404


async def test_models_are_listed_by_type_and_provider_and_counted(api: Client, credential: str) -> None:
    await register(api, credential, ("gpt-4o", "language"), ("ada", "embedding"), ("gpt-5", "language"))

    assert [m["name"] for m in (await api.get("/api/models?type=embedding")).json()] == ["ada"]
    assert (await api.get("/api/models?type=image")).status_code == 400
    assert len((await api.get("/api/models/by-provider/OpenAI")).json()) == 3
    assert (await api.get("/api/models/by-provider/anthropic")).json() == []
    assert (await api.get("/api/models/count/openai")).json() == {
        "provider": "openai",
        "counts": {"language": 2, "embedding": 1, "speech_to_text": 0, "text_to_speech": 0},
        "total": 3,
    }
    first = await api.get("/api/models?limit=2")
    rest = await api.get(first.headers["link"].partition(">")[0][1:])
    assert [m["name"] for m in first.json() + rest.json()] == ["gpt-4o", "ada", "gpt-5"]


async def test_defaults_follow_presence_semantics(api: Client, credential: str) -> None:
    ids = await register(api, credential, ("gpt-4o", "language"), ("ada", "embedding"))
    assert (await api.get("/api/models/defaults")).json() == dict.fromkeys(SLOTS)

    await api.put(
        "/api/models/defaults", json={"default_chat_model": ids["gpt-4o"], "large_context_model": ids["gpt-4o"]}
    )
    kept = await api.put("/api/models/defaults", json={"large_context_model": None})

    assert kept.json() == dict.fromkeys(SLOTS) | {"default_chat_model": ids["gpt-4o"]}


@pytest.mark.parametrize(
    "wish", [{"default_chat_model": None}, {"default_chat_model": "ada"}, {"default_tools_model": "model:NOBODY"}]
)
async def test_a_default_that_cannot_be_is_refused(api: Client, credential: str, wish: dict[str, str | None]) -> None:
    ids = await register(api, credential, ("gpt-4o", "language"), ("ada", "embedding"))
    await api.put("/api/models/defaults", json={"default_chat_model": ids["gpt-4o"]})

    refused = await api.put("/api/models/defaults", json={s: ids.get(str(v), v) for s, v in wish.items()})

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_default")
    assert (await api.get("/api/models/defaults")).json()["default_chat_model"] == ids["gpt-4o"]


async def test_auto_assign_fills_what_is_empty(api: Client, credential: str) -> None:
    ids = await register(api, credential, ("gpt-4o", "language"))

    first = (await api.post("/api/models/auto-assign")).json()
    second = (await api.post("/api/models/auto-assign")).json()

    chat, embedding = "default_chat_model", "default_embedding_model"
    assert first == {"assigned": {chat: ids["gpt-4o"]}, "skipped": [], "missing": [embedding]}
    assert second == {"assigned": {}, "skipped": [chat], "missing": [embedding]}


async def test_sync_registers_with_the_credential(api: Client, credential: str) -> None:
    one = (await api.post("/api/models/sync/openai")).json()
    all = (await api.post("/api/models/sync")).json()

    counts = {"discovered": 3, "new": 2, "existing": 0, "missing": 0}
    account = {"account": credential, "outcome": "ok", "message": "", "withheld": 0, **counts}
    assert one == {"provider": "openai", "failures": {}, "accounts": [account], **counts}
    assert (list(all["results"]), all["total_discovered"], all["total_new"]) == (["openai"], 3, 0)
    assert {model["credential"] for model in (await api.get("/api/models")).json()} == {credential}


async def test_the_environment_is_shown_and_migrated_once(api: Client, house: House) -> None:
    house.environment.values = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": "  "}
    assert (await api.get("/api/credentials/env-status")).json() == {"openai": True, "anthropic": False}
    assert (await api.get("/api/credentials/status")).json() == {
        "configured": {"openai": True, "anthropic": False},
        "source": {"openai": "environment", "anthropic": "none"},
        "encryption_configured": True,
        "data_folder_kept": True,
    }

    plan = (await api.post("/api/credentials/migrate-from-env?dry_run=true")).json()
    assert (plan["migrated"], (await api.get("/api/credentials")).json()) == (["openai"], [])
    done = (await api.post("/api/credentials/migrate-from-env")).json()
    again = (await api.post("/api/credentials/migrate-from-env")).json()

    summary = {name: done[name] for name in ("migrated", "skipped", "not_configured", "errors")}
    assert summary == {"migrated": ["openai"], "skipped": [], "not_configured": ["anthropic"], "errors": []}
    assert (again["migrated"], again["skipped"]) == ([], ["openai"])
    assert [c["name"] for c in (await api.get("/api/credentials")).json()] == ["openai"]
    assert (await api.get("/api/credentials/status")).json()["source"]["openai"] == "database"


async def test_providers_plugins_and_availability(api: Client, house: House, credential: str) -> None:
    house.environment.values = {"OPENAI_API_KEY": KEY}

    providers = (await api.get("/api/providers")).json()
    availability = (await api.get("/api/models/providers")).json()
    plugins = (await api.get("/api/plugins")).json()

    assert [(p["name"], p["display_name"], p["env_configured"]) for p in providers] == [
        ("openai", "Openai", True),
        ("anthropic", "Anthropic", False),
    ]
    assert [field["name"] for field in providers[0]["fields"]] == ["api_key", "base_url", "num_ctx"]
    assert availability == {
        "available": ["openai"],
        "unavailable": ["anthropic"],
        "supported_types": {"openai": ["language", "embedding"]},
    }
    assert plugins[0]["providers"] == ["openai", "anthropic"]


async def test_a_models_share_is_set_kept_and_bounded(api: Client, credential: str) -> None:
    body = {"name": "gpt-4o", "provider": "openai", "type": "language", "credential": credential, "priority": 2}
    made = (await api.post("/api/models", json=body)).json()
    changed = await api.patch(f"/api/models/{made['id']}", json={"weight": 5})
    wrong = await api.patch(f"/api/models/{made['id']}", json={"priority": -1})
    unknown = await api.patch("/api/models/model:01J9ZK3V6Q8M2T4B7N5R0XWYCE", json={"weight": 5})

    assert (made["priority"], made["weight"]) == (2, 1)
    assert (changed.status_code, changed.json()["priority"], changed.json()["weight"]) == (200, 2, 5)
    assert (wrong.status_code, wrong.json()["errors"]) == (422, {"priority": "must be from 0 to 1000000"})
    assert unknown.status_code == 404
    assert [(one["priority"], one["weight"]) for one in (await api.get("/api/models")).json()] == [(2, 5)]


async def test_a_model_has_a_name_for_applications_and_one_for_its_provider(api: Client, credential: str) -> None:
    body = {"name": "chat", "provider": "openai", "type": "language", "credential": credential}
    made = (await api.post("/api/models", json={**body, "provider_model": "gpt-4o"})).json()
    again = await api.post("/api/models", json={**body, "provider_model": "gpt-4o"})
    renamed = await api.patch(f"/api/models/{made['id']}", json={"name": "talk"})
    kept = await api.patch(f"/api/models/{made['id']}", json={"weight": 2})
    left = await api.patch(f"/api/models/{made['id']}", json={"provider_model": None})
    wrong = await api.post("/api/models", json={**body, "name": "default:chat", "provider_model": "gpt-4o"})
    plain = (await api.post("/api/models", json={**body, "name": "gpt-5"})).json()

    assert (made["name"], made["provider_model"], again.status_code) == ("chat", "gpt-4o", 400)
    assert [(one.json()["name"], one.json()["provider_model"]) for one in (renamed, kept, left)] == [
        ("talk", "gpt-4o"),
        ("talk", "gpt-4o"),
        ("gpt-4o", None),
    ]
    assert (wrong.status_code, wrong.json()["errors"]) == (422, {"name": "must not begin with default: or model:"})
    assert plain["provider_model"] is None
    assert {one["name"] for one in (await api.get("/api/models")).json()} == {"gpt-4o", "gpt-5"}


async def test_a_token_with_a_list_sees_and_names_listed_models_only(api: Client, credential: str) -> None:
    await register(api, credential, ("gpt-4o", "language"), ("o3", "language"))
    wish = {"name": "t", "scopes": ["models:read", "models:write"], "reach": {"models": ["gpt*", "openai/tts"]}}
    made = (await api.post("/api/tokens", json=wish)).json()
    mine = {"authorization": f"Bearer {made['token']}"}
    all_of_them = {row["name"]: row["id"] for row in (await api.get("/api/models")).json()}
    body = {"name": "gpt-x", "provider": "openai", "type": "language", "credential": credential}

    shown = [row["name"] for row in (await api.get("/api/models", headers=mine)).json()]
    hidden = await api.delete(f"/api/models/{all_of_them['o3']}", headers=mine)
    tried = [
        await api.post("/api/models", json={**body, "provider_model": "o3"}, headers=mine),
        await api.post("/api/models", json={**body, "name": "o3-too"}, headers=mine),
        await api.patch(f"/api/models/{all_of_them['gpt-4o']}", json={"provider_model": "o3"}, headers=mine),
        await api.patch(f"/api/models/{all_of_them['gpt-4o']}", json={"name": "o4"}, headers=mine),
    ]
    fine = await api.post("/api/models", json={**body, "provider_model": "gpt-5"}, headers=mine)

    assert (made["reach"]["models"], shown) == (["gpt*", "openai/tts"], ["gpt-4o"])
    assert hidden.status_code == 404
    assert [answer.json()["code"] for answer in tried] == ["out_of_reach"] * 4
    assert fine.status_code == 200


async def test_a_token_with_a_limit_of_money_changes_nothing_it_is_counted_by(api: Client, credential: str) -> None:
    await register(api, credential, ("gpt-4o", "language"))
    (model,) = (await api.get("/api/models")).json()
    path = f"/api/models/{model['id']}"
    body = {"name": "free", "provider": "openai", "type": "language", "credential": credential}
    row = {"provider": "openai", "name": "free", "type": "language"}
    wish = {"name": "t", "scopes": ["admin"], "limits": {"micros_per_month": 1}}
    made = (await api.post("/api/tokens", json=wish)).json()
    lent = (await api.post("/api/tokens", json={"name": "t", "scopes": ["admin"]}, headers=bearer(made))).json()

    for mine in (bearer(made), bearer(lent)):
        tried = [
            await api.patch(path, json={"price": None, "provider_model": "o3"}, headers=mine),
            await api.patch(path, json={"price": {"input": 1, "output": 1}}, headers=mine),
            await api.patch(path, json={"name": "free"}, headers=mine),
            await api.delete(path, headers=mine),
            await api.post("/api/models", json=body, headers=mine),
            await api.post(
                f"/api/credentials/{credential}/register-models",
                json={"models": [{"name": "free", "model_type": "language"}]},
                headers=mine,
            ),
            await api.post("/api/credentials/import", json={"rows": [{"row": "model", **row}]}, headers=mine),
            await api.put(f"/api/credentials/{credential}", json={"options": {"any_model": True}}, headers=mine),
            await api.delete(f"/api/credentials/{credential}", headers=mine),
        ]
        assert [answer.json().get("code") for answer in tried] == ["own_limit"] * 9, [one.text for one in tried]
        assert tried[0].status_code == 403
        assert "its own limit is counted by that" in tried[0].text
        assert (await api.patch(path, json={"weight": 3}, headers=mine)).status_code == 200
    unlimited = (await api.post("/api/tokens", json={**wish, "limits": {"tokens_per_day": 9}})).json()
    price = {"price": {"input": 1, "output": 1}}
    assert (await api.patch(path, json=price, headers=bearer(unlimited))).status_code == 200


def bearer(made: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {made['token']}"}


async def test_the_options_of_a_credential_are_set_kept_and_cleared(api: Client, credential: str) -> None:
    path = f"/api/credentials/{credential}"
    assert (await api.get(path)).json()["options"]["any_model"] is False
    await api.put(path, json={"options": {"any_model": True}})
    kept = (await api.put(path, json={"name": "Other"})).json()["options"]
    back = (await api.put(path, json={"options": kept})).json()["options"]
    cleared = (await api.put(path, json={"options": None})).json()["options"]
    unknown = await api.put(path, json={"options": {"any_modle": True}})
    assert (kept["any_model"], back, cleared["any_model"], unknown.status_code) == (True, kept, False, 422)


async def test_a_provider_tells_how_its_fields_are_asked_for(api: Client, house: House) -> None:
    spec = house.openai.spec
    tier = FieldSpec(name="tier", label="Tier", choices=("fast", "cheap"), order=-1, help="How soon it answers.")
    house.openai.spec = replace(spec, fields=(*spec.fields, tier))
    house.registry.load(house.openai)

    [first, key, *_] = (await api.get("/api/providers")).json()[0]["fields"]

    assert (first["name"], first["choices"], first["help"]) == ("tier", ["fast", "cheap"], "How soon it answers.")
    assert (key["name"], key["choices"], key["pattern"], key["multi_line"]) == ("api_key", [], "", False)


async def test_a_setting_of_a_former_version_is_shown_used_and_kept_under_its_present_name(
    api: Client, house: House
) -> None:
    spec = house.openai.spec
    zone = FieldSpec(name="zone", label="Zone")
    house.openai.spec = replace(spec, fields=(*spec.fields, zone))
    house.registry.load(house.openai)
    body = {"name": "Work", "provider": "openai", "api_key": "sk-0123456789abcdef", "config": {"zone": "eu"}}
    id = (await api.post("/api/credentials", json=body)).json()["id"]

    house.openai.spec = replace(spec, fields=(*spec.fields, FieldSpec(name="place", label="Place", formerly=("zone",))))
    house.registry.load(house.openai)

    assert (await api.get(f"/api/credentials/{id}")).json()["config"] == {"place": "eu"}
    await api.put(f"/api/credentials/{id}", json={"name": "Home"})
    stored = await house.store.credential("default", CredentialId(id))
    assert stored is not None
    assert stored.settings == {"place": "eu"}
