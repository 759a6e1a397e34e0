"""Providers whose key is proven, or whose models are found, by other calls than one GET of a list."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.contract.provider_cases import CASES, E, L, S, T, opened
from tests.servers.cohere_api import CohereServer
from tests.servers.vertex_api import PLACE, VertexServer, service_account

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.errors import InvalidAuthError
from keycairn.domain.outcome import Outcome, Provenance
from keycairn.domain.provider import Account
from keycairn.plugins.base import NO_MODEL
from keycairn.plugins.managing.assertions import TOKEN_URL
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.http import Http, Request, Response
from keycairn.testing.recording_http import RecordingHttp
from keycairn.testing.server import KEY

BY_NAME = {case.name: case for case in CASES}


@pytest.fixture
async def http() -> AsyncIterator[RecordingHttp]:
    inner = GuardedHttp(EgressPolicy())
    yield RecordingHttp(inner)
    await inner.aclose()


async def test_openrouter_marks_what_its_lists_leave_out(http: RecordingHttp) -> None:
    case = BY_NAME["openrouter"]
    async with case.server() as server:
        models = (await case.provider.discover(case.account(server.url), http)).models
    unlisted = {model.name for model in models if model.provenance is Provenance.STATIC}
    assert unlisted == {"microsoft/mai-voice-2", "openai/whisper-1", "openai/whisper-large-v3"}


@pytest.mark.parametrize(
    ("name", "live", "static"),
    [
        ("elevenlabs", {"eleven_v9": T}, {"scribe_v1": S, "scribe_v2": S, "eleven_v3": T}),
        ("deepgram", {"nova-9": S, "aura-9-thalia-en": T}, {"nova-3": S, "whisper-tiny": S, "aura-2-atlas-en": T}),
    ],
)
async def test_speech_providers_join_their_list_with_what_is_known(
    name: str, live: dict[str, object], static: dict[str, object], http: RecordingHttp
) -> None:
    case = BY_NAME[name]
    async with case.server() as server:
        models = (await case.provider.discover(case.account(server.url), http)).models
    assert {m.name: m.type for m in models if m.provenance is Provenance.LIVE} == live
    known = {m.name: m.type for m in models if m.provenance is Provenance.STATIC}
    assert known.items() >= static.items()


async def test_cohere_reads_every_page(http: RecordingHttp) -> None:
    async with CohereServer(page=1) as server:
        account = BY_NAME["cohere"].account(server.url)
        models = (await BY_NAME["cohere"].provider.discover(account, http)).models
    assert [model.name for model in models] == ["command-a-03-2025", "embed-v4.0", "command-r7b"]


@pytest.mark.parametrize("name", ["anthropic_compatible", "openai_compatible"])
@pytest.mark.parametrize("status", [404, 405])
async def test_a_server_without_a_list_is_proven_by_a_call_that_costs_nothing(
    name: str, status: int, http: RecordingHttp
) -> None:
    case = BY_NAME[name]
    async with case.server() as server:
        server.faults = [status]
        report = await case.provider.check(case.account(server.url), http)
        assert (report.outcome, report.success) == (Outcome.OK, True)
        assert "no list of models" in report.message
        assert server.requests[-1].json()["model"] == NO_MODEL

        server.faults = [status]
        with pytest.raises(InvalidAuthError):
            await case.provider.check(case.account(server.url, case.wrong_secrets()), http)


@pytest.mark.parametrize("name", ["anthropic_compatible", "openai_compatible"])
async def test_a_server_without_a_list_offers_no_model_and_says_why(name: str, http: RecordingHttp) -> None:
    case = BY_NAME[name]
    async with case.server() as server:
        server.faults = [404]
        found = await case.provider.discover(case.account(server.url), http)
    assert (found.models, found.provenance) == ((), Provenance.NONE)
    assert "Register models by name" in (found.failure or "")


class StandIn:
    """An Http for which the provider's own address is a local one."""

    def __init__(self, inner: Http, address: str, local: str) -> None:
        self._inner = inner
        self.tokens = inner.tokens
        self._address = address
        self._local = local

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        assert request.url == self._address
        return await self._inner.send(replace(request, url=self._local), deadline=deadline)

    def vet(self, url: str, *, field: str | None = None) -> None:
        self._inner.vet(url, field=field)


