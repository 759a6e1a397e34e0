"""What the gateway passes on to providers whose own API is not OpenAI's: calls of models, with the account's key."""

import httpx
import pytest
from anthropic import AsyncAnthropic
from msgspec.structs import replace
from openai import AsyncOpenAI
from tests.gateway_house import GatewayHouse
from tests.servers.anthropic_api import AnthropicServer
from tests.servers.cohere_api import CohereServer
from tests.servers.gemini_api import GeminiServer
from tests.servers.kin_api import VoyageServer
from tests.servers.speech_api import DeepgramServer, ElevenLabsServer
from tests.servers.vertex_api import PLACE, VertexServer, service_account

from keycairn.app.gateway.routes import below_base, check_native, check_plain
from keycairn.domain.errors import NoRouteError
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry
from keycairn.testing import KEY, LocalServer
from keycairn.testing.openai_server import SOUND, OpenAIServer

REGISTRY = PluginRegistry(external=False)


BUILT_IN = {provider.spec.name: provider.spec for provider in REGISTRY.all()}
STORED = (
    "files",
    "uploads",
    "batches",
    "fine_tuning/jobs",
    "vector_stores",
    "assistants",
    "threads",
    "conversations",
    "containers",
    "evals",
    "chat/completions",
    "responses",
    "messages/batches",
    "organization/admin_api_keys",
    "organizations/keys",
    "tunedModels",
    "cachedContents",
    "v1/datasets",
    "v1/connectors",
    "v1/embed-jobs",
    "projects/p/keys",
    "user",
    "workspace/invites",
    "voices/add",
    "history",
    "speech-to-text/transcripts",
    "deployments",
    "endpoints/1:predict",
    "customJobs",
    "api/pull",
    "api/push",
    "api/create",
    "key",
    "keys",
    "credits",
    "balance",
)
"""Where providers keep what others of the account stored, and the account itself."""


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_what_others_of_an_account_stored_is_closed(name: str) -> None:
    spec = BUILT_IN[name]
    assert not spec.native_paths, "a path alone does not say which method"
    calls = {"chat/completions", "responses", "v1/chat/completions", "v1/responses"}
    for path in STORED:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            for full in (path, f"{path}/some-id", f"{path}/some-id/cancel", f"v1/{path}", f"v1/{path}/some-id"):
                if method != "POST" or full not in calls:
                    with pytest.raises(NoRouteError):
                        check_native(spec, method, f"/{full}")


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_nothing_of_a_provider_is_removed_or_replaced_through_an_account(name: str) -> None:
    for operation in BUILT_IN[name].native_operations:
        method, path = operation.split(" ")
        assert method in {"GET", "POST", "WEBSOCKET"}
        for other in ("DELETE", "PUT", "PATCH"):
            with pytest.raises(NoRouteError):
                check_native(BUILT_IN[name], other, "/" + path.replace("*", "x"))


