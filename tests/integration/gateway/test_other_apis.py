"""Anthropic's SDK, native calls, and providers whose OpenAI-compatible API lies elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam
from tests.gateway_house import GatewayHouse
from tests.servers.anthropic_api import AnthropicServer
from tests.servers.azure_api import AzureServer
from tests.servers.vertex_api import PLACE, VertexServer, service_account

from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.errors import NotFoundError
from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.options import Options
from keycairn.domain.secret import Secret
from keycairn.plugins.payloads import silent_wav
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY, Answer, LocalServer, Recorded, as_json

GREETING: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def account(house: GatewayHouse, anthropic_server: AnthropicServer) -> Credential:
    credential = await house.credential("anthropic", KEY, base_url=anthropic_server.url)
    await house.model(credential, "claude-sonnet-5")
    return credential


@pytest.fixture
async def claude(house: GatewayHouse, account: Credential) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(api_key=house.token, base_url=house.url + "/anthropic", max_retries=0) as client:
        yield client


async def ask(client: AsyncAnthropic, model: str = "claude-sonnet-5") -> anthropic.types.Message:
    return await client.messages.create(model=model, max_tokens=9, messages=GREETING)  # type: ignore[arg-type]  # a plain dict


async def test_a_message(claude: AsyncAnthropic, anthropic_server: AnthropicServer) -> None:
    answer = await ask(claude, "anthropic/claude-sonnet-5")

    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Hello!"
    assert anthropic_server.requests[-1].headers["x-api-key"] == KEY
    assert "authorization" not in anthropic_server.requests[-1].headers


async def test_a_stream_of_a_message_is_counted(
    house: GatewayHouse, claude: AsyncAnthropic, account: Credential
) -> None:
    stream = claude.messages.stream(model="claude-sonnet-5", max_tokens=9, messages=GREETING)  # type: ignore[arg-type]  # a plain dict
    async with stream as events:
        assert "".join([text async for text in events.text_stream]) == "Hello!"

    (sums,) = (await house.usage()).values()
    assert (sums.requests, sums.failed, sums.input_tokens, sums.output_tokens) == (1, 0, 8, 2)


async def test_errors_are_in_anthropics_form(claude: AsyncAnthropic, anthropic_server: AnthropicServer) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        await ask(claude, "no-such")
    anthropic_server.fault = 400
    with pytest.raises(anthropic.BadRequestError) as refused:
        await ask(claude)

    assert unknown.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]  # the SDK says object
    assert unknown.value.response.headers["x-keycairn-error"] == "model_not_found"
    assert KEY not in refused.value.response.text


@pytest.mark.parametrize("path", ["/messages", "/messages/count_tokens"])
async def test_a_model_whose_provider_does_not_speak_anthropics_api_is_said_to_be_that(
    house: GatewayHouse, openai_server: OpenAIServer, path: str
) -> None:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    model = await house.model(credential, "gpt-4o")
    await house.keycairn.models.set_defaults({Slot.CHAT: model.id})
    await house.keycairn.credentials.update(credential.id, CredentialPatch(options=Options(any_model=True)))
    async with httpx.AsyncClient(base_url=house.url, headers={"x-api-key": house.token}) as client:

        async def refusal(name: str) -> tuple[int, str, str]:
            answer = await client.post(f"/anthropic/v1{path}", json={"model": name, "max_tokens": 9, "messages": []})
            return answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["message"]

        for name in ("gpt-4o", "openai/gpt-4o", model.id, "default:chat", "openai/gpt-not-registered"):
            status, code, message = await refusal(name)
            assert (status, code) == (404, "not_found"), name
            assert "does not speak Anthropic's API" in message
        assert (await refusal("nobody-has-it"))[:2] == (404, "model_not_found")
    assert not openai_server.requests


async def test_anthropics_list_of_models(claude: AsyncAnthropic) -> None:
    assert [model.id async for model in claude.models.list()] == ["claude-sonnet-5"]
    assert (await claude.models.retrieve("claude-sonnet-5")).display_name == "claude-sonnet-5"
    with pytest.raises(anthropic.NotFoundError):
        await claude.models.retrieve("no-such")


class CountingServer(AnthropicServer):
    """Anthropic's count of tokens too, and a tool that is used. Source: docs.anthropic.com/en/api."""

    def answer(self, recorded: Recorded) -> Answer:
        if recorded.path == "/v1/messages/count_tokens":
            return as_json({"input_tokens": len(recorded.json()["messages"])})
        if recorded.path == "/v1/messages" and recorded.json().get("tools"):
            use = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {"zone": "UTC"}}
            head = {"id": "msg_1", "type": "message", "role": "assistant", "model": recorded.json()["model"]}
            usage = {"input_tokens": 8, "output_tokens": 2}
            return as_json({**head, "content": [use], "stop_reason": "tool_use", "stop_sequence": None, "usage": usage})
        return super().answer(recorded)


