"""One classification of providers' failures: what each says with its status, headers and body."""

import json

import pytest

from keycairn.domain.failure_codes import AUTH_CODES, PERMISSION_CODES, QUOTA_CODES, RATE_CODES
from keycairn.domain.outcome import Outcome
from keycairn.domain.provider_failure import read_failure
from keycairn.domain.routing import FIRST_REST, QUOTA_REST, SHORT_REST, Verdict, rest_after, verdict

PAGE = b"<!DOCTYPE html><html><head><title>Oops</title></head><body>Sign in</body></html>"


def openai(message: str = "m", code: str | None = None, type: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"message": message, "type": type, "param": None, "code": code}}).encode()


def anthropic(type: str, message: str = "m") -> bytes:
    return json.dumps({"type": "error", "error": {"type": type, "message": message}}).encode()


def google(code: int, status: str, message: str = "m", reason: str = "", *, listed: bool = False) -> bytes:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    error = {"error": {"code": code, "message": message, "status": status, "details": details}}
    return json.dumps([error] if listed else error).encode()


def said(**members: object) -> bytes:
    return json.dumps(members).encode()


SCOPES = "You have insufficient permissions for this operation. Missing scopes: api.model.read."
CREDIT = "Your credit balance is too low to access the Anthropic API."
LIMITS = "You have reached your specified API usage limits. You will regain access on 2026-12-01."
SPENT = "Your team 1 has either used all available credits or reached its monthly spending limit."

PARAMETER = "Unsupported parameter: 'max_tokens' is not supported with this model."
BUDGET = "Budget has been exceeded! Current cost: 2, Max budget: 1"
AUTH, PERMISSION, QUOTA, RATE = Outcome.INVALID_AUTH, Outcome.NO_PERMISSION, Outcome.QUOTA, Outcome.RATE_LIMITED
GONE, STRANGER, CALL, DOWN = (
    Outcome.NOT_FOUND,
    Outcome.NOT_A_PROVIDER,
    Outcome.BAD_REQUEST,
    Outcome.PROVIDER_DOWN,
)