@pytest.mark.parametrize(
    ("name", "passed", "refused"),
    [
        (
            "openai",
            ("POST chat/completions", "POST responses", "GET models", "GET models/ft:gpt-4o:org::x", "HEAD models"),
            (
                "DELETE models/ft:gpt-4o:org::x",
                "GET responses/resp_1",
                "DELETE chat/completions/chatcmpl-1",
                "POST responses/resp_1/cancel",
                "GET responses/resp_1/input_items",
                "POST chat/completions/chatcmpl-1",
            ),
        ),
        ("openrouter", ("GET models/openai/gpt-4o/endpoints",), ("GET key", "POST keys", "GET generation")),
        (
            "anthropic",
            ("POST messages", "POST messages/count_tokens"),
            ("POST messages/batches", "GET messages/batches"),
        ),
        ("cohere", ("POST v2/chat", "POST v2/rerank", "GET v1/models/command-r7b"), ("GET v1/datasets", "GET v1")),
        ("elevenlabs", ("POST text-to-speech/v/stream", "GET models"), ("GET text-to-speech/v", "POST text-to-speech")),
        ("deepgram", ("POST listen", "POST speak", "GET models/nova-3"), ("GET projects", "GET projects/p/keys")),
        ("voyage", ("POST embeddings", "POST rerank"), ("GET files", "POST batches")),
        (
            "google",
            ("POST models/gemini-2.5-flash:generateContent", "POST models/x%3AcountTokens", "GET models/x"),
            ("POST models/x:batchGenerateContent", "POST models/x", "PATCH models/x", "GET models/x/operations/y"),
        ),
        (
            "vertex",
            (
                "POST publishers/google/models/gemini-2.5-flash:generateContent",
                "POST endpoints/openapi/chat/completions",
            ),
            ("POST endpoints/1:predict", "GET models", "DELETE publishers/google/models/x", "GET endpoints/openapi"),
        ),
        (
            "azure",
            ("POST deployments/d/chat/completions",),
            ("DELETE deployments/d", "PUT deployments/d", "GET deployments"),
        ),
        ("ollama", ("POST api/chat", "POST v1/embeddings"), ("DELETE api/delete", "POST api/pull", "POST api/blobs/x")),
    ],
)
def test_calls_of_models_pass_and_calls_about_the_account_do_not(
    name: str, passed: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    for call in passed:
        method, path = call.split(" ")
        check_native(BUILT_IN[name], method, f"/{path}")
    for call in refused:
        method, path = call.split(" ")
        with pytest.raises(NoRouteError):
            check_native(BUILT_IN[name], method, f"/{path}")


def test_a_path_without_a_method_is_for_calls_and_changes_nothing() -> None:
    spec = replace(BUILT_IN["openai"], native_operations=(), native_paths=("write",))
    check_native(spec, "POST", "/write")
    check_native(spec, "POST", "/write/fast")
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        with pytest.raises(NoRouteError):
            check_native(spec, method, "/write")


@pytest.mark.parametrize(
    "path",
    [
        "models/..",
        "models/%2e%2e/files",
        "models/%252e%252e/files",
        "models/%2E",
        "models//x",
        "/models",
        "models/",
        "models/x%00",
        "models/%c0%ae",
        "models/x%2fy",
        "models/x%5cy",
        "models/x\\y",
        "models/x%0d%0a",
        "models/x%3Fa",
        "models/x%23a",
        "models/x;a",
        "models/x%3ba",
        "models/%e4%b8%ad",
        "models/x%",
        "models/x%zz",
        "models/x%7f",
        "a b",
    ],
)
def test_a_path_that_another_parser_may_read_otherwise_is_no_path(path: str) -> None:
    with pytest.raises(NoRouteError):
        check_plain(path)


@pytest.mark.parametrize(
    "path", ["models/ft:gpt-4o:org::x", "models/a%20b", "models/x@y", "models/x%3Ay", "a/b-c_d~e.f"]
)
def test_a_plain_path_is_one(path: str) -> None:
    check_plain(path)


@pytest.mark.parametrize(
    "call",
    [
        "DELETE models/ft:x",
        "GET chat/completions",
        "GET responses/r",
        "DELETE responses/r",
        "POST batches",
        "GET files",
        "PUT models/x",
        "PATCH chat/completions/x",
        "GET models/%2e%2e/files",
        "GET models/x%00",
    ],
)
async def test_nothing_is_sent_for_a_call_that_is_not_declared(
    house: GatewayHouse, openai_server: OpenAIServer, call: str
) -> None:
    account = await house.credential("openai", KEY, base_url=openai_server.url)
    method, path = call.split()
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {house.token}"}) as client:
        answer = await client.request(method, f"{house.url}/native/{account.id}/{path}")
    assert answer.status_code == 404
    assert not openai_server.requests


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


async def test_anthropics_sdk_is_pointed_at_a_credential_as_it_is(
    house: GatewayHouse, anthropic_server: AnthropicServer
) -> None:
    account = await house.credential("anthropic", KEY, base_url=anthropic_server.url)
    async with AsyncAnthropic(
        api_key=house.token, base_url=f"{house.url}/native/{account.id}", max_retries=0
    ) as client:
        answer = await client.messages.create(
            model="claude-sonnet-5", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
        )
    assert answer.usage.output_tokens == 2
    assert anthropic_server.requests[-1].path == "/v1/messages"


@pytest.mark.parametrize("version", ["", "v1beta/"])
async def test_geminis_version_may_stand_first_or_be_left_out(house: GatewayHouse, version: str) -> None:
    async with GeminiServer() as server:
        account = await house.credential("google", KEY, base_url=server.url)
        async with httpx.AsyncClient(headers={"x-goog-api-key": house.token}) as client:
            url = f"{house.url}/native/{account.id}/{version}models/gemini-2.5-flash:generateContent"
            answer = await client.post(url, json={"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]})
    assert answer.status_code == 200
    assert server.requests[-1].path == "/v1beta/models/gemini-2.5-flash:generateContent"


@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
@pytest.mark.parametrize("version", ["", "v1/"])
async def test_deepgrams_sdk_puts_its_version_and_its_key_where_it_always_does(
    house: GatewayHouse, scheme: str, version: str
) -> None:
    async with DeepgramServer() as server:
        account = await house.credential("deepgram", KEY, base_url=server.url)
        async with httpx.AsyncClient(headers={"authorization": f"{scheme} {house.token}"}) as client:
            url = f"{house.url}/native/{account.id}/{version}speak?model=aura-2-thalia-en"
            answer = await client.post(url, json={"text": "Hi"})
    assert answer.content == SOUND


@pytest.mark.parametrize(
    ("base", "path", "left"),
    [
        ("/v1", "/v1/messages", ("/messages", "")),
        ("/v1", "/messages", ("/messages", "")),
        ("/v1", "/v1beta/messages", ("/messages", "v1beta")),
        ("/v1beta", "/v1/models/m:generateContent", ("/models/m:generateContent", "v1")),
        ("/v1beta", "/v1alpha/models", ("/models", "v1alpha")),
        ("/v1", "/v1p1beta1/models", ("/models", "v1p1beta1")),
        ("/v1", "/v1", ("/v1", "")),
        ("/v1", "/v2", ("/v2", "")),
        ("/v1/", "/v1/v1/messages", ("/v1/messages", "")),
        ("/v1", "/video/generations", ("/video/generations", "")),
        ("/v1", "/v1x/messages", ("/v1x/messages", "")),
        ("/openai/v1", "/openai/v1/chat/completions", ("/chat/completions", "")),
        ("/openai/v1", "/v1/chat/completions", ("/chat/completions", "")),
        ("/openai/v1", "/openai/chat/completions", ("/openai/chat/completions", "")),
        ("/proxy/anthropic/v1", "/v1/messages", ("/messages", "")),
        ("", "/v1/chat/completions", ("/v1/chat/completions", "")),
        ("/", "/api/chat", ("/api/chat", "")),
        ("/api", "/v1/chat", ("/v1/chat", "")),
    ],
)
def test_what_the_base_url_ends_with_is_not_said_twice(base: str, path: str, left: tuple[str, str]) -> None:
    assert below_base(path, base) == left


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
