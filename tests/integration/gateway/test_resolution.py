"""What a call resolves to is fixed when it begins; each attempt names the model for its own provider."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from aiohttp import web
from tests.gateway_house import GatewayHouse
from tests.servers.azure_api import AzureServer

from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot
from keycairn.domain.secret import Secret
from keycairn.plugins.payloads import silent_wav
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY

MESSAGES = [{"role": "user", "content": "Hello"}]
WRONG = "sk-changed-at-the-provider"
Change = Callable[[], Awaitable[object]]


class Interrupted(OpenAIServer):
    """Before its first answer, something happens at Keycairn."""

    meanwhile: Change | None = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        happening, self.meanwhile = self.meanwhile, None
        if happening is not None:
            await happening()
        return await super()._handle(request)


class InterruptedAzure(Interrupted, AzureServer):
    """The same, in front of Azure's API."""


class Stage:
    """Providers with a credential and a model each, and a client."""

    def __init__(self, house: GatewayHouse, client: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        self.house, self.client, self._stack = house, client, stack

    async def provider(
        self, provider: str, model: str, type: Modality = Modality.LANGUAGE, *, key: str = KEY, priority: int = 0
    ) -> tuple[Interrupted, Credential, Model]:
        server = InterruptedAzure(key=key) if provider == "azure" else Interrupted(key=key)
        server.models[model] = server.models.get(model, "language")
        await self._stack.enter_async_context(server)
        place = "endpoint" if provider == "azure" else "base_url"
        credential = await self.house.credential(provider, KEY, **{place: server.url})
        return server, credential, await self.house.model(credential, model, type, priority)

    async def chat(self, model: str, **members: object) -> httpx.Response:
        body = {"model": model, "messages": MESSAGES, **members}
        return await self.client.post("/v1/chat/completions", json=body)

    async def move(self, credential: Credential, server: OpenAIServer) -> None:
        patch = CredentialPatch(settings={"base_url": server.url}, secrets={"api_key": Secret(KEY)})
        await self.house.keycairn.credentials.update(credential.id, patch)

    async def slot(self, model: Model) -> None:
        await self.house.keycairn.models.set_defaults({Slot.CHAT: model.id})


@pytest.fixture
async def stage(house: GatewayHouse) -> AsyncIterator[Stage]:
    headers = {"authorization": f"Bearer {house.token}"}
    async with AsyncExitStack() as stack, httpx.AsyncClient(base_url=house.url, headers=headers) as client:
        yield Stage(house, client, stack)


def named(server: OpenAIServer) -> list[str]:
    """The models a provider was asked for."""
    return [json.loads(request.body)["model"] for request in server.requests if request.method == "POST"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slot_that_changes_between_two_attempts_is_the_next_calls(stage: Stage, stream: bool) -> None:  # noqa: FBT001
    openai, first, gpt = await stage.provider("openai", "gpt-4o", key=WRONG)
    groq, _, llama = await stage.provider("groq", "llama-3.3-70b")
    await stage.slot(gpt)
    openai.meanwhile = lambda: stage.slot(llama)

    during = await stage.chat("default:chat", stream=stream)
    after = await stage.chat("default:chat", stream=stream)

    assert (during.status_code, during.headers["x-keycairn-credential"]) == (502, first.id)
    assert after.status_code == 200
    assert (named(openai), named(groq)) == (["gpt-4o"], ["llama-3.3-70b"])
    booked = {key.model: usage.requests for key, usage in (await stage.house.usage()).items()}
    assert booked == {gpt.id: 1, llama.id: 1}


async def test_a_name_that_another_provider_takes_over_is_the_next_calls(stage: Stage) -> None:
    openai, _, gpt = await stage.provider("openai", "gpt-4o", key=WRONG)
    azure, _, _ = await stage.provider("azure", "gpt-4o")
    openai.meanwhile = lambda: stage.house.keycairn.models.delete(gpt.id)

    during = await stage.chat("gpt-4o")
    after = await stage.chat("gpt-4o")

    assert (during.status_code, after.status_code) == (502, 200)
    assert [request.target for request in azure.requests] == [
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    ]


async def test_a_form_goes_to_what_its_call_resolved_to(stage: Stage) -> None:
    openai, _, whisper = await stage.provider("openai", "whisper-1", Modality.SPEECH_TO_TEXT, key=WRONG)
    azure, _, _ = await stage.provider("azure", "whisper-1", Modality.SPEECH_TO_TEXT)
    openai.meanwhile = lambda: stage.house.keycairn.models.delete(whisper.id)

    files = {"file": ("a.wav", silent_wav(), "audio/wav")}
    answer = await stage.client.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=files)

    assert answer.status_code == 502
    assert not azure.requests


async def test_a_key_that_is_rotated_while_it_is_refused_is_tried_with_the_same_model(stage: Stage) -> None:
    openai, credential, gpt = await stage.provider("openai", "gpt-4o", key="sk-new")
    groq, _, llama = await stage.provider("groq", "llama-3.3-70b")
    await stage.slot(gpt)

    async def rotate() -> None:
        await stage.house.rotate(credential, "sk-new")
        await stage.slot(llama)

    openai.meanwhile = rotate
    answer = await stage.chat("default:chat")

    assert (answer.status_code, answer.headers["x-keycairn-attempts"]) == (200, "2")
    assert (named(openai), named(groq)) == (["gpt-4o", "gpt-4o"], [])


async def test_an_account_that_is_deleted_meanwhile_is_not_asked(stage: Stage) -> None:
    first, _, _ = await stage.provider("openai", "gpt-4o")
    second, gone, model = await stage.provider("openai", "gpt-4o", priority=1)
    third, _, _ = await stage.provider("openai", "gpt-4o", priority=2)

    async def delete() -> None:
        await stage.house.keycairn.models.delete(model.id)
        await stage.house.keycairn.credentials.delete(gone.id)

    first.meanwhile, first.fault = delete, 503
    answer = await stage.chat("gpt-4o")

    assert (answer.status_code, answer.headers["x-keycairn-attempts"]) == (200, "2")
    assert (len(second.requests), len(third.requests)) == (0, 1)


async def test_an_account_whose_settings_change_meanwhile_is_asked_where_it_is(stage: Stage) -> None:
    first, _, _ = await stage.provider("openai", "gpt-4o")
    second, moved, _ = await stage.provider("openai", "gpt-4o", priority=1)
    elsewhere, _, _ = await stage.provider("openai_compatible", "other")
    elsewhere.models["gpt-4o"] = "language"

    first.meanwhile, first.fault = lambda: stage.move(moved, elsewhere), 503
    answer = await stage.chat("gpt-4o")

    assert (answer.status_code, answer.headers["x-keycairn-credential"]) == (200, moved.id)
    assert (len(second.requests), named(elsewhere)) == (0, ["gpt-4o"])


async def test_a_model_that_is_new_between_two_attempts_waits_for_the_next_call(stage: Stage) -> None:
    first, _, _ = await stage.provider("openai", "gpt-4o", key=WRONG)
    added: list[Interrupted] = []

    async def add() -> None:
        added.append((await stage.provider("openai", "gpt-4o", priority=1))[0])

    first.meanwhile = add
    during, after = await stage.chat("gpt-4o"), await stage.chat("gpt-4o")

    assert (during.status_code, after.status_code) == (502, 200)
    assert len(added[0].requests) == 1


async def test_a_native_call_keeps_its_account_and_its_path(stage: Stage) -> None:
    openai, credential, _ = await stage.provider("openai", "gpt-4o", key="sk-new")
    openai.meanwhile = lambda: stage.house.rotate(credential, "sk-new")

    body = {"model": "gpt-4o", "messages": MESSAGES}
    answer = await stage.client.post(f"/native/{credential.id}/chat/completions", json=body)

    assert (answer.status_code, answer.headers["x-keycairn-attempts"]) == (200, "2")
    assert [request.path for request in openai.requests] == ["/v1/chat/completions"] * 2


@pytest.mark.parametrize("query", ["model=gpt-4o", "a=1&%6Dodel=openai%2Fgpt-4o&b=2", "model=openai/gpt-4o"])
async def test_the_query_names_the_model_as_the_body_does(stage: Stage, query: str) -> None:
    openai, _, _ = await stage.provider("openai", "gpt-4o")

    body = {"model": "openai/gpt-4o", "messages": MESSAGES}
    answer = await stage.client.post(f"/v1/chat/completions?{query}", json=body)

    if query == "model=gpt-4o":  # whose model it is, is what the body's name decides
        assert (answer.status_code, openai.requests) == (400, [])
        return
    assert answer.status_code == 200
    assert openai.requests[0].query["model"] == "gpt-4o"
    assert named(openai) == ["gpt-4o"]