CASES: list[tuple[str, int, bytes, Outcome]] = [
    # the key
    ("OpenAI, a wrong key", 401, openai("Incorrect API key provided: sk-a***b.", "invalid_api_key"), AUTH),
    ("OpenAI, an account that was closed", 403, openai("m", "account_deactivated"), AUTH),
    ("Anthropic, a wrong key", 401, anthropic("authentication_error", "invalid x-api-key"), AUTH),
    ("Google, a wrong key", 400, google(400, "INVALID_ARGUMENT", reason="API_KEY_INVALID"), AUTH),
    ("Google, in a list", 400, google(400, "INVALID_ARGUMENT", reason="API_KEY_INVALID", listed=True), AUTH),
    ("Google, a leaked key", 403, google(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), AUTH),
    ("Google, an old token", 401, google(401, "UNAUTHENTICATED", reason="ACCESS_TOKEN_EXPIRED"), AUTH),
    ("Cohere, a wrong key", 401, said(id="1", message="invalid api token"), AUTH),
    ("xAI, a wrong key", 400, said(code="x", error="Incorrect API key provided: xa***1."), AUTH),
    ("Deepgram, a wrong key", 401, said(err_code="INVALID_AUTH", err_msg="Invalid credentials."), AUTH),
    ("Voyage, a wrong key", 401, said(detail="Provided API key is invalid."), AUTH),
    ("FastAPI, no token", 403, said(detail="Not authenticated"), AUTH),
    ("AWS, an unknown client", 403, said(__type="com.amazon#UnrecognizedClientException", message="m"), AUTH),
    ("an empty 401", 401, b"", AUTH),
    ("the page of a provider's own front door", 401, PAGE, AUTH),
    # permissions
    ("OpenAI, a restricted key", 403, openai(SCOPES), PERMISSION),
    ("OpenAI, a restricted key, as 401", 401, openai(SCOPES), PERMISSION),
    ("OpenAI, a country", 403, openai("m", "unsupported_country_region_territory"), PERMISSION),
    ("ElevenLabs, a restricted key", 401, said(detail={"status": "missing_permissions", "message": "m"}), PERMISSION),
    ("Anthropic, permission", 403, anthropic("permission_error"), PERMISSION),
    ("Google, a blocked API", 403, google(403, "PERMISSION_DENIED", reason="API_KEY_SERVICE_BLOCKED"), PERMISSION),
    ("Google, an API that is off", 403, google(403, "PERMISSION_DENIED", reason="SERVICE_DISABLED"), PERMISSION),
    ("Deepgram, another project", 403, said(err_code="INSUFFICIENT_PERMISSIONS", err_msg="m"), PERMISSION),
    ("LiteLLM, a key without the model", 401, openai("m", "401", "key_model_access_denied"), PERMISSION),
    ("Azure, a firewall", 403, said(error={"code": "AccessDenied", "message": "Firewall rules."}), PERMISSION),
    ("AWS, access denied", 403, said(__type="AccessDeniedException", message="m"), PERMISSION),
    ("an empty 403", 403, b"", PERMISSION),
    ("for reasons of law", 451, b"", PERMISSION),
    # credit
    ("402 without a word", 402, b"", QUOTA),
    ("Anthropic, no credit", 400, anthropic("invalid_request_error", CREDIT), QUOTA),
    ("Anthropic, a limit of its console", 400, anthropic("invalid_request_error", LIMITS), QUOTA),
    ("OpenAI, no credit", 429, openai("You exceeded your current quota.", "insufficient_quota"), QUOTA),
    ("OpenAI, billing", 429, openai("m", "billing_hard_limit_reached"), QUOTA),
    ("DeepSeek", 402, openai("Insufficient Balance", "invalid_request_error"), QUOTA),
    ("OpenRouter", 402, said(error={"code": 402, "message": "Insufficient credits."}), QUOTA),
    ("xAI", 403, said(code="The caller does not have permission", error=SPENT), QUOTA),
    ("ElevenLabs", 401, said(detail={"status": "quota_exceeded", "message": "m"}), QUOTA),
    ("Google, billing is off", 403, google(403, "PERMISSION_DENIED", reason="BILLING_DISABLED"), QUOTA),
    ("Google, as it was", 403, said(error={"errors": [{"reason": "quotaExceeded"}]}), QUOTA),
    ("a proxy's budget", 400, openai(BUDGET, "400", "budget_exceeded"), QUOTA),
    ("DashScope", 403, said(code="AllocationQuota.FreeTierOnly", message="m"), QUOTA),
    ("Novita", 403, said(code=403, reason="NOT_ENOUGH_BALANCE", message="not enough balance"), QUOTA),
    ("403, quota", 403, said(error="Quota exceeded for this key"), QUOTA),
    ("Hugging Face", 402, said(error="You have exceeded your monthly included credits."), QUOTA),
    # patience
    ("OpenAI, a rate", 429, openai("Rate limit reached", "rate_limit_exceeded", "requests"), RATE),
    ("Anthropic, a rate", 429, anthropic("rate_limit_error"), RATE),
    ("Google, a rate", 429, google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."), RATE),
    ("Cohere, a rate", 429, said(message="You are using a Trial key."), RATE),
    ("AWS, a rate as 400", 400, said(__type="ThrottlingException", message="m"), RATE),
    ("a proxy's page about a rate", 429, PAGE, RATE),
    ("an empty 429", 429, b"", RATE),
    # what is not there
    ("no such address", 404, said(detail="Not Found"), GONE),
    ("no such method", 405, said(detail="Method Not Allowed"), GONE),
    ("no such address, in text", 404, b"404 page not found", GONE),
    ("gone for good", 410, b"", GONE),
    ("OpenAI, no such model", 404, openai("The model `x` does not exist", "model_not_found"), GONE),
    ("Mistral, no such model", 400, said(object="error", message="Invalid model: x", type="invalid_model"), GONE),
    ("Groq, a model of before", 400, openai("m", "model_decommissioned"), GONE),
    # somebody else
    ("a page in place of anything", 404, PAGE, STRANGER),
    ("a firewall's page", 403, PAGE, STRANGER),
    ("a redirect to a portal", 302, b"", STRANGER),
    ("a proxy that asks for a sign-in", 407, b"", STRANGER),
    ("a network that asks for a sign-in", 511, PAGE, STRANGER),
    ("a page after a comment", 400, b"<!-- x -->\n<html>", STRANGER),
    # the call's own fault
    ("OpenAI, a parameter", 400, openai(PARAMETER, "unsupported_parameter"), CALL),
    ("OpenAI, too long", 400, openai("m", "context_length_exceeded"), CALL),
    ("Anthropic, a parameter", 400, anthropic("invalid_request_error", "max_tokens: Field required"), CALL),
    ("FastAPI, a field", 422, said(detail=[{"msg": "field required", "type": "missing"}]), CALL),
    ("Azure, a filter", 400, said(error={"code": "content_filter", "message": "m"}), CALL),
    ("OpenRouter, moderation", 403, said(error={"code": 403, "message": "Your input was flagged"}), CALL),
    ("Groq, too large for any minute", 413, openai("m", "rate_limit_exceeded", "tokens"), CALL),
    ("what repeats the call's words", 400, openai("Invalid value: 'your credit balance is too low'."), CALL),
    ("what repeats other words of the call", 400, openai("Invalid value: 'incorrect api key provided'."), CALL),
    ("a teapot", 418, b"short and stout", CALL),
    # the provider's own
    ("Anthropic, overloaded", 529, anthropic("overloaded_error"), DOWN),
    ("a page of nginx", 502, PAGE, DOWN),
    *((f"Cloudflare {status}", status, PAGE, DOWN) for status in (*range(520, 528), 530)),
    *((f"{status}", status, b"", DOWN) for status in (408, 425, 421, 424, 498, 499, 500, 503, 504)),
    ("no status of HTTP", 999, b"", Outcome.UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_providers_say_is_one_of_eleven_kinds(status: int, body: bytes, kind: Outcome) -> None:
    assert read_failure(status, (), body).kind is kind


def test_the_cases_have_every_kind_that_an_answer_can_stand_for() -> None:
    assert {kind for *_, kind in CASES} == {*Outcome} - {Outcome.OK, Outcome.CANNOT_CONNECT}


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (QUOTA_CODES, Outcome.QUOTA),
        (AUTH_CODES, Outcome.INVALID_AUTH),
        (PERMISSION_CODES, Outcome.NO_PERMISSION),
        (RATE_CODES, Outcome.RATE_LIMITED),
    ],
    ids=["quota", "auth", "permission", "rate"],
)
@pytest.mark.parametrize("place", ["code", "type", "reason", "detail", "list", "flat"])
def test_a_code_counts_wherever_providers_put_it(codes: frozenset[str], kind: Outcome, place: str) -> None:
    for code in sorted(code for code in codes if not code.startswith("baseresp")):
        body: object = {"error": {place: code, "message": "m"}}
        if place == "detail":
            body = {"detail": {"status": code}}
        elif place == "list":
            body = [{"error": {"details": [{"reason": code.upper()}]}}]
        elif place == "flat":
            body = {"code": code, "message": "m"}
        assert read_failure(400, (), json.dumps(body).encode()).kind is kind, code


@pytest.mark.parametrize(
    "spelling", ["insufficient_quota", "InsufficientQuota", "insufficient-quota", "Insufficient Quota"]
)
def test_a_code_is_known_in_every_spelling(spelling: str) -> None:
    assert read_failure(429, (), openai("m", spelling)).kind is Outcome.QUOTA


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"{", b"[[[[" * 3000, b'"x"', b"null", b"7", b"{}", b" \n", b"\x00" * 70_000]
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_a_body_that_is_nothing_leaves_the_status_to_decide(status: int, body: bytes) -> None:
    expected = {400: Outcome.BAD_REQUEST, 401: Outcome.INVALID_AUTH, 403: Outcome.NO_PERMISSION, 404: Outcome.NOT_FOUND}
    failure = read_failure(status, (), body)
    assert failure.kind is expected.get(status, Outcome.RATE_LIMITED)
    assert not failure.by_api


