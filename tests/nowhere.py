"""Ways out that lead nowhere and remember where each secret would have gone, and a Keycairn upon them."""

from collections import defaultdict
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import msgspec
from tests.fakes import FakeClock, FakeEnvironment, FakeIds
from tests.house import ROOT_KEY, FakeKeysets

from keycairn.adapters.guarded_http import MemoryTokenCache
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope
from keycairn.domain.url import parse_target, parse_url
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.http import Http, Request, Response
from keycairn.ports.upstream import Headers, Upstream, UpstreamAnswer, UpstreamRequest

FOUND = {"data": [], "models": [], "access_token": "bought", "expires_in": 3600, "stt": [], "tts": [], "projects": []}
Went = dict[str, set[str]]
"""The origins each secret, or token, was sent to."""


class Ended:
    """An answer that says nothing."""

    status = 200
    headers: Headers = ()

    async def beginning(self) -> bytes | None:
        return b""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield b"{}"

    def close(self) -> None: ...


class Recorder:
    """An Http and an Upstream that lead nowhere, and remember where each of `texts` would have gone."""

    def __init__(self) -> None:
        self.tokens = MemoryTokenCache()
        self.texts: dict[str, str] = {}
        self.went: Went = defaultdict(set)

    def vet(self, url: str, *, field: str | None = None) -> None:
        parse_url(url, field=field)

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        self._note(request.url, [*request.headers.items()], secret_body=request.secret_body)
        return Response(status=200, body=msgspec.json.encode(FOUND))

    async def start(self, request: UpstreamRequest, *, connect_within: float, answer_within: float) -> UpstreamAnswer:
        self._note(request.url, request.headers)
        return Ended()

    async def aclose(self) -> None: ...

    def _note(self, url: str, headers: Any, *, secret_body: bool = False) -> None:
        origin = parse_target(url).origin
        shown = [value.reveal() for _, value in headers if isinstance(value, Secret)]
        for name, text in self.texts.items():
            if any(text in value for value in shown):
                self.went[name].add(origin)
        if secret_body:
            self.went["service_account"].add(origin)


async def keycairn(http: Http, upstream: Upstream) -> Keycairn:
    made = Keycairn(
        store=MemoryStore(),
        opener=FakeKeysets(),
        registry=PluginRegistry(external=False),
        http=http,
        environment=FakeEnvironment(),
        clock=FakeClock(step=0.001),
        ids=FakeIds(),
        upstream=upstream,
    )
    await made.vault.unlock(ROOT_KEY)
    return made


def invoking(kc: Keycairn) -> httpx.AsyncClient:
    """A client of the gateway; it still needs `admit`."""
    assert kc.gateway is not None
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=kc.gateway), base_url="http://gateway")  # type: ignore[arg-type]  # Litestar's ASGI types


async def admit(kc: Keycairn, client: httpx.AsyncClient) -> None:
    _, text = await kc.tokens.create("test", (Scope.INVOKE,))
    client.headers["authorization"] = f"Bearer {text.reveal()}"
