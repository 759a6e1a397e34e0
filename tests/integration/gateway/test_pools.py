"""One name that applications call, behind it models of several providers and names."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from tests.gateway_house import GatewayHouse
from tests.servers.azure_api import AzureServer

from keycairn.app.services.models import ModelPatch
from keycairn.domain.audit import Caller
from keycairn.domain.credential import Credential
from keycairn.domain.errors import KeycairnError
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot
from keycairn.domain.reach import Reach
from keycairn.domain.token import Scope
from keycairn.plugins.payloads import silent_wav
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY

MESSAGES = [{"role": "user", "content": "Hello"}]


class Pools:
    """Providers, their accounts, and a client."""

    def __init__(self, house: GatewayHouse, client: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self.house, self.client, self._stack = house, client, stack

    async def account(self, provider: str, *models: str, key: str = KEY) -> tuple[OpenAIServer, Credential]:
        server = AzureServer(key=key) if provider == "azure" else OpenAIServer(key=key)
        server.models |= dict.fromkeys(models, "language")
        await self._stack.enter_async_context(server)
        place = "endpoint" if provider == "azure" else "base_url"
        return server, await self.house.credential(provider, KEY, **{place: server.url})

    async def model(
        self, credential: Credential, name: str, own: str | None = None, *, priority: int = 0, weight: int = 1
    ) -> Model:
        return await self.house.keycairn.models.create(
            name,
            provider=credential.provider,
            provider_model=own,
            type=Modality.LANGUAGE,
            credential=credential.id,
            priority=priority,
            weight=weight,
        )

    async def chat(self, model: str, **members: object) -> httpx.Response:
        body = {"model": model, "messages": MESSAGES, **members}
        return await self.client.post("/v1/chat/completions", json=body)


@pytest.fixture
async def pools(house: GatewayHouse) -> AsyncIterator[Pools]:
    headers = {"authorization": f"Bearer {house.token}"}
    async with AsyncExitStack() as stack, httpx.AsyncClient(base_url=house.url, headers=headers) as client:
        yield Pools(house, client, stack)


def named(server: OpenAIServer) -> list[str]:
    """The models a provider was asked for."""
    return [json.loads(request.body)["model"] for request in server.requests if request.method == "POST"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_name_of_ours_reaches_the_provider_by_its_own(pools: Pools, stream: bool) -> None:  # noqa: FBT001
    server, credential = await pools.account("openai", "gpt-4o-2024-08-06")
    model = await pools.model(credential, "house-chat", "gpt-4o-2024-08-06")

    answers = [await pools.chat(name, stream=stream) for name in ("house-chat", "openai/house-chat", model.id)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert named(server) == ["gpt-4o-2024-08-06"] * 3
    booked = {key.model: usage.requests for key, usage in (await pools.house.usage()).items()}
    assert booked == {model.id: 3}
    assert (await pools.chat("gpt-4o-2024-08-06")).status_code == 404, "it is called by its public name"


async def test_a_pool_goes_on_to_another_provider_under_that_ones_name(pools: Pools) -> None:
    openai, first = await pools.account("openai", "gpt-4o", key="sk-changed-at-the-provider")
    azure, second = await pools.account("azure", "prod-4o")
    one = await pools.model(first, "gpt-4o")
    other = await pools.model(second, "gpt-4o", "prod-4o", priority=1)

    answer = await pools.chat("gpt-4o")

    assert (answer.status_code, answer.headers["x-keycairn-credential"]) == (200, second.id)
    assert answer.headers["x-keycairn-attempts"] == "2"
    assert named(openai) == ["gpt-4o"]
    assert azure.requests[-1].target.startswith("/openai/deployments/prod-4o/chat/completions")
    booked = {key.model: usage.requests for key, usage in (await pools.house.usage()).items()}
    assert set(booked) == {other.id}
    joined = await pools.house.keycairn.models.get(one.id)
    assert joined.provider_model == "gpt-4o", "it served the name alone, and came into the pool"


async def test_a_chain_of_fallbacks_is_a_pool_with_priorities(pools: Pools) -> None:
    accounts = [await pools.account("groq", f"llama-{number}") for number in range(3)]
    for number, (server, credential) in enumerate(accounts):
        await pools.model(credential, "chain", f"llama-{number}", priority=number)
        server.fault = (429, 503, None)[number]

    answer = await pools.chat("chain")

    assert (answer.status_code, answer.headers["x-keycairn-attempts"]) == (200, "3")
    assert [named(server) for server, _ in accounts] == [["llama-0"], ["llama-1"], ["llama-2"]]


async def test_weights_share_the_calls_across_providers(pools: Pools) -> None:
    openai, first = await pools.account("openai", "gpt-4o")
    groq, second = await pools.account("groq", "llama-3.3-70b")
    await pools.model(first, "shared", "gpt-4o", weight=0)
    await pools.model(second, "shared", "llama-3.3-70b")

    for _ in range(5):
        assert (await pools.chat("shared")).status_code == 200

    assert (named(openai), named(groq)) == ([], ["llama-3.3-70b"] * 5)


async def test_two_models_of_one_account_are_a_chain_too(pools: Pools) -> None:
    server, credential = await pools.account("openai", "gpt-4.1", "gpt-4.1-mini")
    await pools.model(credential, "best", "gpt-4.1")
    await pools.model(credential, "best", "gpt-4.1-mini", priority=1)
    server.faults = [429]

    answer = await pools.chat("best")

    assert (answer.status_code, named(server)) == (200, ["gpt-4.1", "gpt-4.1-mini"])


async def test_a_refused_key_is_not_tried_again_with_another_model_of_its_account(pools: Pools) -> None:
    server, credential = await pools.account("openai", "a", "b", key="sk-changed-at-the-provider")
    await pools.model(credential, "best", "a")
    await pools.model(credential, "best", "b", priority=1)

    answer = await pools.chat("best")

    assert (answer.status_code, answer.headers["x-keycairn-attempts"], named(server)) == (502, "1", ["a"])


async def test_what_discovery_brings_later_does_not_come_into_a_pool(pools: Pools) -> None:
    _azure, first = await pools.account("azure", "prod-4o")
    await pools.model(first, "gpt-4o", "prod-4o")
    _openai, second = await pools.account("openai", "gpt-4o")
    await pools.house.keycairn.probing.sync("openai")

    for _ in range(4):
        assert (await pools.chat("gpt-4o")).headers["x-keycairn-credential"] == first.id
    assert (await pools.chat("openai/gpt-4o")).headers["x-keycairn-credential"] == second.id


async def test_a_model_registered_by_hand_under_a_pools_name_joins_it(pools: Pools) -> None:
    _azure, first = await pools.account("azure", "prod-4o")
    await pools.model(first, "gpt-4o", "prod-4o", priority=1)
    _openai, second = await pools.account("openai", "gpt-4o")

    model = await pools.model(second, "gpt-4o")

    assert model.provider_model == "gpt-4o"
    assert (await pools.chat("gpt-4o")).headers["x-keycairn-credential"] == second.id


async def test_a_model_that_leaves_its_pool_has_its_own_name_again(pools: Pools) -> None:
    _openai, credential = await pools.account("openai", "gpt-4o")
    model = await pools.model(credential, "house-chat", "gpt-4o")

    left = await pools.house.keycairn.models.update(model.id, ModelPatch(provider_model=None))

    assert (left.name, left.provider_model) == ("gpt-4o", None)
    assert (await pools.chat("house-chat")).status_code == 404
    assert (await pools.chat("gpt-4o")).status_code == 200


async def test_a_new_name_leaves_alone_what_the_provider_is_sent(pools: Pools) -> None:
    openai, credential = await pools.account("openai", "gpt-4o")
    model = await pools.model(credential, "gpt-4o")

    await pools.house.keycairn.models.update(model.id, ModelPatch(name="house-chat"))

    assert (await pools.chat("house-chat")).status_code == 200
    assert named(openai) == ["gpt-4o"]


@pytest.mark.parametrize("name", ["openai/gpt-4o", "groq/anything", "a/b/c", "name with spaces", "модель", "gpt-4o"])
async def test_any_name_can_be_given(pools: Pools, name: str) -> None:
    groq, credential = await pools.account("groq", "llama")
    _openai, other = await pools.account("openai", "gpt-4o")
    await pools.house.model(other, "gpt-4o")
    await pools.model(credential, name, "llama", priority=0)
    for row in await pools.house.keycairn.models.list(provider="openai"):
        await pools.house.keycairn.models.update(row.id, ModelPatch(priority=5))

    answer = await pools.chat(name)

    assert (answer.status_code, named(groq)) == (200, ["llama"])


@pytest.mark.parametrize("name", ["default:chat", "model:01", "", " ", "a\nb", "x" * 301])
async def test_a_name_no_call_can_mean_is_refused(pools: Pools, name: str) -> None:
    _, credential = await pools.account("openai")
    with pytest.raises(KeycairnError) as refused:
        await pools.model(credential, name, "gpt-4o")
    assert refused.value.code == "invalid_input"


async def test_the_list_has_a_pool_once_with_its_type_and_slots(pools: Pools) -> None:
    _, first = await pools.account("openai")
    _, second = await pools.account("azure")
    one = await pools.model(first, "house-chat", "gpt-4o")
    two = await pools.model(second, "house-chat", "prod-4o")
    await pools.house.model(first, "text-embedding-3-small", Modality.EMBEDDING)
    for model, length in ((one, 128_000), (two, 64_000)):
        await pools.house.keycairn.models.update(model.id, ModelPatch(context_length=length))
    await pools.house.keycairn.models.set_defaults({Slot.CHAT: one.id, Slot.TOOLS: one.id})

    listed = (await pools.client.get("/v1/models")).json()["data"]

    shown = {item.pop("id"): item for item in listed if item.pop("created")}
    assert shown == {
        "house-chat": {
            "object": "model",
            "owned_by": "keycairn",
            "type": "language",
            "context_length": 64_000,
            "slots": ["chat", "tools"],
            "native": False,
        },
        "openai/text-embedding-3-small": {
            "object": "model",
            "owned_by": "openai",
            "type": "embedding",
            "context_length": None,
            "slots": [],
            "native": False,
        },
    }
    for name in ("house-chat", "azure/house-chat", one.id):
        assert (await pools.client.get(f"/v1/models/{name}")).json()["id"] == "house-chat"
    assert (await pools.client.get("/v1/models/gpt-4o")).status_code == 404


async def test_claude_under_a_name_of_ours_over_anthropics_api(house: GatewayHouse, pools: Pools) -> None:
    other = await house.credential("openai", KEY, base_url="http://127.0.0.1:49999")
    await pools.model(other, "house", "gpt-4o")
    listed = (await pools.client.get("/anthropic/v1/models")).json()["data"]
    assert [item["id"] for item in listed] == []
    claude = await house.credential("anthropic", KEY, base_url="http://127.0.0.1:49999")
    await pools.model(claude, "house", "claude-sonnet-5")
    listed = (await pools.client.get("/anthropic/v1/models")).json()["data"]
    assert [item["id"] for item in listed] == ["house"]


async def test_a_form_names_the_model_as_its_provider_does(pools: Pools) -> None:
    openai, credential = await pools.account("openai")
    await pools.house.keycairn.models.create(
        "ears", provider="openai", provider_model="whisper-1", type=Modality.SPEECH_TO_TEXT, credential=credential.id
    )

    files = {"file": ("a.wav", silent_wav(), "audio/wav")}
    answer = await pools.client.post("/v1/audio/transcriptions", data={"model": "ears"}, files=files)

    assert answer.status_code == 200
    assert b"whisper-1" in openai.requests[-1].body
    assert b"ears" not in openai.requests[-1].body


async def test_a_bounded_token_takes_no_name_that_others_serve(pools: Pools) -> None:
    _openai, first = await pools.account("openai", "gpt-4o")
    _groq, second = await pools.account("groq", "llama")
    await pools.model(first, "gpt-4o")
    keycairn = pools.house.keycairn
    reach = Reach(credentials=(second.id,))
    token, _ = await keycairn.tokens.create("t", (Scope.MODELS_WRITE,), reach=reach)
    by = Caller(actor=token.id, source="", reach=reach)
    for name in ("gpt-4o", "openai/gpt-4o"):
        with pytest.raises(KeycairnError) as refused:
            await keycairn.models.create(
                name, provider="groq", provider_model="llama", type=Modality.LANGUAGE, credential=second.id, by=by
            )
        assert refused.value.code == "out_of_reach"
    own = await keycairn.models.create(
        "mine", provider="groq", provider_model="llama", type=Modality.LANGUAGE, credential=second.id, by=by
    )
    with pytest.raises(KeycairnError):
        await keycairn.models.update(own.id, ModelPatch(name="gpt-4o"), by=by)


@pytest.mark.parametrize(
    ("provider", "type", "native"),
    [
        ("elevenlabs", Modality.TEXT_TO_SPEECH, True),
        ("deepgram", Modality.SPEECH_TO_TEXT, True),
        ("openai", Modality.TEXT_TO_SPEECH, False),
        ("azure", Modality.EMBEDDING, False),
        ("google", Modality.LANGUAGE, False),
        ("google", Modality.TEXT_TO_SPEECH, True),
        ("anthropic", Modality.LANGUAGE, False),
        ("voyage", Modality.EMBEDDING, False),
        ("bedrock", Modality.EMBEDDING, True),
        ("bedrock", Modality.LANGUAGE, False),
        ("ollama", Modality.EMBEDDING, False),
    ],
)
async def test_a_model_that_needs_its_providers_own_api_says_so(
    pools: Pools, provider: str, type: Modality, *, native: bool
) -> None:
    settings = {"bedrock": {"region": "us-east-1"}, "azure": {"endpoint": "https://x.openai.azure.com"}}
    credential = await pools.house.credential(provider, KEY, **settings.get(provider, {}))
    await pools.house.model(credential, "m", type)
    (item,) = (await pools.client.get("/v1/models")).json()["data"]
    assert item["native"] is native
