"""Every built-in provider that manages keys, against a server that speaks its API."""

import re
from base64 import b64encode

import pytest
from tests.contract.key_cases import CASES
from tests.house import NoHttp
from tests.nights import by_day

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.errors import EgressRefusedError, GarbledAnswerError, InvalidInputError
from keycairn.domain.key_management import KeyRef
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.key_http import KeyHttp
from keycairn.plugins.loaded import loaded
from keycairn.plugins.managing.common import MOST_PAGES
from keycairn.plugins.providers import (
    openrouter,
)
from keycairn.ports.http import Request
from keycairn.testing import ADMIN, KEY, Answer, KeyCase, KeyManagementConformance, KeyServer, Recorded
from keycairn.testing.recording_http import RecordingHttp


class TestKeyManagement(KeyManagementConformance):
    @pytest.fixture(params=CASES)
    def case(self, request: pytest.FixtureRequest) -> KeyCase:
        return CASES[request.param]


_CURSOR = re.compile(rb"\b(after|after_id|offset|pageToken|paginationToken|Marker)=[^&]*")
PAGED = ("openrouter", "openai", "anthropic", "xai", "google", "mistral", "bedrock")


class Looping:
    """Has a server answer with the first page, whichever is asked for."""

    def __init__(self, server: KeyServer) -> None:
        self._manage = server.manage
        self.asked = 0
        server.manage = self._answer  # type: ignore[method-assign]

    def _answer(self, recorded: Recorded) -> Answer:
        self.asked += 1
        target, body = (_CURSOR.sub(rb"\1=0", part) for part in (recorded.target.encode(), recorded.body))
        return self._manage(Recorded(recorded.method, target.decode(), recorded.headers, body))


@pytest.mark.parametrize("name", by_day(PAGED, one_in=4))
async def test_a_list_without_an_end_is_never_taken_for_a_whole_one(name: str) -> None:
    async with CASES[name].server() as server:
        for number in range(150):
            server.new_key(f"filler {number}")
        looping, http = Looping(server), GuardedHttp(EgressPolicy())
        try:
            with pytest.raises(GarbledAnswerError, match="no end"):
                await loaded(CASES[name].provider).list_keys(CASES[name].manager(server.url), http)
        finally:
            await http.aclose()
    assert looping.asked <= MOST_PAGES + 1


@pytest.mark.parametrize("id_", [".", ".."])
async def test_an_id_of_dots_leads_nowhere(id_: str) -> None:
    async with CASES["openrouter"].server() as server:
        http = GuardedHttp(EgressPolicy())
        try:
            with pytest.raises(InvalidInputError):
                await loaded(openrouter.PROVIDER).revoke_key(
                    CASES["openrouter"].manager(server.url), KeyRef(id=id_), http
                )
        finally:
            await http.aclose()
        assert not server.requests


SPEC = openrouter.PROVIDER.spec


def key_http(inner: RecordingHttp, **settings: str) -> KeyHttp:
    """What the provider gets, where its keys are managed at `admin.example`."""
    management = SPEC.key_management
    assert management is not None
    manager = Account(
        provider=SPEC.name,
        settings={"management_url": "https://admin.example/api", **settings},
        secrets={"api_key": Secret(KEY), "management_key": Secret(ADMIN)},
    )
    return KeyHttp(inner, SPEC, management, manager)


@pytest.mark.parametrize(
    "url",
    [
        "https://openrouter.ai/api/v1/keys",
        "https://admin.example.evil.example/",
        "http://admin.example/",
        "https://admin.example:444/",
        "https://169.254.169.254/",
    ],
)
async def test_a_request_for_another_origin_is_not_sent(url: str) -> None:
    inner = RecordingHttp(NoHttp())
    with pytest.raises(EgressRefusedError):
        await key_http(inner).send(Request(url=url, headers={"Authorization": Secret(f"Bearer {ADMIN}")}))
    assert not inner.sent


@pytest.mark.parametrize(
    "request_",
    [
        Request(url="https://admin.example/", headers={"Authorization": Secret(f"Bearer {KEY}")}),
        Request(url=f"https://admin.example/?key={KEY}"),
        Request(url="https://admin.example/", headers={"Authorization": b64encode(f"x:{KEY}".encode()).decode()}),
        Request(url="https://admin.example/", body=b'{"key": "%s"}' % KEY.encode()),
    ],
    ids=["header", "query", "encoded", "body"],
)
async def test_the_accounts_own_key_does_not_follow_a_management_url_elsewhere(request_: Request) -> None:
    inner = RecordingHttp(NoHttp())
    with pytest.raises(EgressRefusedError):
        await key_http(inner).send(request_)
    assert not inner.sent


async def test_the_key_of_an_account_that_is_elsewhere_does_not_go_to_the_provider() -> None:
    inner = RecordingHttp(NoHttp())
    elsewhere = {"base_url": "https://proxy.example", "management_url": "https://openrouter.ai/api/v1"}
    request = Request(url="https://openrouter.ai/api/v1/revoke", body=b'{"key": "%s"}' % KEY.encode())
    with pytest.raises(EgressRefusedError):
        await key_http(inner, **elsewhere).send(request)
    assert not inner.sent


async def test_the_accounts_own_key_goes_where_it_is_for_anyway() -> None:
    inner = RecordingHttp(NoHttp())
    request = Request(url="https://admin.example/", headers={"Authorization": Secret(f"Bearer {KEY}")})
    with pytest.raises(AssertionError, match="no test provider sends anything"):
        await key_http(inner, base_url="https://admin.example").send(request)
    assert inner.sent == [request]