def test_aws_names_its_errors_in_a_header() -> None:
    headers = [("x-amzn-errortype", "AccessDeniedException:http://internal.amazon.com/")]
    assert read_failure(400, headers, b'{"message": "m"}').kind is Outcome.NO_PERMISSION


@pytest.mark.parametrize("scheme", ["Basic realm=x", "Negotiate", "NTLM", 'Digest realm="p"'])
def test_a_sign_in_for_people_refuses_no_key(scheme: str) -> None:
    assert read_failure(401, [("www-authenticate", scheme)], PAGE).kind is Outcome.NOT_A_PROVIDER
    assert read_failure(401, [("www-authenticate", "Bearer")], openai("m")).kind is Outcome.INVALID_AUTH


class TestModel:
    """A model that is not there is told from an address that is not."""

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (404, openai("m", "model_not_found")),
            (404, anthropic("not_found_error", "model: claude-9")),
            (404, google(404, "NOT_FOUND", "models/x is not found for API version v1beta")),
            (404, said(message="model 'x' not found, make sure the correct model ID was used")),
            (404, said(error='model "x" not found, try pulling it first')),
            (404, said(object="error", message="The model `x` does not exist.", type="NotFoundError", code=404)),
            (404, said(error={"code": "DeploymentNotFound", "message": "m"})),
            (400, openai("Model Not Exist")),
            (400, said(detail="Model voyage-9 is not supported. Supported models are [...]")),
            (400, openai("keycairn is not a valid model ID")),
            (403, openai("Project `p` does not have access to model `x`", "model_not_found")),
        ],
        ids=[
            "openai",
            "anthropic",
            "google",
            "cohere",
            "ollama",
            "vllm",
            "azure",
            "deepseek",
            "voyage",
            "router",
            "403",
        ],
    )
    def test_is_what_is_missing(self, status: int, body: bytes) -> None:
        assert read_failure(status, (), body).of_model

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (404, said(detail="Not Found")),
            (404, PAGE),
            (404, b""),
            (404, b"404 page not found"),
            (404, anthropic("not_found_error", "Not Found")),
            (404, said(error={"code": "404", "message": "Resource not found"})),
            (404, openai("Invalid URL (POST /v1/v1/chat/completions)")),
            (400, openai("Unsupported value: 'temperature' does not support 0.3 with this model.")),
            (403, openai(SCOPES)),
            (500, openai("The model failed")),
        ],
        ids=["fastapi", "page", "empty", "text", "anthropic", "azure", "url", "value", "scopes", "500"],
    )
    def test_is_not_what_is_missing(self, status: int, body: bytes) -> None:
        assert not read_failure(status, (), body).of_model


