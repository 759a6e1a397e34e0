"""Anthropic's SDK, native calls, and providers whose OpenAI-compatible API lies elsewhere."""

from collections.abc import AsyncIterator

import anthropic
import httpx
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from tests.gateway_house import GatewayHouse
from tests.servers.anthropic_api import AnthropicServer
from tests.servers.azure_api import AzureServer
from tests.servers.base import KEY, Answer, LocalServer, Recorded, as_json
from tests.servers.openai_api import OpenAIServer

from keycairn.domain.credential import Credential
from keycairn.domain.errors import NotFoundError
from keycairn.domain.model import Slot

GREETING = [{"role": "user", "content": "Hello"}]


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


async def test_anthropics_list_of_models(claude: AsyncAnthropic) -> None:
    assert [model.id async for model in claude.models.list()] == ["claude-sonnet-5"]


async def test_a_default_slot(house: GatewayHouse, openai_server: OpenAIServer) -> None:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    model = await house.model(credential, "gpt-4o")
    await house.keycairn.models.set_defaults({Slot.CHAT: model.id})

    async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
        for name in ("default:chat", model.id):
            answer = await client.chat.completions.create(model=name, messages=GREETING)  # type: ignore[arg-type]  # a plain dict
            assert answer.model == "gpt-4o"


async def test_azure_gets_its_deployment_and_version(house: GatewayHouse) -> None:
    async with AzureServer() as server:
        credential = await house.credential("azure", KEY, endpoint=server.url)
        await house.model(credential, "gpt-4o")
        async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            answer = await client.chat.completions.create(model="azure/gpt-4o", messages=GREETING)  # type: ignore[arg-type]  # a plain dict

        assert answer.choices[0].message.content == "Hello!"
        assert server.requests[-1].target == "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"


class GoogleCompatible(LocalServer):
    """Google's OpenAI-compatible chat."""

    def answer(self, recorded: Recorded) -> Answer:
        if recorded.path != "/v1beta/openai/chat/completions":
            return as_json(self.error(404), 404)
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "gemini-2.5-flash", "choices": [choice]}
        return as_json(body)

    def error(self, status: int) -> object:
        return {"error": {"code": status, "message": "no"}}


async def test_googles_openai_compatible_api(house: GatewayHouse) -> None:
    async with GoogleCompatible() as server:
        credential = await house.credential("google", KEY, base_url=server.url)
        await house.model(credential, "gemini-2.5-flash")
        async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            answer = await client.chat.completions.create(model="gemini-2.5-flash", messages=GREETING)  # type: ignore[arg-type]  # a plain dict

    assert answer.choices[0].message.content == "Hello!"


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
