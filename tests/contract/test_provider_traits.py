"""What is peculiar to single providers."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.contract.provider_cases import PROVIDERS, E, L, S, T, opened
from tests.servers.anthropic_api import AnthropicServer
from tests.servers.azure_api import AzureServer
from tests.servers.gemini_api import GeminiServer
from tests.servers.ollama_api import OllamaServer

from keycairn.adapters.guarded_http import GuardedHttp, MemoryTokenCache
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.environment import read_account
from keycairn.domain.errors import (
    CallRefusedError,
    InvalidAuthError,
    InvalidInputError,
    MissingFieldError,
    ModelGoneError,
    ProviderDownError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
)
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import Outcome, Provenance
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import raise_for_failure
from keycairn.plugins.providers.openai import PROVIDER as OPENAI_ITSELF
from keycairn.ports.http import Request, Response
from keycairn.testing.openai_server import EMBEDDING, LANGUAGE, OpenAIServer
from keycairn.testing.recording_http import RecordingHttp
from keycairn.testing.server import KEY

SECRETS = {"api_key": KEY}
OPENAI, ANTHROPIC, GOOGLE = PROVIDERS["openai"], PROVIDERS["anthropic"], PROVIDERS["google"]
OLLAMA, AZURE, COMPATIBLE = PROVIDERS["ollama"], PROVIDERS["azure"], PROVIDERS["openai_compatible"]


@pytest.fixture
async def http() -> AsyncIterator[RecordingHttp]:
    inner = GuardedHttp(EgressPolicy())
    yield RecordingHttp(inner)
    await inner.aclose()


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("openai", "https://api.openai.com/v1"),
        ("anthropic", "https://api.anthropic.com/v1"),
        ("google", "https://generativelanguage.googleapis.com/v1beta"),
        ("ollama", "http://localhost:11434"),
    ],
)
def test_without_a_url_of_its_own_an_account_means_the_public_host(name: str, url: str) -> None:
    assert PROVIDERS[name].base_url(opened(name, {}, {})) == url


@pytest.mark.parametrize("name", ["azure", "openai_compatible"])
def test_a_provider_without_a_host_says_which_field_is_missing(name: str) -> None:
    with pytest.raises(MissingFieldError) as caught:
        PROVIDERS[name].base_url(opened(name, {}, SECRETS))
    assert "base_url" in caught.value.fields


async def test_the_limit_of_tokens_is_asked_for_as_older_servers_know_it(http: RecordingHttp) -> None:
    async with OpenAIServer() as server:
        server.legacy_limits = True
        account = opened("openai", {"base_url": server.url}, SECRETS)
        report = await OPENAI.try_model(account, "gpt-4o", L, http)
        assert report.outcome is Outcome.OK
        assert [min(one.json()) for one in server.requests] == ["max_completion_tokens", "max_tokens"]


async def test_a_compatible_server_may_offer_models_that_refuse_max_tokens(http: RecordingHttp) -> None:
    async with OpenAIServer() as server:
        account = opened("openai_compatible", {"base_url": server.url}, SECRETS)
        assert (await COMPATIBLE.try_model(account, "gpt-5-mini", L, http)).success
        assert len(server.requests) == 2


@pytest.mark.parametrize("body", [b'{"data": null}', b"[]", b'{"data": []}'])
def test_a_server_without_models_lists_none(body: bytes) -> None:
    assert COMPATIBLE.read_list(Response(status=200, body=body)) == ()  # type: ignore[attr-defined]  # the class's own


async def test_an_openai_account_without_a_url_names_no_models() -> None:
    class Canned:
        tokens = MemoryTokenCache()

        async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
            assert request.url == "https://api.openai.com/v1/models"
            return Response(status=200, body=b'{"data": [{"id": "gpt-4o"}]}')

        def vet(self, url: str, *, field: str | None = None) -> None: ...

    report = await OPENAI.check(opened("openai", {}, SECRETS), Canned())
    assert (report.message, report.models) == ("The key works.", ("gpt-4o",))


class TestAnthropic:
    async def test_pages_are_followed(self, http: RecordingHttp) -> None:
        names = tuple(f"claude-{n}" for n in range(5))
        async with AnthropicServer(models=names, page=2) as server:
            found = await ANTHROPIC.discover(opened("anthropic", {"base_url": server.url}, SECRETS), http)
            assert tuple(model.name for model in found.models) == names
            assert [one.target for one in server.requests] == [
                "/v1/models?limit=100",
                "/v1/models?limit=100&after_id=claude-1",
                "/v1/models?limit=100&after_id=claude-3",
            ]

    async def test_at_most_twenty_pages_are_read(self, http: RecordingHttp) -> None:
        async with AnthropicServer(models=tuple(f"claude-{n}" for n in range(30)), page=1) as server:
            found = await ANTHROPIC.discover(opened("anthropic", {"base_url": server.url}, SECRETS), http)
            assert len(server.requests) == len(found.models) == 20

    @pytest.mark.parametrize("fault", [500, 503, 529, "slow"])
    async def test_known_models_stand_in_for_a_list_that_cannot_be_reached(
        self, http: RecordingHttp, fault: int | str
    ) -> None:
        http.patience = 0.1 if fault == "slow" else 5
        async with AnthropicServer() as server:
            server.fault = fault
            found = await ANTHROPIC.discover(opened("anthropic", {"base_url": server.url}, SECRETS), http)
        assert {model.provenance for model in found.models} == {Provenance.FALLBACK}
        assert {model.type for model in found.models} == {L}
        assert "claude-sonnet-5" in {model.name for model in found.models}
        assert found.failure

    @pytest.mark.parametrize("fault", [401, 403, 402, 404, 429, "html"])
    async def test_a_list_that_was_refused_has_no_stand_in(self, http: RecordingHttp, fault: int | str) -> None:
        async with AnthropicServer() as server:
            server.fault = fault
            with pytest.raises(ProviderError):
                await ANTHROPIC.discover(opened("anthropic", {"base_url": server.url}, SECRETS), http)

    async def test_a_failure_on_the_second_page_is_not_half_a_list(self, http: RecordingHttp) -> None:
        async with AnthropicServer(page=1) as server:
            server.faults = [None, 500]
            found = await ANTHROPIC.discover(opened("anthropic", {"base_url": server.url}, SECRETS), http)
        assert {model.provenance for model in found.models} == {Provenance.FALLBACK}

    @pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v1/messages", "/v1/models"])
    def test_the_base_url_ends_in_v1(self, ending: str) -> None:
        account = opened("anthropic", {"base_url": f"http://localhost:9{ending}"}, SECRETS)
        assert ANTHROPIC.base_url(account) == "http://localhost:9/v1"

    @pytest.mark.parametrize("name", ["anthropic", "anthropic_compatible"])
    async def test_a_token_goes_as_a_bearer_s_and_a_key_as_a_key(self, name: str, http: RecordingHttp) -> None:
        provider, settings = PROVIDERS[name], {"base_url": "http://localhost:9"}
        call = Request(url="http://localhost:9/v1/messages", method="POST", headers={"x-api-key": "a client's"})
        token = await provider.authorize(opened(name, settings, {"auth_token": KEY}), call, http)
        assert token.headers["Authorization"] == Secret(f"Bearer {KEY}")
        key = await provider.authorize(opened(name, settings, {"api_key": KEY, "auth_token": "tok-2"}), call, http)
        assert key.headers["x-api-key"] == Secret(KEY)
        assert "Authorization" not in key.headers

    async def test_a_caller_may_ask_for_another_version(self, http: RecordingHttp) -> None:
        account = opened("anthropic", {}, SECRETS)
        asked = Request(url="https://api.anthropic.com/v1/messages", headers={"Anthropic-Version": "2030-01-01"})
        ready = await ANTHROPIC.authorize(account, asked, http)
        plain = await ANTHROPIC.authorize(account, Request(url=asked.url), http)
        assert {n.lower(): v for n, v in ready.headers.items() if n != "x-api-key"} == {
            "anthropic-version": "2030-01-01"
        }
        assert plain.headers["anthropic-version"] == "2023-06-01"


class TestGoogle:
    async def test_pages_are_followed_and_the_key_stays_out_of_the_url(self, http: RecordingHttp) -> None:
        async with GeminiServer(page=2) as server:
            found = await GOOGLE.discover(opened("google", {"base_url": server.url}, SECRETS), http)
            assert len(found.models) == len(server.models)
            assert [one.target for one in server.requests] == [
                "/v1beta/models?pageSize=1000",
                "/v1beta/models?pageSize=1000&pageToken=p2",
                "/v1beta/models?pageSize=1000&pageToken=p4",
            ]

    @pytest.mark.parametrize("variable", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
    def test_either_variable_holds_the_key(self, variable: str) -> None:
        account = read_account(GOOGLE.spec, {variable: Secret(KEY)})
        assert account.configured
        assert account.secrets["api_key"].reveal() == KEY


class TestOllama:
    def test_the_environment_names_the_server(self) -> None:
        assert not read_account(OLLAMA.spec, {}).configured
        assert read_account(OLLAMA.spec, {"OLLAMA_API_BASE": Secret("http://gpu:11434")}).configured

    @pytest.mark.parametrize("ending", ["/api", "/v1/", "/api/tags"])
    def test_a_pasted_path_is_taken_off(self, ending: str) -> None:
        assert OLLAMA.base_url(opened("ollama", {"base_url": f"http://gpu:11434{ending}"}, {})) == "http://gpu:11434"

    def test_the_context_size_goes_to_language_models_only(self) -> None:
        account = opened("ollama", {"num_ctx": 4096}, {})
        assert OLLAMA.client_config(account, L) == {"base_url": "http://localhost:11434", "num_ctx": 4096}
        assert OLLAMA.client_config(account, E) == {"base_url": "http://localhost:11434"}

    async def test_a_key_goes_along_where_a_server_asks_for_one(self, http: RecordingHttp) -> None:
        async with OllamaServer(key=KEY) as server:
            account = opened("ollama", {"base_url": server.url}, SECRETS)
            assert (await OLLAMA.check(account, http)).success
            for type, name in ((L, "llama3.2:latest"), (E, "nomic-embed-text:latest")):
                assert (await OLLAMA.try_model(account, name, type, http)).success
            request = await OLLAMA.authorize(account, Request(url=f"{server.url}/v1/chat/completions"), http)
            [key] = [value for value in request.headers.values() if isinstance(value, Secret)]
            assert key.reveal() == f"Bearer {KEY}"
            with pytest.raises(InvalidAuthError):
                await OLLAMA.check(opened("ollama", {"base_url": server.url}, {}), http)

    async def test_a_server_without_models_is_still_there(self, http: RecordingHttp) -> None:
        async with OllamaServer(models={}) as server:
            report = await OLLAMA.check(opened("ollama", {"base_url": server.url}, {}), http)
        assert (report.success, report.message) == (True, "Connected. The server lists no models.")


class TestAzure:
    def test_base_url_stands_for_the_endpoint_unless_that_is_set(self) -> None:
        settings = {"base_url": "https://b.example/"}
        assert AZURE.base_url(opened("azure", settings, SECRETS)) == "https://b.example/openai"
        both = {**settings, "endpoint": "https://a.example/openai/v1/"}
        assert AZURE.base_url(opened("azure", both, SECRETS)) == "https://a.example/openai"

    @pytest.mark.parametrize(("type", "suffix"), [(L, "llm"), (E, "embedding"), (S, "stt"), (T, "tts")])
    def test_each_kind_of_work_may_have_its_endpoint(self, type: Modality, suffix: str) -> None:
        account = opened("azure", {"endpoint": "https://a.example", f"endpoint_{suffix}": "https://c.example"}, SECRETS)
        assert AZURE.base_url(account, type) == "https://c.example/openai"
        assert AZURE.base_url(account) == "https://a.example/openai"

    async def test_the_version_is_the_accounts(self, http: RecordingHttp) -> None:
        async with AzureServer() as server:
            account = opened("azure", {"endpoint": server.url, "api_version": "2025-01-01-preview"}, SECRETS)
            await AZURE.check(account, http)
            assert server.requests[0].query == {"api-version": "2025-01-01-preview"}

    def test_the_environment_needs_all_three(self) -> None:
        names = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_VERSION")
        whole = {name: Secret("https://a.example") for name in names}
        assert read_account(AZURE.spec, whole).configured
        for name in names:
            assert not read_account(AZURE.spec, {n: v for n, v in whole.items() if n != name}).configured

    @pytest.mark.parametrize(
        ("target", "ready"),
        [
            ("/chat/completions", "/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
            ("/chat/completions?api-version=x", "/deployments/my%20gpt/chat/completions?api-version=x"),
            ("/deployments/d/embeddings?a=1", "/deployments/d/embeddings?a=1&api-version=2024-10-21"),
            ("/models", "/models?api-version=2024-10-21"),
        ],
    )
    async def test_a_plain_openai_call_finds_its_deployment(self, target: str, ready: str, http: RecordingHttp) -> None:
        account = opened("azure", {"endpoint": "https://a.example"}, SECRETS)
        url = AZURE.base_url(account)
        request = Request(method="POST", url=url + target, model="my gpt")
        assert (await AZURE.authorize(account, request, http)).url == url + ready

    async def test_a_form_names_its_deployment_too(self, http: RecordingHttp) -> None:
        account = opened("azure", {"endpoint": "https://a.example"}, SECRETS)
        url = f"{AZURE.base_url(account)}/audio/transcriptions"
        ready = await AZURE.authorize(account, Request(method="POST", url=url, model="whisper-1"), http)
        assert "/openai/deployments/whisper-1/audio/transcriptions?" in ready.url

    def test_speech_to_text_takes_its_config_a_level_deeper(self) -> None:
        account = opened("azure", {"endpoint": "https://a.example"}, SECRETS)
        plain = AZURE.client_config(account, T)
        assert plain == {"api_key": KEY, "azure_endpoint": "https://a.example", "api_version": "2024-10-21"}
        assert AZURE.client_config(account, S) == {"config": plain}


class TestOpenAICompatible:
    async def test_a_server_for_each_kind_of_work_gets_its_own_key(self, http: RecordingHttp) -> None:
        async with (
            OpenAIServer(key="sk-general") as general,
            OpenAIServer(key="sk-vectors", models={"mystery": EMBEDDING}) as vectors,
        ):
            settings = {"base_url": general.url, "endpoint_embedding": vectors.url}
            account = opened(
                "openai_compatible", settings, {"api_key": "sk-general", "api_key_embedding": "sk-vectors"}
            )
            found = {model.name: model.type for model in (await COMPATIBLE.discover(account, http)).models}
            assert found["gpt-4o"] is L
            assert found["mystery"] is E
            assert (await COMPATIBLE.try_model(account, "mystery", E, http)).success
            assert (await COMPATIBLE.try_model(account, "gpt-4o", L, http)).success
            assert {one.headers["authorization"] for one in general.requests} == {"Bearer sk-general"}
            assert {one.headers["authorization"] for one in vectors.requests} == {"Bearer sk-vectors"}
            assert COMPATIBLE.client_config(account, E) == {"api_key": "sk-vectors", "base_url": vectors.url}
            assert COMPATIBLE.client_config(account, L) == {"api_key": "sk-general", "base_url": general.url}

    async def test_one_dedicated_server_is_enough(self, http: RecordingHttp) -> None:
        async with OpenAIServer(key="sk-chat", models={"mine": LANGUAGE}) as server:
            account = opened("openai_compatible", {"endpoint_llm": server.url}, {"api_key_llm": "sk-chat"})
            assert (await COMPATIBLE.check(account, http)).models == ("mine",)
            with pytest.raises(MissingFieldError):
                COMPATIBLE.base_url(account, E)

    async def test_it_works_without_a_key(self, http: RecordingHttp) -> None:
        async with OpenAIServer(key=None) as server:
            account = opened("openai_compatible", {"base_url": server.url}, {})
            assert (await COMPATIBLE.check(account, http)).success
            assert "authorization" not in server.requests[0].headers
            assert COMPATIBLE.client_config(account, L) == {"base_url": server.url}

    @pytest.mark.parametrize(
        ("path", "key"),
        [("/chat/completions", "sk-l"), ("/embeddings", "sk-e"), ("/audio/speech", "sk-t"), ("/models", "sk-all")],
    )
    async def test_a_gateways_call_gets_the_key_of_its_path(self, path: str, key: str, http: RecordingHttp) -> None:
        keys = {"api_key": "sk-all", "api_key_llm": "sk-l", "api_key_embedding": "sk-e", "api_key_tts": "sk-t"}
        account = opened("openai_compatible", {"base_url": "http://localhost:1/v1"}, keys)
        ready = await COMPATIBLE.authorize(account, Request(url=f"http://localhost:1/v1{path}"), http)
        assert ready.headers == {"Authorization": Secret(f"Bearer {key}")}

    @pytest.mark.parametrize("suffix", ["", "_LLM", "_EMBEDDING", "_STT", "_TTS"])
    @pytest.mark.parametrize("name", ["BASE_URL", "API_KEY"])
    def test_any_of_its_variables_configures_it(self, name: str, suffix: str) -> None:
        account = read_account(COMPATIBLE.spec, {f"OPENAI_COMPATIBLE_{name}{suffix}": Secret("http://localhost:1")})
        assert account.configured


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"error": {"code": "insufficient_quota"}}, QuotaExhaustedError),
        (429, {"error": {"type": "insufficient_quota", "code": None}}, QuotaExhaustedError),
        (429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, RateLimitedError),
        (400, {"error": {"details": [{"reason": "API_KEY_INVALID"}]}}, InvalidAuthError),
        (
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***1."},
            InvalidAuthError,
        ),
        (400, {"error": {"message": "Your credit balance is too low to access the API."}}, QuotaExhaustedError),
        (403, {"error": {"code": "model_not_found"}}, ModelGoneError),
        (401, {"error": {"code": "insufficient_quota"}}, QuotaExhaustedError),
        (418, "a teapot", CallRefusedError),
        (500, [[[[[[["deep"]]]]]]], ProviderDownError),
    ],
)
def test_codes_decide_where_the_status_does_not(status: int, body: object, kind: type[ProviderError]) -> None:
    with pytest.raises(kind) as caught:
        raise_for_failure(Response(status=status, body=msgspec.json.encode(body)), of_model=True)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT", "date": "Thu, 01 Jan 2026 12:00:00 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT", "date": "Thu, 01 Jan 2026 13:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, None),
    ],
)
def test_patience_is_told_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(RateLimitedError) as caught:
        raise_for_failure(Response(status=429, headers=headers, body=b'{"error": {"message": "Slow down."}}'))
    assert caught.value.retry_after == seconds


class Hub:
    """Answers for Hugging Face's hub."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer
        self.sent: list[Request] = []
        self.tokens = MemoryTokenCache()

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        del deadline
        self.sent.append(request)
        return self.answer

    def vet(self, url: str, *, field: str | None = None) -> None: ...


