"""A Keycairn with its gateway on a real socket: real providers, real outgoing connections, to local servers only."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import uvicorn
from msgspec.structs import replace
from tests.fakes import NOON, FakeClock, FakeEnvironment, FakeIds
from tests.house import ROOT_KEY, FakeKeysets

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.adapters.httptools_upstream import HttptoolsUpstream, WayOut
from keycairn.adapters.memory import MemoryStore
from keycairn.adapters.websockets_upstream import WebsocketsUpstream
from keycairn.app.cli.websocket_protocol import BoundedWebsocket
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, Token
from keycairn.domain.usage import Usage, UsageKey
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.spool import Spools
from keycairn.ports.store import Store
from keycairn.ports.tracing import Tracing


class GatewayHouse:
    """`async with gateway_house() as house`. `url` is the gateway's, `token` may invoke."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        registry: ProviderRegistry | None = None,
        tracing: Tracing | None = None,
        spools: Spools | None = None,
    ) -> None:
        policy = EgressPolicy()
        self.http = GuardedHttp(policy)
        self.upstream = HttptoolsUpstream(WayOut(policy))
        self.clock = FakeClock(NOON, step=0.001)
        self.keycairn = Keycairn(
            store=store or MemoryStore(),
            opener=FakeKeysets(),
            registry=registry or PluginRegistry(external=False),
            http=self.http,
            environment=FakeEnvironment(),
            clock=self.clock,
            ids=FakeIds(),
            upstream=self.upstream,
            websockets=WebsocketsUpstream(WayOut(policy)),
            tracing=tracing,
            spools=spools,
        )
        assert self.keycairn.gateway is not None
        self.gateway = self.keycairn.gateway
        self.url = ""
        self.token = ""

    async def credential(self, provider: str, key: str, **settings: str) -> Credential:
        listed = await self.keycairn.credentials.create(
            provider, name=provider, settings=settings, secrets={"api_key": Secret(key)}
        )
        return listed.credential

    async def account(self, provider: str, url: str, key: str | None = None) -> Credential:
        secrets = {} if key is None else {"api_key": Secret(key)}
        listed = await self.keycairn.credentials.create(
            provider, name=provider, settings={"base_url": url}, secrets=secrets
        )
        return listed.credential

    async def model(
        self, credential: Credential, name: str, type: Modality = Modality.LANGUAGE, priority: int = 0
    ) -> Model:
        return await self.keycairn.models.create(
            name, provider=credential.provider, type=type, credential=credential.id, priority=priority
        )

    async def rotate(self, credential: Credential, key: str) -> None:
        await self.keycairn.credentials.update(credential.id, CredentialPatch(secrets={"api_key": Secret(key)}))

    async def new_token(self, *scopes: Scope, limits: Limits = NO_LIMITS) -> tuple[Token, str]:
        token, text = await self.keycairn.tokens.create("test", scopes or (Scope.INVOKE,), limits=limits)
        return token, text.reveal()

    async def usage(self) -> dict[UsageKey, Usage]:
        await self.gateway.accounting.flush()
        day = self.clock.now().date()
        week = timedelta(days=7)
        found = await self.keycairn.store.usage("default", since=day - week, until=day + week)
        return {key: replace(usage, hours={}) for key, usage in found.items()}


async def behind(house: GatewayHouse, url: str) -> httpx.AsyncClient:
    """A client whose model `m` is served by the provider at `url`."""
    credential = await house.credential("openai_compatible", "sk-canary-0123456789", base_url=url)
    await house.model(credential, "m")
    return httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}, timeout=20)


Others = Callable[[], Awaitable[bool]]
"""Whether others, who use another provider, are served as ever."""


@asynccontextmanager
async def gateway_house(
    *,
    store: Store | None = None,
    registry: ProviderRegistry | None = None,
    tracing: Tracing | None = None,
    spools: Spools | None = None,
) -> AsyncIterator[GatewayHouse]:
    house = GatewayHouse(store=store, registry=registry, tracing=tracing, spools=spools)
    await house.keycairn.vault.unlock(ROOT_KEY)
    _, house.token = await house.new_token()
    await house.gateway.start()
    config = uvicorn.Config(
        house.gateway,
        port=0,
        log_config=None,
        lifespan="off",
        ws=BoundedWebsocket,
        ws_per_message_deflate=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the test's process keeps its own
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn tells it in no other way
        await asyncio.sleep(0.005)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    house.url = f"http://{host}:{port}"
    try:
        yield house
    finally:
        server.should_exit = True
        await task
        await house.gateway.aclose()
        await house.upstream.aclose()
        await house.http.aclose()
