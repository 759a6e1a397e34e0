"""What the gateway passes on to providers whose own API is not OpenAI's: calls of models, with the account's key."""

import httpx
import pytest
from openai import AsyncOpenAI
from tests.gateway_house import GatewayHouse
from tests.servers.anthropic_api import AnthropicServer
from tests.servers.cohere_api import CohereServer
from tests.servers.gemini_api import GeminiServer
from tests.servers.kin_api import VoyageServer
from tests.servers.speech_api import DeepgramServer, ElevenLabsServer
from tests.servers.vertex_api import PLACE, VertexServer, service_account

from keycairn.app.gateway.errors import NoRouteError
from keycairn.app.gateway.routes import check_native
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry
from keycairn.testing import KEY, LocalServer
from keycairn.testing.openai_server import SOUND

REGISTRY = PluginRegistry(external=False)


@pytest.mark.parametrize(
    ("name", "passed", "refused"),
    [
        ("cohere", ("/v2/chat", "/v2/rerank", "/v1/models/command-r7b"), ("/v1/datasets", "/v1/connectors", "/v1")),
        ("elevenlabs", ("/text-to-speech/voice/stream", "/models"), ("/user", "/workspace/invites", "/voices/add")),
        ("deepgram", ("/listen", "/speak", "/models/nova-3"), ("/projects", "/projects/p/keys")),
        ("voyage", ("/embeddings", "/rerank"), ("/files", "/batches")),
        (
            "vertex",
            ("/publishers/google/models/gemini-2.5-flash:generateContent", "/endpoints/openapi/chat/completions"),
            ("/endpoints/1:predict", "/models", "/customJobs"),
        ),
        ("anthropic_compatible", ("/messages", "/messages/count_tokens", "/models"), ("/organizations/keys",)),
    ],
)
def test_calls_of_models_pass_and_calls_about_the_account_do_not(
    name: str, passed: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    spec = REGISTRY.get(name).spec
    for path in passed:
        check_native(spec, path)
    for path in refused:
        with pytest.raises(NoRouteError):
            check_native(spec, path)


@pytest.mark.parametrize(
    ("name", "server", "call", "key"),
    [
        ("cohere", CohereServer(), "GET v1/models", ("authorization", f"Bearer {KEY}")),
        ("elevenlabs", ElevenLabsServer(), "GET models", ("xi-api-key", KEY)),
        ("deepgram", DeepgramServer(), "GET models", ("authorization", f"Token {KEY}")),
        ("voyage", VoyageServer(), "POST embeddings", ("authorization", f"Bearer {KEY}")),
        ("anthropic_compatible", AnthropicServer(), "GET models", ("x-api-key", KEY)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_native_call_carries_the_key_where_the_provider_wants_it(
    house: GatewayHouse, name: str, server: LocalServer, call: str, key: tuple[str, str]
) -> None:
    method, path = call.split()
    async with server:
        account = await house.credential(name, KEY, base_url=server.url)
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {house.token}"}) as client:
            body = {"model": "voyage-3", "input": "Hi"} if method == "POST" else None
            answer = await client.request(method, f"{house.url}/native/{account.id}/{path}", json=body)
    assert answer.status_code == 200
    assert server.requests[-1].headers[key[0]] == key[1]


async def test_a_native_call_of_vertex_carries_a_bought_token(house: GatewayHouse) -> None:
    async with VertexServer() as server:
        settings = {"project": "my-project", "location": "us-central1", "base_url": server.url}
        listed = await house.keycairn.credentials.create(
            "vertex",
            name="vertex",
            settings={**settings, "token_url": f"{server.url}/token"},
            secrets={"service_account": Secret(service_account())},
        )
        path = "publishers/google/models/gemini-2.5-flash:generateContent"
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {house.token}"}) as client:
            answer = await client.post(f"{house.url}/native/{listed.credential.id}/{path}", json={"contents": []})
    assert answer.status_code == 200
    assert server.requests[-1].target == f"{PLACE}/{path}"
    assert server.requests[-1].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("stream", [False, True])
async def test_geminis_own_form_is_passed_on_and_counted(house: GatewayHouse, *, stream: bool) -> None:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    async with GeminiServer() as server:
        account = await house.credential("google", KEY, base_url=server.url)
        async with httpx.AsyncClient(headers={"x-goog-api-key": house.token}) as client:
            url = f"{house.url}/native/{account.id}/models/gemini-2.5-flash:{method}"
            answer = await client.post(url, json={"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]})
    assert answer.status_code == 200
    assert "Hello!" in answer.text
    assert server.requests[-1].target == f"/v1beta/models/gemini-2.5-flash:{method}"
    assert server.requests[-1].headers["x-goog-api-key"] == KEY
    (used,) = (await house.usage()).values()
    assert (used.input_tokens, used.output_tokens) == (2, 2)


async def test_a_native_sound_arrives_as_it_is(house: GatewayHouse) -> None:
    async with DeepgramServer() as server:
        account = await house.credential("deepgram", KEY, base_url=server.url)
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {house.token}"}) as client:
            url = f"{house.url}/native/{account.id}/speak?model=aura-2-thalia-en"
            answer = await client.post(url, json={"text": "Hi"})
    assert answer.content == SOUND
    assert server.requests[-1].query == {"model": "aura-2-thalia-en"}


async def test_coheres_openai_compatible_api(house: GatewayHouse) -> None:
    async with CohereServer() as server:
        account = await house.credential("cohere", KEY, base_url=server.url)
        await house.model(account, "command-r7b")
        async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            answer = await client.chat.completions.create(
                model="command-r7b", messages=[{"role": "user", "content": "Hi"}]
            )
    assert answer.choices[0].message.content == "Hello!"
    assert server.requests[-1].path == "/compatibility/v1/chat/completions"
