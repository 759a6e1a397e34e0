"""A record that was read can be sent back; a field that no answer has is refused all the same."""

from typing import Any

import pytest
from msgspec import Struct
from tests.app_client import AppClient
from tests.house import House

from keycairn.app.api.bodies import CreateCredential, CreateModel, UpdateCredential, UpdateModel
from keycairn.app.api.credential_views import CredentialView
from keycairn.app.api.model_views import ModelView
from keycairn.domain.model import Slot

Client = AppClient
KEY = "sk-canary-0123456789"
ACCOUNT = {"name": "Work", "provider": "openai", "api_key": KEY, "base_url": "https://one.example/v1", "num_ctx": 7}


@pytest.fixture
async def credential(api: Client) -> dict[str, Any]:
    made: dict[str, Any] = (await api.post("/api/credentials", json=ACCOUNT)).json()
    return made


@pytest.fixture
async def model(api: Client, credential: dict[str, Any]) -> dict[str, Any]:
    body = {"name": "gpt", "provider": "openai", "type": "language", "credential": credential["id"]}
    answer = await api.post("/api/models", json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def apart(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


async def test_a_credential_as_it_was_read(api: Client, house: House, credential: dict[str, Any]) -> None:
    await api.post(f"/api/credentials/{credential['id']}/test")
    path = f"/api/credentials/{credential['id']}"
    read = (await api.get(path)).json()

    for record in (read, (await api.get("/api/credentials")).json()[0]):
        answer = await api.put(path, json={**record, "name": "Renamed"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["name"] == "Renamed"

    after = (await api.get(path)).json()
    changed = ("name", "version", "updated")
    assert apart(after, *changed) == apart(read, *changed)
    assert await house.key_of(credential["id"]) == KEY


async def test_what_is_read_only_changes_nothing(api: Client, credential: dict[str, Any]) -> None:
    path = f"/api/credentials/{credential['id']}"
    forged = {"id": "credential:X", "has_api_key": False, "workspace": "other", "version": 99, "model_count": 7}
    answer = await api.put(path, json={**forged, "created": "1999-01-01T00:00:00Z", "last_check": None})
    assert apart(answer.json(), "updated") == apart((await api.get(path)).json(), "updated")
    assert apart(answer.json(), "version", "updated") == apart(credential, "version", "updated")


async def test_a_credential_that_was_read_makes_another_one(api: Client, credential: dict[str, Any]) -> None:
    answer = await api.post("/api/credentials", json={**credential, "api_key": "sk-another-0123456789"})
    assert answer.status_code == 201
    assert answer.json()["id"] != credential["id"]


async def test_a_model_as_it_was_read(api: Client, model: dict[str, Any]) -> None:
    for record in (model, (await api.get("/api/models")).json()[0]):
        answer = await api.patch(f"/api/models/{model['id']}", json={**record, "priority": 3})
        assert answer.status_code == 200, answer.text
        assert apart(answer.json(), "updated") == apart({**model, "priority": 3}, "updated")


@pytest.mark.parametrize("body", [UpdateCredential, CreateCredential, UpdateModel, CreateModel])
def test_every_field_of_an_answer_is_taken(body: type[Struct]) -> None:
    view = ModelView if body in {UpdateModel, CreateModel} else CredentialView
    assert {*view.__struct_fields__} <= {*body.__struct_fields__}


@pytest.mark.parametrize("change", [{"provider": "anthropic"}, {"type": "embedding"}, {"type": "image"}])
async def test_what_cannot_change_is_not_passed_over(
    api: Client, model: dict[str, Any], change: dict[str, str]
) -> None:
    answer = await api.patch(f"/api/models/{model['id']}", json={**model, **change})
    assert (answer.status_code, [*answer.json()["errors"]]) == (422, [*change])


async def test_the_defaults_as_they_were_read(api: Client, model: dict[str, Any]) -> None:
    empty = (await api.get("/api/models/defaults")).json()
    assert (await api.put("/api/models/defaults", json=empty)).json() == empty
    assert (await api.put("/api/models/defaults", json={"default_chat_model": model["id"]})).status_code == 200
    filled = (await api.get("/api/models/defaults")).json()
    assert (await api.put("/api/models/defaults", json=filled)).json() == filled
    assert (await api.put("/api/models/defaults", json=empty)).status_code == 400


async def test_what_was_discovered(api: Client, house: House, credential: dict[str, Any]) -> None:
    path = f"/api/credentials/{credential['id']}"
    found = (await api.post(f"{path}/discover")).json()["discovered"]
    answer = await api.post(f"{path}/register-models", json={"models": found})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "field", ["api_keys", "versions", "ID", "hasApiKey", "model_counts", "etag", "secret", "__class__"]
)
async def test_what_no_answer_has_is_refused(
    api: Client, credential: dict[str, Any], model: dict[str, Any], field: str
) -> None:
    answers = [
        await api.put(f"/api/credentials/{credential['id']}", json={**credential, field: "x"}),
        await api.post("/api/credentials", json={**ACCOUNT, field: "x"}),
        await api.patch(f"/api/models/{model['id']}", json={**model, field: "x"}),
        await api.put("/api/models/defaults", json={field: "x"}),
    ]
    assert {answer.status_code for answer in answers} == {422}


class TestSlots:
    """They are one table: the API, the gateway's names and the fallbacks follow it."""

    async def test_vision_is_one_and_falls_back_to_chat(self, api: Client, house: House, model: dict[str, Any]) -> None:
        answer = await api.put("/api/models/defaults", json={"default_chat_model": model["id"]})
        assert answer.json()["default_vision_model"] is None
        assert (await house.keycairn.models.defaults()).model_for(Slot.VISION) == model["id"]

        answer = await api.put("/api/models/defaults", json={"default_vision_model": model["id"]})
        assert answer.json()["default_vision_model"] == model["id"]
        assert (await api.put("/api/models/defaults", json={"default_vision_model": None})).status_code == 200

    async def test_all_are_shown_and_can_be_set(self, api: Client) -> None:
        shown = (await api.get("/api/models/defaults")).json()
        assert [*shown] == [slot.value for slot in Slot]
        document = (await api.get("/openapi/openapi.json")).json()["components"]["schemas"]
        for name in ("SetDefaults", "DefaultsView"):
            schema = next(schema for key, schema in document.items() if key.endswith(name))
            assert [*schema["properties"]] == [slot.value for slot in Slot]

    def test_each_has_a_name_for_calls_and_a_type_of_its_own(self) -> None:
        assert len({slot.called for slot in Slot}) == len(Slot) == 8
        assert {slot.value for slot in Slot if slot.mandatory} == {"default_chat_model", "default_embedding_model"}
        assert all(slot.type is Slot.CHAT.type for slot in Slot if slot.falls_back)


@pytest.mark.parametrize("name", ["GPT", "Gpt", "gPT", "gpt "])
async def test_a_model_is_a_duplicate_whatever_its_case(api: Client, model: dict[str, Any], name: str) -> None:
    body = {"name": name, "provider": "OpenAI", "type": "language", "credential": model["credential"]}
    again = await api.post("/api/models", json=body)
    assert (again.status_code, again.json()["code"]) == (400, "model_exists")
    models = {"models": [{"name": name, "model_type": "language"}]}
    registered = await api.post(f"/api/credentials/{model['credential']}/register-models", json=models)
    assert registered.json() == {"created": 0, "existing": 1}


async def test_a_model_may_be_renamed_to_another_case_of_its_own(api: Client, model: dict[str, Any]) -> None:
    answer = await api.patch(f"/api/models/{model['id']}", json={"name": "GPT"})
    assert (answer.status_code, answer.json()["name"]) == (200, "GPT")


async def test_another_account_or_type_has_the_same_name_in_any_case(api: Client, model: dict[str, Any]) -> None:
    other = (await api.post("/api/credentials", json={**ACCOUNT, "api_key": "sk-another-0123456789"})).json()
    for more in ({"credential": other["id"]}, {"type": "embedding"}, {"credential": None}):
        body = {"name": "GPT", "provider": "openai", "type": "language", "credential": model["credential"], **more}
        assert (await api.post("/api/models", json=body)).status_code == 200
