"""Every provider, against its server on a real socket."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from tests.contract.provider_cases import CASES, REGISTRY, Case, Try
from tests.servers.base import KEY, LocalServer
from tests.servers.recording_http import RecordingHttp

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.errors import (
    CannotConnectError,
    GarbledAnswerError,
    InvalidAuthError,
    ModelGoneError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitedError,
)
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import Outcome, Provenance
from keycairn.domain.secret import Secret
from keycairn.ports.http import Request

FAULTS: list[tuple[int | str, type[ProviderError]]] = [
    (401, InvalidAuthError),
    (403, InvalidAuthError),
    (402, QuotaExhaustedError),
    (404, ProviderError),
    (429, RateLimitedError),
    (500, ProviderError),
    (503, ProviderError),
    ("html", GarbledAnswerError),
    ("truncated", GarbledAnswerError),
    ("empty", GarbledAnswerError),
    ("wrong_shape", GarbledAnswerError),
    ("redirect", ProviderError),
    ("slow", ProviderTimeoutError),
]
ORDINARY = [case for case in CASES if not case.odd]
"""One GET lists the models, and so proves the key."""
KEYED = [case for case in ORDINARY if case.secrets]
NO_LIST_IS_FINE = {"anthropic_compatible"}
TRIES = [(case, type, model, tried) for case in CASES for (type, model), tried in case.tries.items()]


@pytest.fixture
async def http() -> AsyncIterator[RecordingHttp]:
    inner = GuardedHttp(EgressPolicy())
    yield RecordingHttp(inner)
    await inner.aclose()


@pytest.fixture(params=ORDINARY, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture
async def server(case: Case) -> AsyncIterator[LocalServer]:
    async with case.server() as running:
        yield running


def revealed(request: Request) -> tuple[str, str, dict[str, str]]:
    parts = urlsplit(request.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return request.method, target, {n: v.reveal() if isinstance(v, Secret) else v for n, v in request.headers.items()}


def says_no_key(error: BaseException) -> bool:
    chain: BaseException | None = error
    while chain is not None:
        if KEY in str(chain) or KEY in repr(chain):
            return False
        chain = chain.__cause__
    return True


def test_there_is_a_case_for_every_built_in_provider() -> None:
    assert [case.name for case in CASES] == [provider.spec.name for provider in REGISTRY.all()]


async def test_check_lists_models_once_with_the_key(case: Case, server: LocalServer, http: RecordingHttp) -> None:
    report = await case.provider.check(case.account(server.url), http)
    assert [revealed(request) for request in http.sent] == [("GET", case.listing, dict(case.auth))]
    assert [request.target for request in server.requests] == [case.listing]
    names = list(case.models)
    more = f" (+{len(names) - 3} more)" if len(names) > 3 else ""
    assert (report.outcome, report.models) == (Outcome.OK, tuple(names))
    assert report.message == f"Connected. Models found: {', '.join(names[:3])}{more}."


async def test_discover_tells_each_models_type(case: Case, server: LocalServer, http: RecordingHttp) -> None:
    discovery = await case.provider.discover(case.account(server.url), http)
    assert {model.name: model.type for model in discovery.models} == case.models
    assert {model.provenance for model in discovery.models} == {Provenance.LIVE}
    assert discovery.failure is None
    assert [revealed(request) for request in http.sent] == [("GET", case.listing, dict(case.auth))]


@pytest.mark.parametrize("ending", ["/", "//", "/models", "/models/"])
async def test_a_base_url_may_end_as_people_paste_it(
    case: Case, server: LocalServer, http: RecordingHttp, ending: str
) -> None:
    await case.provider.check(case.account(server.url + ending), http)
    assert [request.target for request in server.requests] == [case.listing]


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=[str(fault) for fault, _ in FAULTS])
async def test_each_way_to_fail_has_its_error(
    case: Case, server: LocalServer, http: RecordingHttp, fault: int | str, kind: type[ProviderError]
) -> None:
    if fault == 404 and case.name in NO_LIST_IS_FINE:
        pytest.skip("a server without a list has not refused the key")
    server.fault = fault
    http.patience = 0.1 if fault == "slow" else 5.0
    with pytest.raises(kind) as caught:
        await case.provider.check(case.account(server.url), http)
    assert type(caught.value) is kind
    assert says_no_key(caught.value)
    if isinstance(caught.value, RateLimitedError):
        assert caught.value.retry_after == 7
    elif isinstance(fault, int):
        assert caught.value.status == fault


@pytest.mark.parametrize("case", KEYED, ids=lambda case: case.name, indirect=True)
async def test_a_wrong_key_is_told_from_everything_else(case: Case, server: LocalServer, http: RecordingHttp) -> None:
    account = case.account(server.url, api_key="sk-wrong")
    for call in (case.provider.check, case.provider.discover):
        with pytest.raises(InvalidAuthError) as caught:
            await call(account, http)
        assert "sk-wrong" not in str(caught.value)
    server.key = "sk-wrong"
    assert (await case.provider.check(account, http)).success


async def test_a_server_that_is_not_there_cannot_be_connected(case: Case, http: RecordingHttp) -> None:
    async with case.server() as server:
        account = case.account(server.url)
    with pytest.raises(CannotConnectError):
        await case.provider.check(account, http)


@pytest.mark.parametrize("case", [c for c in ORDINARY if c.key_required], ids=lambda case: case.name, indirect=True)
@pytest.mark.parametrize("secrets", [{}, {"api_key": ""}, {"api_key": "  "}])
async def test_without_the_required_key_nothing_is_sent(
    case: Case, server: LocalServer, http: RecordingHttp, secrets: dict[str, str]
) -> None:
    account = case.account(server.url)
    account = type(account)(
        provider=account.provider, settings=account.settings, secrets={n: Secret(v) for n, v in secrets.items()}
    )
    for call in (case.provider.check, case.provider.discover):
        with pytest.raises(InvalidAuthError):
            await call(account, http)
    with pytest.raises(InvalidAuthError):
        await case.provider.authorize(account, Request(url=server.url), http)
    for type_, model in case.tries:
        with pytest.raises(InvalidAuthError):
            await case.provider.try_model(account, model, type_, http)
    assert http.sent == []


@pytest.mark.parametrize("case", KEYED, ids=lambda case: case.name, indirect=True)
@pytest.mark.parametrize("key", ["sk-a\r\nX-Evil: 1", "sk-ä", "sk-\x00", "sk-“quoted”"])
async def test_a_key_no_header_can_carry_is_refused_before_it_is_sent(
    case: Case, server: LocalServer, http: RecordingHttp, key: str
) -> None:
    with pytest.raises(InvalidAuthError) as caught:
        await case.provider.check(case.account(server.url, api_key=key), http)
    assert key not in str(caught.value)
    assert http.sent == []


@pytest.mark.parametrize(
    ("case", "type", "model", "tried"), TRIES, ids=[f"{c.name}-{t}" for c, t, _, _ in TRIES], indirect=["case"]
)
async def test_a_model_is_tried_by_one_small_call(
    case: Case, type: Modality, model: str, tried: Try, server: LocalServer, http: RecordingHttp
) -> None:
    report = await case.provider.try_model(case.account(server.url), model, type, http)
    assert (report.outcome, report.details) == (Outcome.OK, tried.details)
    (request,) = http.sent
    method, target, headers = revealed(request)
    kind = headers.pop("Content-Type")
    assert (method, target, headers) == ("POST", tried.target, dict(case.auth))
    (arrived,) = server.requests
    assert arrived.target == tried.target
    if kind == "application/json":
        assert arrived.json() == tried.body
    else:
        assert arrived.form() == tried.body


@pytest.mark.parametrize(
    ("case", "type"),
    [(c, t) for c, t, model, tried in TRIES if model in f"{tried.target} {tried.body}"],
    ids=lambda v: getattr(v, "name", None),
    indirect=["case"],
)
async def test_a_model_the_provider_does_not_have_is_gone(
    case: Case, type: Modality, server: LocalServer, http: RecordingHttp
) -> None:
    with pytest.raises(ModelGoneError):
        await case.provider.try_model(case.account(server.url), "retired/model?x=1", type, http)


@pytest.mark.parametrize("fault", [401, 429, 500, "html", "empty", "wrong_shape"])
async def test_a_tried_model_fails_by_the_same_errors(
    case: Case, server: LocalServer, http: RecordingHttp, fault: int | str
) -> None:
    server.fault = fault
    kind = dict(FAULTS)[fault]
    for type, model in case.tries:
        with pytest.raises(kind) as caught:
            await case.provider.try_model(case.account(server.url), model, type, http)
        assert says_no_key(caught.value)


async def test_a_type_the_provider_lacks_is_a_clear_error(case: Case, server: LocalServer, http: RecordingHttp) -> None:
    for type in set(Modality) - set(case.provider.spec.modalities):
        with pytest.raises(ProviderError, match=type):
            await case.provider.try_model(case.account(server.url), "any", type, http)
    assert server.requests == []


async def test_a_gateways_request_gets_the_key_in_place_of_any_other(
    case: Case, server: LocalServer, http: RecordingHttp
) -> None:
    account = case.account(server.url)
    url = f"{case.provider.base_url(account)}/anything"
    request = Request(url=url, headers={**dict.fromkeys(case.auth, "theirs"), "x-trace": "1"})
    lowered = Request(url=url, headers={name.lower(): value for name, value in request.headers.items()})
    for one in (request, lowered):
        ready = await case.provider.authorize(account, one, http)
        _, _, headers = revealed(ready)
        expected = {n: v for n, v in case.auth.items() if n != "anthropic-version"}
        assert {n: headers[n] for n in expected} == expected
        assert headers["x-trace"] == "1"
        assert len({name.lower() for name in headers}) == len(headers)
        assert KEY not in repr(ready)


async def test_nothing_a_provider_hands_out_shows_the_key_by_repr(
    case: Case, server: LocalServer, http: RecordingHttp
) -> None:
    account = case.account(server.url)
    shown = [account, case.provider, case.provider.spec]
    shown += [await case.provider.check(account, http), await case.provider.discover(account, http), *http.sent]
    assert KEY not in repr(shown)
