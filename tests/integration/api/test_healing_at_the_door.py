"""What is pasted into the fields of a credential is healed and told of, or refused by name, at every door alike."""

from typing import Any

import pytest
from tests.app_client import AppClient
from tests.house import FakeProvider, House
from tests.nights import by_day

from keycairn.domain.ids import CredentialId
from keycairn.plugins.registry import PluginRegistry

KEY = "sk-canary-4f9A7c2E81b6D05x"
CREDENTIALS = "/api/credentials"
Client = AppClient
SPECS = [provider.spec for provider in PluginRegistry(external=False).all()]
REFUSED = (
    "user_provided",
    "# if you use it",
    "<your key>",
    "sk-a,sk-b",
    "sk\u200bcanary-0123456789",
    "sk-a\nsk-b",
    "none",
)
HEALED = (f'"{KEY}"', f"Bearer {KEY}", f"OPENAI_API_KEY={KEY}", f'export OPENAI_API_KEY="{KEY}"')


@pytest.fixture
def house() -> House:
    house = House(admin_token="admin-0123456789-0123456789-0123456789")
    for spec in SPECS:
        if spec.name in {"openai_compatible", "azure", "vertex"}:
            house.registry.load(FakeProvider(spec))
    return house


async def make(api: Client, **fields: Any) -> Any:
    body = {"name": "Work", "provider": "openai", "api_key": KEY, **fields}
    return await api.post(CREDENTIALS, json={name: value for name, value in body.items() if value is not None})


@pytest.mark.parametrize("pasted", by_day(HEALED, one_in=3))
async def test_a_healed_key_is_what_is_stored_and_the_answer_says_what_was_taken_off(
    api: Client, house: House, pasted: str
) -> None:
    made = await make(api, api_key=pasted)
    assert made.status_code == 201, made.text
    assert "taken off" in made.json()["healed"]["api_key"]
    assert KEY not in made.text
    assert await house.key_of(CredentialId(made.json()["id"])) == KEY
    read = (await api.get(f"{CREDENTIALS}/{made.json()['id']}")).json()
    assert "healed" not in read


@pytest.mark.parametrize("pasted", by_day(REFUSED, one_in=3))
async def test_a_rotation_to_what_is_no_key_keeps_the_working_one(api: Client, house: House, pasted: str) -> None:
    made = (await make(api)).json()
    for answer in (
        await api.put(f"{CREDENTIALS}/{made['id']}", json={"api_key": pasted}),
        await make(api, api_key=pasted),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "unusable_key")
        assert list(answer.json()["errors"]) == ["api_key"]
    assert await house.key_of(CredentialId(made["id"])) == KEY
    assert len((await api.get(CREDENTIALS)).json()) == 1


@pytest.mark.parametrize("pasted", by_day(REFUSED, one_in=3))
async def test_an_import_refuses_the_row_with_the_same_reason(api: Client, pasted: str) -> None:
    row = {"row": "credential", "where": "line 1", "provider": "openai", "name": "A", "secrets": {"api_key": pasted}}
    done = (await api.post(f"{CREDENTIALS}/import", json={"rows": [row]})).json()
    assert (done["created"], len(done["refused"])) == ([], 1)
    assert "no usable key" in done["refused"][0]["reason"]


async def test_an_import_says_what_it_healed(api: Client) -> None:
    values = {"api_key": f"Bearer {KEY}", "base_url": "https://p.example/v1/chat/completions"}
    row = {"row": "credential", "where": "line 1", "provider": "openai", "name": "A", "values": values}
    [made] = (await api.post(f"{CREDENTIALS}/import", json={"rows": [row]})).json()["created"]
    assert any("https://p.example/v1 now" in note for note in made["notes"])
    assert any("Bearer" in note for note in made["notes"])


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "ollama", "api_key": "ollama"},
        {"base_url": "http://ollama:11434/v1", "api_key": "ollama"},
        {"name": "my lm-studio", "api_key": "lm-studio"},
        {"name": "EMPTY", "api_key": "EMPTY"},
        {"base_url": "http://none.example/v1", "api_key": "none"},
        {"name": "sk-1234", "api_key": "sk-1234"},
        {"base_url": "http://vllm:8000/v1", "api_key": "vllm"},
        {"name": "fake-api-key", "api_key": "fake-api-key"},
        {"name": "no-key-required", "api_key": "no-key-required"},
    ],
)
async def test_a_short_word_may_be_the_key_and_the_name_of_a_local_server(api: Client, fields: dict[str, str]) -> None:
    made = await make(api, **{"provider": "openai_compatible", "base_url": "http://localhost:1234/v1", **fields})
    assert made.status_code == 201, made.text
    renamed = await api.put(f"{CREDENTIALS}/{made.json()['id']}", json={"name": fields["api_key"]})
    reserved = fields["api_key"] == "none"  # commands take it for no credential
    assert renamed.status_code == (422 if reserved else 200), renamed.text


async def test_a_key_is_still_looked_for_where_it_would_be_shown(api: Client) -> None:
    made = await make(api, provider="openai_compatible", base_url="http://localhost:1234/v1", name=f"my {KEY}")
    assert (made.status_code, made.json()["code"]) == (422, "secret_like_field")


@pytest.mark.parametrize("ending", ["chat/completions", "responses", "embeddings", "audio/speech", "completions/"])
async def test_a_pasted_endpoint_is_healed_and_the_base_url_is_in_the_answer(api: Client, ending: str) -> None:
    made = await make(api, provider="openai_compatible", base_url=f"https://h.example/v1/{ending}")
    assert made.json()["base_url"] == "https://h.example/v1"
    assert "https://h.example/v1" in made.json()["healed"]["base_url"]
    changed = await api.put(f"{CREDENTIALS}/{made.json()['id']}", json={"base_url": f"https://h.example/v2/{ending}"})
    assert changed.json()["base_url"] == "https://h.example/v2"


async def test_an_azure_address_with_all_behind_it_is_healed(api: Client) -> None:
    url = "https://x.openai.azure.com/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    made = (await make(api, provider="azure", endpoint=url)).json()
    assert (made["endpoint"], made["api_version"]) == ("https://x.openai.azure.com/openai", "2024-10-21")
    other = await make(api, provider="azure", endpoint=url, api_version="2023-05-15")
    assert (other.status_code, list(other.json()["errors"])) == (422, ["api_version"])


async def test_a_service_account_is_refused_at_the_door_where_it_is_none(api: Client) -> None:
    fields = {"provider": "vertex", "api_key": None, "project": "p", "location": "us-central1"}
    made = await make(api, **fields, secrets={"service_account": "-----BEGIN PRIVATE KEY-----\nMIIE"})
    assert (made.status_code, list(made.json()["errors"])) == (422, ["service_account"])
    assert "only the private key" in made.text
