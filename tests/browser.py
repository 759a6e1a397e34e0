"""The page in a real browser: the distribution's Chromium, against a service with a provider on a local socket."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from secrets import token_hex

import pytest
import uvicorn
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright
from tests.fakes import FakeEnvironment
from tests.permissions import ROOT_KEY

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.clock import SystemClock
from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.adapters.httptools_upstream import HttptoolsUpstream, WayOut
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.server import create_app, fronted
from keycairn.app.services.models import NewModel
from keycairn.app.wiring import open_source
from keycairn.domain.audit import Caller
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.ids import CredentialId
from keycairn.domain.modality import Modality
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope
from keycairn.plugins.hookspecs import ENTRY_POINTS
from keycairn.plugins.registry import PluginRegistry
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import Recorded

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEY = "sk-canary-4f9A7c2E81b6D05x"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="There is no chromium here: apt install chromium")


class Provider(OpenAIServer):
    """Takes every key that begins as its own, so that accounts have keys of their own."""

    def authorized(self, recorded: Recorded) -> bool:
        return recorded.headers.get(self.header, "").startswith(f"{self.scheme}{self.key}")


class Place:
    """A running service, the token of its administrator, and a browser. `provider` is what its one key is for.

    A browser has one window with scripts and one without; a test finds them as nobody had used them before.
    """

    def __init__(self, keycairn: Keycairn, url: str, token: str, provider: OpenAIServer, browser: Browser) -> None:
        self.keycairn = keycairn
        self.url = url
        self.token = token
        self.provider = provider
        self.browser = browser
        self.trouble: list[str] = []
        """What the browser's console said went wrong; failed saves are told there too, and are none."""
        self._kept: dict[bool, Page] = {}
        self._others: list[BrowserContext] = []

    async def opened(
        self, path: str = "", *, scripts: bool = True, dark: bool = False, width: int = 1280, token: str = ""
    ) -> Page:
        """The window, at `path` where one is given: signed in there, as the administrator or with `token`."""
        if scripts not in self._kept:
            self._kept[scripts] = await self._window(scripts=scripts)
        page = self._kept[scripts]
        await page.set_viewport_size({"width": width, "height": 800})
        await page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        if path:
            await self.sign_in(page, token or self.token)
            await page.goto(path)
        return page

    async def account(self, name: str, *, models: Sequence[str] = (), key: str = "") -> CredentialId:
        """Store a credential that works, with a key of its own, and models of language."""
        made = await self.keycairn.credentials.create(
            "openai_compatible",
            name=name,
            settings={"base_url": self.provider.url},
            secrets={"api_key": Secret(key or f"{KEY}{token_hex(8)}")},
        )
        wanted = [NewModel(model, Modality.LANGUAGE) for model in models]
        if wanted:
            await self.keycairn.probing.register(made.credential.id, wanted)
        return made.credential.id

    async def another(self, path: str, *, token: str = "") -> Page:
        """The window of somebody else, signed in and at `path`."""
        page = await self._window(scripts=True)
        self._others.append(page.context)
        await self.sign_in(page, token or self.token)
        await page.goto(path)
        return page

    async def sign_in(self, page: Page, token: str) -> None:
        """Give the window the cookie of a new session, as signing in does."""
        sessions = self.keycairn.sessions
        principal = await self.keycairn.tokens.authenticate(Secret(token))
        session = await sessions.begin(principal, Caller(actor=principal.actor, workspace=principal.workspace))
        name = f"keycairn-session-{self.url.rpartition(':')[2]}"
        text = sessions.cookie(session)
        await page.context.add_cookies(
            [{"name": name, "value": text, "url": self.url, "httpOnly": True, "sameSite": "Strict"}]
        )

    async def _window(self, *, scripts: bool) -> Page:
        context = await self.browser.new_context(
            base_url=self.url, java_script_enabled=scripts, reduced_motion="reduce"
        )
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("console", self._note)
        return page

    def _note(self, said: ConsoleMessage) -> None:
        if said.type == "error" and "status of" not in said.text:
            self.trouble.append(said.text)

    async def tidied(self) -> None:
        """Leave nothing to the next test: no session, nothing kept by the browser, no window of others."""
        while self._others:
            await self._others.pop().close()
        for scripts, page in self._kept.items():
            if scripts and page.url.startswith(self.url):
                await page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
            await page.context.clear_cookies()
            await page.goto("about:blank")


@asynccontextmanager
async def a_place(folder: Path, variables: Mapping[str, str] | None = None) -> AsyncIterator[Place]:
    """A service with one key in its environment, more `variables` where they are given, and nothing stored."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Provider(key=KEY))
        policy = EgressPolicy()
        http, upstream = GuardedHttp(policy), HttptoolsUpstream(WayOut(policy))
        stack.push_async_callback(http.aclose)
        stack.push_async_callback(upstream.aclose)
        keycairn = Keycairn(
            store=MemoryStore(),
            opener=AesGcmKeysets(),
            registry=PluginRegistry(found=[EntryPoint("acme", "tests.acme", ENTRY_POINTS)]),
            open_source=open_source,
            http=http,
            environment=FakeEnvironment({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": provider.url, **(variables or {})}),
            clock=SystemClock(),
            ids=UlidIds(),
            upstream=upstream,
            backup_dir=folder / "backups",
        )
        await keycairn.vault.unlock(ROOT_KEY)
        _, token = await keycairn.tokens.create("people", (Scope.ADMIN,))
        url = await stack.enter_async_context(served(keycairn))
        play = await stack.enter_async_context(async_playwright())
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        stack.push_async_callback(browser.close)
        yield Place(keycairn, url, token.reveal(), provider, browser)


@asynccontextmanager
async def served(keycairn: Keycairn) -> AsyncIterator[str]:
    """The address at which a Keycairn is served for the time of the block."""
    app = fronted(create_app(keycairn=keycairn))
    config = uvicorn.Config(
        app,
        port=0,
        log_config=None,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the test's process keeps its own
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn tells it in no other way
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