class TestVertex:
    @pytest.fixture
    async def server(self) -> AsyncIterator[VertexServer]:
        async with VertexServer() as running:
            yield running

    def account(self, server: VertexServer, **changes: str) -> Account:
        settings = {
            "project": "my-project",
            "location": "us-central1",
            "base_url": server.origin,
            "token_url": f"{server.origin}/token",
        }
        secrets = {} if "credentials_path" in changes else {"service_account": service_account()}
        return opened(
            "vertex",
            {**settings, **{k: v for k, v in changes.items() if k != "service_account"}},
            {**secrets, **({"service_account": changes["service_account"]} if "service_account" in changes else {})},
        )

    async def test_one_token_serves_many_calls(self, server: VertexServer, http: RecordingHttp) -> None:
        provider = PluginRegistry(external=False).get("vertex")
        account = self.account(server)
        await provider.check(account, http)
        for type, name in ((L, "gemini-2.5-flash"), (E, "text-embedding-005"), (T, "gemini-2.5-flash-tts")):
            assert (await provider.try_model(account, name, type, http)).success
        ready = await provider.authorize(account, Request(url=f"{server.origin}/v1/x"), http)
        assert KEY not in repr(ready)
        targets = [request.target for request in server.requests]
        assert targets == [
            "/token",
            f"{PLACE}/publishers/google/models/gemini-2.5-flash:generateContent",
            f"{PLACE}/publishers/google/models/text-embedding-005:predict",
            f"{PLACE}/publishers/google/models/gemini-2.5-flash-tts:generateContent",
        ]
        assert all(r.headers["authorization"] == f"Bearer {KEY}" for r in server.requests[1:])

    async def test_a_file_serves_like_the_stored_json(
        self, server: VertexServer, http: RecordingHttp, tmp_path: Path
    ) -> None:
        file = tmp_path / "account.json"
        file.write_text(service_account())
        provider = PluginRegistry(external=False).get("vertex")
        server.audience = TOKEN_URL
        google = StandIn(http, TOKEN_URL, f"{server.origin}/token")
        account = self.account(server, credentials_path=str(file), base_url="", token_url=TOKEN_URL)
        assert (await provider.check(account, google)).success

    @pytest.mark.parametrize("field", ["base_url", "token_url"])
    async def test_a_file_serves_googles_own_addresses_only(
        self, server: VertexServer, http: RecordingHttp, tmp_path: Path, field: str
    ) -> None:
        file = tmp_path / "account.json"
        file.write_text(service_account())
        provider = PluginRegistry(external=False).get("vertex")
        addresses = {"base_url": "", "token_url": TOKEN_URL, field: f"{server.origin}/mine"}
        account = self.account(server, credentials_path=str(file), **addresses)
        with pytest.raises(InvalidAuthError, match="goes to Google only"):
            await provider.authorize(account, Request(url=f"{server.origin}/v1/x"), http)
        assert http.sent == []

    async def test_a_path_tells_nothing_about_what_it_leads_to(
        self, server: VertexServer, http: RecordingHttp, tmp_path: Path
    ) -> None:
        secret = tmp_path / "passwords.txt"
        secret.write_text("root:hunter2")
        no_key = tmp_path / "other.json"
        no_key.write_text('{"client_email": "hunter2", "private_key": "hunter2"}')
        provider = PluginRegistry(external=False).get("vertex")
        told = set()
        for path in (secret, no_key, tmp_path, tmp_path / "nowhere", Path("/dev/zero"), Path("/dev/tty")):
            account = self.account(server, credentials_path=str(path), base_url="", token_url=TOKEN_URL)
            with pytest.raises(InvalidAuthError) as caught:
                await provider.check(account, http)
            told.add(str(caught.value))
        assert len(told) == 1
        assert server.requests == []

    @pytest.mark.parametrize("stored", ["", "{}", "not json", '{"client_email": "a", "private_key": "b"}'])
    async def test_a_malformed_account_is_refused_before_anything_is_sent(
        self, server: VertexServer, http: RecordingHttp, stored: str
    ) -> None:
        provider = PluginRegistry(external=False).get("vertex")
        with pytest.raises(InvalidAuthError):
            await provider.check(self.account(server, service_account=stored), http)
        assert server.requests == []
