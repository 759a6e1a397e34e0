"""A token with a list of models calls those and no others, whichever way it names them."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.gateway_house import GatewayHouse

from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot
from keycairn.domain.options import Options
from keycairn.domain.reach import Reach
from keycairn.domain.token import Scope
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY


class Stage:
    """One account with three models, and one of another provider; `ask` calls with a token of `models`."""

    def __init__(self, house: GatewayHouse, server: OpenAIServer, client: httpx.AsyncClient) -> None:
        self.house, self.server, self.client = house, server, client
        self.credential: Credential
        self.models: dict[str, Model] = {}

    async def headers(self, *models: str, **reach: tuple[str, ...]) -> dict[str, str]:
        bounds = Reach(models=models or None, **reach)  # type: ignore[arg-type]  # a test's short hand
        _, text = await self.house.keycairn.tokens.create("t", (Scope.INVOKE,), reach=bounds)
        return {"authorization": f"Bearer {text.reveal()}"}

    async def ask(self, model: str, *models: str, **reach: tuple[str, ...]) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        headers = await self.headers(*models, **reach)
        return (await self.client.post("/v1/chat/completions", json=body, headers=headers)).status_code

    async def open(self, *, any_model: bool = True) -> None:
        patch = CredentialPatch(options=Options(any_model=any_model))
        self.credential = (await self.house.keycairn.credentials.update(self.credential.id, patch)).credential

    @property
    def asked(self) -> list[str]:
        return [json.loads(request.body)["model"] for request in self.server.requests if request.method == "POST"]


@pytest.fixture
async def stage(house: GatewayHouse, openai_server: OpenAIServer) -> AsyncIterator[Stage]:
    openai_server.models |= dict.fromkeys(("gpt-4o-mini", "o3", "gpt-9", "meta/llama"), "language")
    async with httpx.AsyncClient(base_url=house.url) as client:
        made = Stage(house, openai_server, client)
        made.credential = await house.credential("openai", KEY, base_url=openai_server.url)
        for name in ("gpt-4o", "gpt-4o-mini", "o3"):
            made.models[name] = await house.model(made.credential, name)
        made.models["house"] = await house.keycairn.models.create(
            "house-chat",
            provider="openai",
            provider_model="o3",
            type=Modality.LANGUAGE,
            credential=made.credential.id,
        )
        yield made


@pytest.mark.parametrize(
    ("model", "models", "status"),
    [
        ("gpt-4o", ("gpt-4o",), 200),
        ("openai/gpt-4o", ("gpt-4o",), 200),
        ("gpt-4o", ("openai/gpt-4o",), 200),
        ("gpt-4o-mini", ("gpt-4o",), 404),
        ("gpt-4o-mini", ("gpt-4o*",), 200),
        ("o3", ("gpt-4o*",), 404),
        ("o3", ("gpt-4o*", "openai/*"), 200),
        ("house-chat", ("house-*",), 200),
        ("o3", ("house-*",), 404),
        ("house-chat", ("o3",), 404),
        ("gpt-4o", ("azure/*",), 404),
        ("gpt-4o", ("o*",), 404),
        ("gpt-4o", ("*",), 200),
        ("OPENAI/gpt-4o", ("gpt-4o",), 200),
    ],
)
async def test_a_listed_model_is_called_and_no_other(
    stage: Stage, model: str, models: tuple[str, ...], status: int
) -> None:
    assert await stage.ask(model, *models) == status
    assert len(stage.asked) == (status == 200)


async def test_no_way_of_naming_leads_around_the_list(stage: Stage) -> None:
    await stage.house.keycairn.models.set_defaults({Slot.CHAT: stage.models["o3"].id})
    headers = await stage.headers("gpt-4o*")
    unknown = {"model": "nothing-of-that-name", "messages": [{"role": "user", "content": "Hello"}]}
    expected = (await stage.client.post("/v1/chat/completions", json=unknown, headers=headers)).json()
    for name in ("o3", "openai/o3", stage.models["o3"].id, "house-chat", stage.models["house"].id):
        body = {**unknown, "model": name}
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
            answer = await stage.client.post(path, json=body, headers=headers)
            assert (answer.status_code, answer.json()) == (404, expected), (name, path)
    for name in ("default:chat", "default:tools"):
        answer = await stage.client.post("/v1/chat/completions", json={**unknown, "model": name}, headers=headers)
        assert answer.status_code == 404, name
    assert stage.asked == []


@pytest.mark.parametrize(
    ("models", "status"), [(("gpt-4o",), 403), (("gpt*", "o*"), 403), (("openai/*",), 200), (("*",), 200)]
)
async def test_a_native_call_needs_every_model_of_its_provider(
    stage: Stage, models: tuple[str, ...], status: int
) -> None:
    headers = await stage.headers(*models)
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await stage.client.post(f"/native/{stage.credential.id}/chat/completions", json=body, headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["code"] == "listed_models_only"
        assert stage.asked == []


async def test_the_list_shows_only_what_may_be_called(stage: Stage) -> None:
    async def shown(*models: str) -> list[str]:
        listed = (await stage.client.get("/v1/models", headers=await stage.headers(*models))).json()["data"]
        return [item["id"] for item in listed]

    assert await shown("gpt-4o*") == ["openai/gpt-4o", "openai/gpt-4o-mini"]
    assert await shown("house-*") == ["house-chat"]
    assert await shown("nothing") == []
    headers = await stage.headers("gpt-4o")
    for name, status in (("openai/gpt-4o", 200), ("openai/o3", 404), (stage.models["o3"].id, 404)):
        assert (await stage.client.get(f"/v1/models/{name}", headers=headers)).status_code == status


async def test_a_pool_serves_with_its_listed_members_only(stage: Stage) -> None:
    other = await stage.house.credential("groq", "sk-other-canary-0123456789", base_url="http://127.0.0.1:49999")
    await stage.house.keycairn.models.create(
        "gpt-4o", provider="groq", provider_model="llama", type=Modality.LANGUAGE, credential=other.id
    )
    for _ in range(4):
        assert await stage.ask("gpt-4o", "openai/*") == 200
    assert stage.asked == ["gpt-4o"] * 4


async def test_a_list_stands_beside_the_other_bounds(stage: Stage) -> None:
    assert await stage.ask("gpt-4o", "gpt-4o", providers=("openai",)) == 200
    assert await stage.ask("gpt-4o", "gpt-4o", providers=("groq",)) == 404
    assert await stage.ask("gpt-4o", "o3", credentials=(stage.credential.id,)) == 404


async def test_a_list_of_a_providers_models_is_kept_by_its_canonical_name(stage: Stage) -> None:
    token, _ = await stage.house.keycairn.tokens.create(
        "t", (Scope.INVOKE,), reach=Reach(models=("OpenAI-Compatible/*", "OpenAI-Compatible/*", "Meta/x"))
    )
    assert token.reach.models == ("openai_compatible/*", "Meta/x")


async def test_a_list_cannot_be_empty_or_an_administrators(stage: Stage) -> None:
    tokens = stage.house.keycairn.tokens
    for reach, scope in ((Reach(models=()), Scope.INVOKE), (Reach(models=("*",)), Scope.ADMIN)):
        with pytest.raises(InvalidInputError):
            await tokens.create("t", (scope,), reach=reach)


async def test_a_model_that_is_not_registered_passes_where_its_account_says_so(stage: Stage) -> None:
    assert await stage.ask("openai/gpt-9") == 404
    await stage.open()
    for name in ("openai/gpt-9", "OpenAI/gpt-9", "openai/meta/llama"):
        assert await stage.ask(name) == 200
    assert stage.asked == ["gpt-9", "gpt-9", "meta/llama"]
    for name in ("gpt-9", "groq/gpt-9", "openai/", "/gpt-9", "openai", "openai/ gpt-9", "openai/" + "x" * 301):
        assert await stage.ask(name) in {400, 404}, name
    assert len(stage.asked) == 3
    booked = [key.model for key, usage in (await stage.house.usage()).items() if key.credential and not usage.failed]
    assert sorted(booked) == ["openai/gpt-9", "openai/gpt-9", "openai/meta/llama"]
    await stage.open(any_model=False)
    assert await stage.ask("openai/gpt-9") == 404


async def test_what_the_provider_does_not_know_fills_no_books(stage: Stage) -> None:
    await stage.open()
    for number in range(3):
        assert await stage.ask(f"openai/made-up-{number}") == 404
    booked = [key.model for key in await stage.house.usage() if key.credential]
    assert set(booked) == {""}


async def test_an_open_account_keeps_to_its_tokens_reach_and_its_kinds_of_work(stage: Stage) -> None:
    await stage.open()
    assert await stage.ask("openai/gpt-9", "gpt-9") == 200
    assert await stage.ask("openai/gpt-9", "openai/*") == 200
    assert await stage.ask("openai/gpt-9", "gpt-4o") == 404
    assert await stage.ask("openai/gpt-9", providers=("groq",)) == 404
    patch = CredentialPatch(modalities=(Modality.EMBEDDING,))
    await stage.house.keycairn.credentials.update(stage.credential.id, patch)
    assert await stage.ask("openai/gpt-9") == 404


async def test_a_registered_model_comes_before_what_merely_passes(stage: Stage) -> None:
    await stage.open()
    second = await stage.house.credential("openai", "sk-second-canary-0123456789", base_url="http://127.0.0.1:49998")
    patch = CredentialPatch(options=Options(any_model=True))
    await stage.house.keycairn.credentials.update(second.id, patch)
    for _ in range(4):
        assert await stage.ask("openai/gpt-4o") == 200


async def test_a_body_names_no_others_to_fall_back_to(stage: Stage) -> None:
    headers = {listed: await stage.headers(listed) for listed in ("gpt-4o", "openai/*")}
    naming = ('"models": ["o3"]', '"Models": ["o3"], "models": null', '"tools": [{"x": {"model": "o3"}}]')
    for number, more in enumerate(naming, 1):
        body = f'{{"model": "gpt-4o", "messages": [{{"role": "user", "content": "Hello"}}], {more}}}'.encode()
        for listed, status in (("gpt-4o", 403), ("openai/*", 200)):
            kind = {"content-type": "application/json", **headers[listed]}
            answer = await stage.client.post("/v1/chat/completions", content=body, headers=kind)
            assert answer.status_code == status, more
        assert len(stage.asked) == number
    for part, status in (("models", 403), ("Fallbacks", 403), ("Model", 400), ("model[]", 400), ("prompt", 200)):
        answer = await stage.client.post(
            "/v1/images/edits", data={"model": "gpt-4o", part: "o3"}, files={"image": b"png"}, headers=headers["gpt-4o"]
        )
        assert answer.status_code in ({status} if status != 200 else {200, 404}), (part, answer.text)
    chat = "/v1/chat/completions"
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    for query, status in (("models=o3", 403), ("Fallbacks=o3", 403), ("model[]=o3", 400), ("x=1", 200)):
        kind = {"content-type": "application/json", **headers["gpt-4o"]}
        answer = await stage.client.post(f"{chat}?{query}", content=body, headers=kind)
        assert answer.status_code == status, query