class TestPatience:
    @pytest.mark.parametrize(
        ("headers", "body", "seconds"),
        [
            ({"retry-after": "12"}, openai(), 12.0),
            ({}, google(429, "RESOURCE_EXHAUSTED"), None),
            ({"retry-after": "99999"}, b"", 600.0),
        ],
        ids=["header", "none", "endless"],
    )
    def test_is_what_the_provider_asks_for(self, headers: dict[str, str], body: bytes, seconds: float | None) -> None:
        assert read_failure(429, headers.items(), body).retry_after == seconds

    @pytest.mark.parametrize(("delay", "seconds"), [("34.5s", 34.5), ("7s", 7.0), ("99999s", 600.0), ("soon", None)])
    def test_is_read_from_googles_body(self, delay: str, seconds: float | None) -> None:
        info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
        body = said(error={"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [info]})
        assert read_failure(429, (), body).retry_after == seconds


class TestVerdict:
    """What the gateway makes of the same kinds."""

    @pytest.mark.parametrize(
        "status", [402, 403, 404, 405, 408, 425, 429, 451, *range(500, 505), *range(520, 528), 529, 530]
    )
    def test_what_is_the_accounts_or_the_providers_goes_on_to_the_next(self, status: int) -> None:
        assert verdict(read_failure(status, (), b"")) is Verdict.NEXT

    @pytest.mark.parametrize("status", [400, 409, 411, 413, 414, 415, 416, 418, 422, 431])
    def test_what_is_the_clients_is_passed_on(self, status: int) -> None:
        assert verdict(read_failure(status, (), openai())) is Verdict.DONE

    def test_a_model_that_is_not_there_is_the_clients(self) -> None:
        assert verdict(read_failure(404, (), openai("m", "model_not_found"))) is Verdict.DONE
        assert verdict(read_failure(403, (), openai("m", "model_not_found"))) is Verdict.NEXT

    def test_a_refused_key_is_one_whatever_the_status(self) -> None:
        for status in (400, 401, 403):
            assert verdict(read_failure(status, (), openai("m", "invalid_api_key"))) is Verdict.BAD_KEY

    def test_accounts_rest_as_their_failure_says(self) -> None:
        assert rest_after(read_failure(402, (), b"")) == QUOTA_REST > FIRST_REST
        assert rest_after(read_failure(503, (), b"")) == SHORT_REST
        assert rest_after(read_failure(503, [("retry-after", "40")], b"")) == 40
        assert rest_after(read_failure(429, [("retry-after", "2")], openai())) == 2