@pytest.fixture
async def counting(house: GatewayHouse) -> AsyncIterator[CountingServer]:
    async with CountingServer() as server:
        credential = await house.credential("anthropic", KEY, base_url=server.url)
        await house.model(credential, "claude-haiku-4-5")
        yield server


async def test_anthropics_count_of_tokens(house: GatewayHouse, counting: CountingServer) -> None:
    async with AsyncAnthropic(api_key=house.token, base_url=house.url + "/anthropic", max_retries=0) as client:
        counted = await client.messages.count_tokens(model="anthropic/claude-haiku-4-5", messages=GREETING)  # type: ignore[arg-type]  # a plain dict

    assert counted.input_tokens == 1
    assert counting.requests[-1].json()["model"] == "claude-haiku-4-5"


async def test_anthropics_sync_client(house: GatewayHouse, counting: CountingServer) -> None:
    tool: Any = {"name": "now", "input_schema": {"type": "object", "properties": {}}}

    def ask() -> tuple[str, str, Any]:
        options: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": GREETING}
        with Anthropic(auth_token=house.token, base_url=house.url + "/anthropic", max_retries=0) as client:
            whole = client.messages.create(**options)
            with client.messages.stream(**options) as stream:
                streamed = "".join(stream.text_stream)
            used = client.messages.create(**options, tools=[tool])
        return whole.content[0].text, streamed, used.content[0].input

    assert await asyncio.to_thread(ask) == ("Hello!", "Hello!", {"zone": "UTC"})


async def test_a_timeout_of_anthropics_client(house: GatewayHouse, counting: CountingServer) -> None:
    counting.faults = ["slow"]
    async with AsyncAnthropic(
        api_key=house.token, base_url=house.url + "/anthropic", max_retries=0, timeout=0.2
    ) as client:
        with pytest.raises(anthropic.APITimeoutError):
            await ask(client, "claude-haiku-4-5")


async def test_a_default_slot(house: GatewayHouse, openai_server: OpenAIServer) -> None:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    model = await house.model(credential, "gpt-4o")
    await house.keycairn.models.set_defaults({Slot.CHAT: model.id})

    async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
        for name in ("default:chat", model.id):
            answer = await client.chat.completions.create(model=name, messages=GREETING)
            assert answer.model == "gpt-4o"


async def test_azure_gets_its_deployment_and_version(house: GatewayHouse) -> None:
    async with AzureServer() as server:
        credential = await house.credential("azure", KEY, endpoint=server.url)
        await house.model(credential, "gpt-4o")
        async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            answer = await client.chat.completions.create(model="azure/gpt-4o", messages=GREETING)

        assert answer.choices[0].message.content == "Hello!"
        assert server.requests[-1].target == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"


async def test_azure_gets_its_deployment_for_embeddings_and_forms(house: GatewayHouse) -> None:
    async with AzureServer() as server:
        credential = await house.credential("azure", KEY, endpoint=server.url, api_version="2025-04-01-preview")
        await house.model(credential, "text-embedding-3-small", Modality.EMBEDDING)
        await house.model(credential, "whisper-1", Modality.SPEECH_TO_TEXT)
        async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            vectors = await client.embeddings.create(model="azure/text-embedding-3-small", input="a")
            heard = await client.audio.transcriptions.create(
                model="azure/whisper-1", file=("a.wav", silent_wav(), "audio/wav")
            )

        assert (len(vectors.data), heard.text) == (1, "you")
        assert [request.target for request in server.requests] == [
            "/openai/deployments/text-embedding-3-small/embeddings?api-version=2025-04-01-preview",
            "/openai/deployments/whisper-1/audio/transcriptions?api-version=2025-04-01-preview",
        ]


class GoogleCompatible(LocalServer):
    """Google's OpenAI-compatible chat. Source: ai.google.dev/gemini-api/docs/openai."""

    def answer(self, recorded: Recorded) -> Answer:
        if recorded.path != "/v1beta/openai/chat/completions" or recorded.json()["model"] != "gemini-2.5-flash":
            return as_json(self.error(404), 404)
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "gemini-2.5-flash", "choices": [choice]}
        return as_json(body)

    def refusal(self) -> tuple[object, int]:
        """A wrong key is a bad request here, and the error comes in a list."""
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return [{"error": {"code": 400, "message": "API key not valid.", "details": [reason]}}], 400

    def error(self, status: int) -> object:
        return [{"error": {"code": status, "message": "There is no such model."}}]


