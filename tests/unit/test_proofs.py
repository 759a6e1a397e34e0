"""Tests of keys and discovery prove what they say: only what proves the key is green, and the rest has its kind."""

import base64
import json
import struct
from collections.abc import Callable, Mapping

import pytest

from keycairn.adapters.guarded_http import MemoryTokenCache
from keycairn.domain.errors import GarbledAnswerError, ProviderError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, Outcome, Provenance, outcome_of
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.base import NO_MODEL, dimensions
from keycairn.plugins.providers import keycairn_providers
from keycairn.ports.http import Request, Response

PROVIDERS = {provider.spec.name: provider for provider in keycairn_providers()}
BOUGHT = ("vertex",)
"""Their check buys a token, which is proven elsewhere."""
NAMES = sorted(PROVIDERS.keys() - {*BOUGHT})
PAGE = b"<!doctype html><html><title>Sign in to the guest network</title></html>"
SCOPES = {"error": {"message": "You have insufficient permissions. Missing scopes: api.model.read.", "type": "x"}}
GONE = {"error": {"message": "The model does not exist", "code": "model_not_found"}}
SLOW_DOWN = {"error": {"message": "Slow down."}, "message": "Slow down.", "detail": "Slow down."}


class Canned:
    """An Http that answers what `answer` gives for each request."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self.tokens = MemoryTokenCache()
        self.sent: list[Request] = []
        self._answer = answer

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        self.sent.append(request)
        return self._answer(request)

    def vet(self, url: str, *, field: str | None = None) -> None: ...


def response(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, headers=headers or {}, body=raw)


def always(status: int, body: object) -> Canned:
    return Canned(lambda _: response(status, body))


def account(name: str) -> Account:
    spec = PROVIDERS[name].spec
    place = "endpoint" if spec.field("endpoint") else "base_url"
    settings = {field.name: "here" for field in spec.settings if field.required or field.names_host}
    settings[place] = "https://provider.example"
    secrets = {field.name: Secret("sk-canary-0123456789") for field in spec.secrets}
    return Account(provider=name, settings=spec.effective(settings), secrets=secrets)


async def check(name: str, http: Canned) -> ConnectionReport:
    """As the service does it."""
    try:
        report = await PROVIDERS[name].check(account(name), http)
    except ProviderError as error:
        return ConnectionReport(outcome=outcome_of(error), message=str(error))
    assert isinstance(report, ConnectionReport)
    return report


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (404, PAGE, Outcome.NOT_A_PROVIDER),
        (404, b"404 page not found", Outcome.NOT_FOUND),
        (404, {"detail": "Not Found"}, Outcome.NOT_FOUND),
        (404, b"", Outcome.NOT_FOUND),
        (405, {"detail": "Method Not Allowed"}, Outcome.NOT_FOUND),
        (429, PAGE, Outcome.NOT_A_PROVIDER),
        (429, b"Too Many Requests", Outcome.NOT_A_PROVIDER),
        (429, b"", Outcome.NOT_A_PROVIDER),
        (200, PAGE, Outcome.NOT_A_PROVIDER),
        (200, b"", Outcome.NOT_A_PROVIDER),
        (200, b"OK", Outcome.NOT_A_PROVIDER),
        (200, {"status": "healthy"}, Outcome.NOT_A_PROVIDER),
        (200, {"error": {"code": 401, "message": "No auth credentials found"}}, Outcome.INVALID_AUTH),
        (200, {"error": "Unexpected endpoint or method. (GET /models)"}, Outcome.NOT_FOUND),
        (302, b"", Outcome.NOT_A_PROVIDER),
        (401, {"error": {"message": "m"}}, Outcome.INVALID_AUTH),
        (402, b"", Outcome.QUOTA),
        (403, {"error": {"message": "m"}}, Outcome.NO_PERMISSION),
        (403, PAGE, Outcome.NOT_A_PROVIDER),
        (407, b"", Outcome.NOT_A_PROVIDER),
        (502, PAGE, Outcome.PROVIDER_DOWN),
        (503, b"", Outcome.PROVIDER_DOWN),
        (521, PAGE, Outcome.PROVIDER_DOWN),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_nothing_but_a_proof_is_green(name: str, status: int, body: object, outcome: Outcome) -> None:
    report = await check(name, always(status, body))
    assert (report.success, report.outcome) == (False, outcome), report.message


@pytest.mark.parametrize("name", NAMES)
async def test_a_rate_limit_of_the_provider_itself_proves_the_key(name: str) -> None:
    report = await check(name, always(429, SLOW_DOWN))
    assert (report.success, report.outcome) == (True, Outcome.RATE_LIMITED)


async def test_voyage_is_proven_by_a_model_that_is_retired_and_not_by_an_address_that_is_not_there() -> None:
    retired = await check("voyage", always(400, {"detail": "Model voyage-3-lite is not supported. Use voyage-4."}))
    missing = await check("voyage", always(404, {"detail": "Not Found"}))
    assert (retired.success, retired.outcome) == (True, Outcome.OK)
    assert (missing.success, missing.outcome) == (False, Outcome.NOT_FOUND)


class TestRestrictedKey:
    """A key that may call models and not list them."""

    @pytest.mark.parametrize("status", [401, 403])
    @pytest.mark.parametrize("name", ["openai", "groq", "mistral", "anthropic", "openai_compatible", "cohere", "azure"])
    async def test_is_proven_by_a_call_that_costs_nothing(self, name: str, status: int) -> None:
        http = Canned(lambda request: response(*((404, GONE) if request.method == "POST" else (status, SCOPES))))
        report = await check(name, http)
        assert (report.outcome, report.success) == (Outcome.NO_PERMISSION, True)
        assert "may not list models" in report.message
        assert "Register models by name" in report.message
        assert NO_MODEL in f"{http.sent[-1].url} {http.sent[-1].body!r}"

    async def test_is_proven_by_a_call_that_is_answered(self) -> None:
        chat = {"choices": [{"message": {"content": "Hi"}}]}
        http = Canned(lambda request: response(*((200, chat) if request.method == "POST" else (403, SCOPES))))
        assert (await check("openai", http)).success

    async def test_that_may_do_nothing_is_red(self) -> None:
        report = await check("openai", always(403, SCOPES))
        assert (report.outcome, report.success) == (Outcome.NO_PERMISSION, False)
        assert "may not list models" in report.message

    async def test_that_turns_out_to_be_wrong_is_wrong(self) -> None:
        wrong = {"error": {"code": "invalid_api_key"}}
        http = Canned(lambda request: response(*((401, wrong) if request.method == "POST" else (403, SCOPES))))
        assert (await check("openai", http)).outcome is Outcome.INVALID_AUTH

    @pytest.mark.parametrize(
        "body", [b"", PAGE, {"error": {"code": "insufficient_quota"}}], ids=["empty", "page", "quota"]
    )
    async def test_is_not_proven_by_what_proves_nothing(self, body: object) -> None:
        http = Canned(lambda request: response(*((429, body) if request.method == "POST" else (403, SCOPES))))
        report = await check("openai", http)
        assert (report.outcome, report.success) == (Outcome.NO_PERMISSION, False)

    async def test_of_elevenlabs_may_not_see_whose_it_is(self) -> None:
        missing = {"detail": {"status": "missing_permissions", "message": "user_read"}}
        spoken = Response(status=200, headers={"content-type": "audio/mpeg"}, body=b"ID3 sound")
        http = Canned(lambda request: spoken if request.method == "POST" else response(401, missing))
        report = await check("elevenlabs", http)
        assert (report.outcome, report.success) == (Outcome.NO_PERMISSION, True)
        assert "may not see whose it is" in report.message


BAD_ITEMS: list[object] = [{}, {"object": "model"}, None, 7, [], {"id": None}, {"id": ""}, {"id": {"a": 1}}]
NO_LISTS: list[object] = [{"data": [{}, 7]}, {"data": "none"}, {"data": {"id": "x"}}, {}, 7, "x", b"{"]


class TestEmbeddings:
    VECTOR = (0.25, -0.5, 0.125)

    @pytest.mark.parametrize("name", ["openai", "openai_compatible", "voyage", "mistral", "azure"])
    async def test_are_understood_as_base64(self, name: str) -> None:
        packed = base64.b64encode(struct.pack("<3f", *self.VECTOR)).decode()
        for vector in (list(self.VECTOR), packed):
            http = always(200, {"data": [{"embedding": vector}]})
            report = await PROVIDERS[name].try_model(account(name), "e", Modality.EMBEDDING, http)
            assert (report.success, report.details) == (True, "3 dimensions")

    @pytest.mark.parametrize("vector", ["", "not base64!", "AAAA", "QUJDRA", []], ids=repr)
    def test_that_are_none_are_no_embedding(self, vector: str | list[float]) -> None:
        with pytest.raises(GarbledAnswerError):
            dimensions(vector)


async def models_of(name: str, body: object) -> dict[str, Modality | None]:
    found = await PROVIDERS[name].discover(account(name), always(200, body))
    return {model.name: model.type for model in found.models if model.provenance is Provenance.LIVE}


class TestLists:
    @pytest.mark.parametrize("bad", BAD_ITEMS, ids=repr)
    @pytest.mark.parametrize(
        ("name", "member", "good"),
        [
            ("openai", "data", {"id": "gpt-4o"}),
            ("anthropic", "data", {"id": "claude-x"}),
            ("google", "models", {"name": "models/gemini-x"}),
            ("cohere", "models", {"name": "command-x", "endpoints": ["chat"]}),
            ("ollama", "models", {"name": "llama3"}),
            ("openai_compatible", "models", {"name": "llama3"}),
        ],
        ids=["openai", "anthropic", "google", "cohere", "ollama", "compatible"],
    )
    async def test_one_item_that_is_none_does_not_spoil_the_rest(
        self, name: str, member: str, good: dict[str, object], bad: object
    ) -> None:
        assert len(await models_of(name, {member: [bad, good]})) == 1

    @pytest.mark.parametrize(
        "body",
        [
            {"data": [{"id": "llama3"}]},
            {"models": [{"id": "llama3"}]},
            {"models": [{"name": "llama3"}]},
            {"models": [{"model": "llama3"}]},
            {"models": ["llama3"]},
            {"object": "list", "data": [{"id": "llama3"}], "models": [{"name": "other"}]},
            [{"id": "llama3"}],
            ["llama3"],
            b"\xef\xbb\xbf" + b'{"data": [{"id": "llama3"}]}',
            b" \r\n" + b'{"data": [{"id": "llama3", "object": null, "created": "yesterday"}]}',
        ],
        ids=lambda body: repr(body)[:40],
    )
    async def test_a_list_is_found_in_every_form_that_servers_give(self, body: object) -> None:
        assert await models_of("openai_compatible", body) == {"llama3": Modality.LANGUAGE}

    @pytest.mark.parametrize("body", NO_LISTS, ids=repr)
    async def test_what_is_no_list_is_an_error(self, body: object) -> None:
        with pytest.raises(GarbledAnswerError):
            await models_of("openai", body)

    @pytest.mark.parametrize("body", [{"data": []}, {"data": None}, []], ids=repr)
    async def test_an_empty_list_is_none(self, body: object) -> None:
        found = await PROVIDERS["openai"].discover(account("openai"), always(200, body))
        assert (found.models, found.failure, found.provenance) == ((), None, Provenance.LIVE)


class TestWithoutAList:
    @pytest.mark.parametrize("name", ["openai_compatible", "anthropic_compatible"])
    @pytest.mark.parametrize(
        ("status", "body"),
        [(404, {"detail": "Not Found"}), (405, b""), (404, b""), (200, {"error": "Unexpected endpoint or method."})],
        ids=["404", "405", "empty", "200"],
    )
    async def test_a_server_offers_none_and_says_why(self, name: str, status: int, body: object) -> None:
        found = await PROVIDERS[name].discover(account(name), always(status, body))
        assert (found.models, found.provenance, found.outcome) == ((), Provenance.NONE, Outcome.NOT_FOUND)
        assert "no list of models" in (found.failure or "")

    @pytest.mark.parametrize("name", ["openai_compatible", "anthropic_compatible"])
    @pytest.mark.parametrize("status", [401, 403, 429, 500])
    async def test_another_failure_is_one_all_the_same(self, name: str, status: int) -> None:
        with pytest.raises(ProviderError):
            await PROVIDERS[name].discover(account(name), always(status, {"error": {"message": "m"}}))

    async def test_a_call_that_is_refused_for_another_reason_proves_nothing(self) -> None:
        refused = {"error": {"message": "Unsupported value"}}
        http = Canned(lambda request: response(*((400, refused) if request.method == "POST" else (404, b""))))
        report = await check("openai_compatible", http)
        assert (report.success, report.outcome) == (False, Outcome.UNKNOWN)
        assert "only a call of a model" in report.message

    async def test_an_account_for_one_kind_of_work_is_proven_by_that_kind(self) -> None:
        http = Canned(lambda request: response(404, GONE if request.method == "POST" else {"detail": "Not Found"}))
        provider = PROVIDERS["openai_compatible"]
        settings = {"endpoint_embedding": "https://vectors.example/v1"}
        report = await provider.check(Account(provider="openai_compatible", settings=settings, secrets={}), http)
        assert report.success
        assert http.sent[-1].url == "https://vectors.example/v1/embeddings"
