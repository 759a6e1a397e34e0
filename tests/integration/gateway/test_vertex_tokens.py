"""A token bought with an account serves that account only: through the gateway, with a service account in a file."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct
from msgspec.structs import replace
from tests.nowhere import Ended, admit, invoking, keycairn
from tests.servers.vertex_api import VertexServer, service_account

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.adapters.httptools_upstream import HttptoolsUpstream, WayOut
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.provider import SettingValue
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_target
from keycairn.plugins.managing.assertions import TOKEN_URL
from keycairn.ports.http import Request, Response
from keycairn.ports.upstream import UpstreamAnswer, UpstreamRequest
from keycairn.testing.server import KEY, Answer, LocalServer, Recorded, as_json


class Attacker(LocalServer):
    """Takes whatever comes, and sells tokens of its own."""

    def answer(self, recorded: Recorded) -> Answer:
        return as_json({"access_token": "worthless", "expires_in": 3600})

    def error(self, status: int) -> object:
        return {}


class Google:
    """The guarded client and the gateway's, for which Google's addresses are local or lead nowhere."""

    def __init__(self, seller: VertexServer) -> None:
        policy = EgressPolicy()
        self._seller = seller
        self._http, self._upstream = GuardedHttp(policy), HttptoolsUpstream(WayOut(policy))
        self.tokens = self._http.tokens
        self.calls: list[UpstreamRequest] = []

    def vet(self, url: str, *, field: str | None = None) -> None:
        self._http.vet(url, field=field)

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        url = f"{self._seller.origin}/token" if request.url == TOKEN_URL else request.url
        return await self._http.send(replace(request, url=url), deadline=deadline)

    async def start(self, request: UpstreamRequest, *, connect_within: float, answer_within: float) -> UpstreamAnswer:
        if parse_target(request.url).host.endswith(".googleapis.com"):
            self.calls.append(request)
            return Ended()
        return await self._upstream.start(request, connect_within=connect_within, answer_within=answer_within)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._upstream.aclose()


class Vertex(Struct):
    kc: Keycairn
    google: Google
    seller: VertexServer
    attacker: Attacker
    client: httpx.AsyncClient
    file: str

    async def credential(self, *, stored: bool = False, **settings: SettingValue) -> Credential:
        place = {"project": "my-project", "location": "us-central1"}
        own: dict[str, SettingValue] = {} if stored else {"credentials_path": self.file}
        secrets = {"service_account": Secret(service_account())} if stored else {}
        made = await self.kc.credentials.create(
            "vertex", name="V", settings={**place, **own, **settings}, secrets=secrets
        )
        return made.credential

    async def call(self, credential: Credential) -> int:
        path = "publishers/google/models/gemini-2.5-flash:generateContent"
        return (await self.client.post(f"/native/{credential.id}/{path}", json={})).status_code

    def bearers(self) -> list[str]:
        headers = [dict(call.headers) for call in self.google.calls]
        return [str(one["Authorization"].reveal()) for one in headers if isinstance(one["Authorization"], Secret)]


@pytest.fixture
async def vertex(tmp_path: Path) -> AsyncIterator[Vertex]:
    file = tmp_path / "account.json"
    file.write_text(service_account())
    async with VertexServer() as seller, Attacker(key=None) as attacker:
        seller.audience = TOKEN_URL
        google = Google(seller)
        kc = await keycairn(google, google)
        async with invoking(kc) as client:
            await admit(kc, client)
            yield Vertex(kc, google, seller, attacker, client, str(file))
        await google.aclose()


async def honest(vertex: Vertex) -> Credential:
    """An account of the file that was used, so that its token is kept."""
    credential = await vertex.credential()
    assert await vertex.call(credential) == 200
    assert vertex.bearers() == [f"Bearer {KEY}"]
    return credential


@pytest.mark.parametrize("fields", [("base_url",), ("token_url",), ("base_url", "token_url")])
async def test_a_second_account_of_the_same_file_gets_no_token_for_another_server(
    vertex: Vertex, fields: tuple[str, ...]
) -> None:
    first = await honest(vertex)
    elsewhere: dict[str, Any] = dict.fromkeys(fields, vertex.attacker.origin)
    second = await vertex.credential(**elsewhere)
    assert await vertex.call(second) >= 400
    assert not (await vertex.kc.probing.test(second.id)).success
    assert await vertex.call(first) == 200
    assert vertex.attacker.requests == []
    assert len(vertex.seller.requests) == 1, "the honest account's token is kept all the while"


@pytest.mark.parametrize("field", ["base_url", "token_url"])
async def test_nor_does_the_account_itself_once_it_is_led_elsewhere(vertex: Vertex, field: str) -> None:
    credential = await honest(vertex)
    await vertex.kc.credentials.update(credential.id, CredentialPatch(settings={field: vertex.attacker.origin}))
    assert await vertex.call(credential) >= 400
    assert vertex.attacker.requests == []


async def test_a_stored_account_buys_its_own_token_for_its_own_server(vertex: Vertex) -> None:
    await honest(vertex)
    sold = len(vertex.seller.requests)
    other = await vertex.credential(
        stored=True, base_url=vertex.attacker.origin, token_url=f"{vertex.attacker.origin}/t"
    )
    assert await vertex.call(other) == 200
    assert KEY not in str([request.headers for request in vertex.attacker.requests])
    assert len(vertex.seller.requests) == sold


async def test_another_account_with_the_same_file_and_settings_buys_for_itself(vertex: Vertex) -> None:
    await honest(vertex)
    assert await vertex.call(await vertex.credential()) == 200
    assert len(vertex.seller.requests) == 2


async def test_a_file_that_changed_or_is_gone_has_no_token_any_more(vertex: Vertex) -> None:
    credential = await honest(vertex)
    file = Path(vertex.file)
    file.write_text(service_account("another@project.iam.gserviceaccount.com"))
    assert await vertex.call(credential) >= 400
    file.unlink()
    assert await vertex.call(credential) >= 400
    assert len(vertex.bearers()) == 1


async def test_an_edit_and_a_deletion_let_go_of_the_token(vertex: Vertex) -> None:
    credential = await honest(vertex)
    assert repr(vertex.google.tokens) == "<MemoryTokenCache of 1 tokens>"
    await vertex.kc.credentials.update(credential.id, CredentialPatch(name="Renamed"))
    assert repr(vertex.google.tokens) == "<MemoryTokenCache of 0 tokens>"
    assert await vertex.call(credential) == 200
    assert repr(vertex.google.tokens) == "<MemoryTokenCache of 1 tokens>"
    await vertex.kc.credentials.delete(credential.id)
    assert repr(vertex.google.tokens) == "<MemoryTokenCache of 0 tokens>"


@pytest.mark.parametrize("location", ["evil.example/", "x.evil.example", "evil.example#", "a/b", "é", "-", "a" * 64])
async def test_a_location_is_one_label_of_a_hosts_name(vertex: Vertex, location: str) -> None:
    with pytest.raises(InvalidInputError, match="location"):
        await vertex.credential(location=location)