async def test_a_key_google_refuses_is_passed_by_though_it_answers_400(house: GatewayHouse) -> None:
    async with GoogleCompatible(key="sk-changed-at-the-provider") as first, GoogleCompatible() as second:
        accounts = [await house.credential("google", KEY, base_url=server.url) for server in (first, second)]
        for priority, account in enumerate(accounts):
            await house.model(account, "gemini-2.5-flash", priority=priority)
        async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            for attempts in ("2", "1"):
                raw = await client.chat.completions.with_raw_response.create(
                    model="gemini-2.5-flash", messages=GREETING
                )
                assert raw.headers["x-keycairn-attempts"] == attempts
                assert raw.headers["x-keycairn-credential"] == accounts[1].id
            second.key = first.key
            with pytest.raises(openai.InternalServerError) as refused:
                await client.chat.completions.create(model="gemini-2.5-flash", messages=GREETING)

    assert (refused.value.status_code, refused.value.code) == (502, "provider_invalid_auth")


async def test_an_error_of_googles_that_is_not_about_the_key_is_the_callers(house: GatewayHouse) -> None:
    async with GoogleCompatible() as server:
        await house.model(await house.credential("google", KEY, base_url=server.url), "gemini-3")
        async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            with pytest.raises(openai.NotFoundError, match="There is no such model"):
                await client.chat.completions.create(model="gemini-3", messages=GREETING)


async def test_googles_openai_compatible_api(house: GatewayHouse) -> None:
    async with GoogleCompatible() as server:
        credential = await house.credential("google", KEY, base_url=server.url)
        await house.model(credential, "gemini-2.5-flash")
        async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            answer = await client.chat.completions.create(model="gemini-2.5-flash", messages=GREETING)

    assert answer.choices[0].message.content == "Hello!"


class VertexCompatible(VertexServer):
    """The chat of its OpenAI-compatible API. Source: cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai."""

    def answer(self, recorded: Recorded) -> Answer:
        if recorded.path != PLACE + "/endpoints/openapi/chat/completions":
            return super().answer(recorded)
        model = recorded.json()["model"]
        if model != "google/gemini-2.5-flash":
            return as_json(self.error(404), 404)
        if recorded.json()["messages"] == [{"role": "user", "content": "echo"}]:
            return as_json(self.error(400), 400)
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}
        return as_json({"id": "1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]})


async def test_vertexs_openai_compatible_api(house: GatewayHouse) -> None:
    echo: Any = [{"role": "user", "content": "echo"}]
    async with VertexCompatible(key="ya29.minted-for-an-hour") as server:
        settings = {"project": "my-project", "location": "us-central1"}
        settings |= {"base_url": server.url, "token_url": server.url + "/token"}
        listed = await house.keycairn.credentials.create(
            "vertex", name="vertex", settings=settings, secrets={"service_account": Secret(service_account())}
        )
        await house.model(listed.credential, "gemini-2.5-flash")
        async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            answer = await client.chat.completions.create(model="vertex/gemini-2.5-flash", messages=GREETING)
            with pytest.raises(openai.BadRequestError) as refused:
                await client.chat.completions.create(model="gemini-2.5-flash", messages=echo)

    assert answer.choices[0].message.content == "Hello!"
    assert [request.path for request in server.requests].count("/token") == 1
    assert "ya29" not in refused.value.response.text


async def native(house: GatewayHouse, path: str, token: str | None = None, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(headers={"x-api-key": token or house.token, "cookie": "a=b"}) as client:
        return await client.request(method, f"{house.url}/native/{path}")


async def test_a_native_call_reaches_what_the_plugin_declares(
    house: GatewayHouse, account: Credential, anthropic_server: AnthropicServer
) -> None:
    answer = await native(house, f"{account.id}/models?limit=2")

    assert [model["id"] for model in answer.json()["data"]] == list(anthropic_server.models[:2])
    assert answer.headers["x-keycairn-credential"] == account.id
    seen = anthropic_server.requests[-1]
    assert seen.headers["x-api-key"] == KEY
    assert "cookie" not in seen.headers


@pytest.mark.parametrize(
    "path",
    [
        "organizations/keys",
        "models/../organizations",
        "models/%2e%2e/organizations",
        "models%2f..%2forganizations",
        "/models",
        "modelsx",
        "",
    ],
)
async def test_a_native_call_reaches_nothing_else(
    house: GatewayHouse, account: Credential, anthropic_server: AnthropicServer, path: str
) -> None:
    request = httpx.Request("GET", house.url, headers={"x-api-key": house.token})
    request.url = request.url.copy_with(raw_path=f"/native/{account.id}/{path}".encode())
    async with httpx.AsyncClient() as client:
        answer = await client.send(request)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == NotFoundError.code
    assert not anthropic_server.requests


async def test_a_native_call_of_an_unknown_credential(house: GatewayHouse, account: Credential) -> None:
    answer = await native(house, "credential:nobody/models")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "credential_not_found")