class TestHuggingFace:
    async def test_a_token_is_proven_at_the_hub_since_the_routers_list_is_public(self) -> None:
        hub = Hub(Response(status=200, body=b'{"type":"user","name":"me"}'))
        report = await PROVIDERS["huggingface"].check(opened("huggingface", {}, SECRETS), hub)
        assert report.success
        assert [request.url for request in hub.sent] == ["https://huggingface.co/api/whoami-v2"]

    @pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"{}", b"", b'{"error":"x"}'])
    async def test_nothing_but_the_hubs_answer_proves_it(self, body: bytes) -> None:
        with pytest.raises(ProviderError):
            await PROVIDERS["huggingface"].check(
                opened("huggingface", {}, SECRETS), Hub(Response(status=200, body=body))
            )

    @pytest.mark.parametrize(
        "name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "HUGGINGFACE_API_KEY"]
    )
    def test_each_name_people_give_the_token_is_read(self, name: str) -> None:
        assert read_account(PROVIDERS["huggingface"].spec, {name: Secret(KEY)}).secrets["api_key"].reveal() == KEY


class TestBedrock:
    @pytest.mark.parametrize(
        ("variables", "configured"),
        [
            ({"AWS_BEARER_TOKEN_BEDROCK": KEY, "AWS_REGION": "us-east-1"}, True),
            ({"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": KEY, "AWS_DEFAULT_REGION": "eu-west-1"}, True),
            ({"AWS_BEARER_TOKEN_BEDROCK": KEY}, False),
            ({"AWS_REGION": "us-east-1"}, False),
        ],
    )
    def test_it_is_configured_by_keys_and_a_region(self, variables: dict[str, str], *, configured: bool) -> None:
        given = {name: Secret(value) for name, value in variables.items()}
        assert read_account(PROVIDERS["bedrock"].spec, given).configured is configured

    @pytest.mark.parametrize(
        ("region", "host"),
        [
            ("us-east-1", "bedrock-runtime.us-east-1.amazonaws.com"),
            ("us-gov-west-1", "bedrock-runtime.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ],
    )
    def test_calls_go_to_the_runtime_of_the_region(self, region: str, host: str) -> None:
        account = opened("bedrock", {"region": region}, SECRETS)
        assert PROVIDERS["bedrock"].base_url(account) == f"https://{host}"

    @pytest.mark.parametrize("region", ["evil.example/", "a.b", "", "us-east-1@x"])
    def test_a_region_leads_to_no_other_host(self, region: str) -> None:
        with pytest.raises(InvalidInputError):
            PROVIDERS["bedrock"].base_url(opened("bedrock", {"region": region}, SECRETS))

    @pytest.mark.parametrize("secrets", [{}, {"access_key_id": "AKIA"}, {"secret_access_key": KEY}])
    async def test_half_an_access_key_sends_nothing(self, http: RecordingHttp, secrets: dict[str, str]) -> None:
        account = opened("bedrock", {"region": "us-east-1"}, secrets)
        with pytest.raises(InvalidAuthError, match="Nothing was sent"):
            await PROVIDERS["bedrock"].check(account, http)


@pytest.mark.parametrize(
    ("item", "length"),
    [
        ({"context_length": 128_000}, 128_000),
        ({"context_window": 32_768}, 32_768),
        ({"max_context_length": 8192}, 8192),
        ({"context_size": 4096}, 4096),
        ({"max_model_len": 2048}, 2048),
        ({"max_input_tokens": 200_000}, 200_000),
        ({"context_length": None, "context_window": 7}, 7),
        ({"context_length": 0}, None),
        ({"context_length": -5}, None),
        ({"context_length": True}, None),
        ({"context_length": "128k"}, None),
        ({}, None),
    ],
)
def test_a_list_tells_how_much_a_model_can_be_given(item: dict[str, object], length: int | None) -> None:
    body = msgspec.json.encode({"data": [{"id": "m", **item}]})
    (model,) = OPENAI_ITSELF.read_list(Response(status=200, body=body))
    assert model.context_length == length
