"""The page in a real browser: the distribution's Chromium, against a service with a provider on a local socket."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

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
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.token import Scope
from keycairn.plugins.registry import PluginRegistry
from keycairn.testing.openai_server import OpenAIServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEY = "sk-canary-4f9A7c2E81b6D05x"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="There is no chromium here: apt install chromium")


class Place:
    """A running service, the token of its administrator, and a browser. `provider` is what its one key is for."""

    def __init__(self, keycairn: Keycairn, url: str, token: str, provider: OpenAIServer, browser: Browser) -> None:
        self.keycairn = keycairn
        self.url = url
        self.token = token
        self.provider = provider
        self.browser = browser
        self.contexts: list[BrowserContext] = []
        self.trouble: list[str] = []
        """What the browser's console said went wrong; failed saves are told there too, and are none."""

    async def opened(self, path: str = "", *, scripts: bool = True, dark: bool = False, width: int = 1280) -> Page:
        """A page of a browser that nobody used before; signed in and at `path`, where one is given."""
        context = await self.browser.new_context(
            base_url=self.url,
            java_script_enabled=scripts,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            viewport={"width": width, "height": 800},
        )
        self.contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("console", self._note)
        if path:
            await page.goto("/sign-in")
            await page.get_by_label("Token").fill(self.token)
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url(lambda url: "/sign-in" not in url)
            await page.goto(path)
        return page

    def _note(self, said: ConsoleMessage) -> None:
        if said.type == "error" and "status of" not in said.text:
            self.trouble.append(said.text)

    async def close_all(self) -> None:
        """Close every context that was opened."""
        while self.contexts:
            await self.contexts.pop().close()


@asynccontextmanager
async def a_place(folder: Path) -> AsyncIterator[Place]:
    """A service with one key in its environment, and nothing stored."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(OpenAIServer(key=KEY))
        policy = EgressPolicy()
        http, upstream = GuardedHttp(policy), HttptoolsUpstream(WayOut(policy))
        stack.push_async_callback(http.aclose)
        stack.push_async_callback(upstream.aclose)
        keycairn = Keycairn(
            store=MemoryStore(),
            opener=AesGcmKeysets(),
            registry=PluginRegistry(external=False),
            http=http,
            environment=FakeEnvironment({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": provider.url}),
            clock=SystemClock(),
            ids=UlidIds(),
            upstream=upstream,
            backup_dir=folder / "backups",
        )
        await keycairn.vault.unlock(ROOT_KEY)
        _, token = await keycairn.tokens.create("people", (Scope.ADMIN,))
        url = await stack.enter_async_context(_served(keycairn))
        play = await stack.enter_async_context(async_playwright())
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        stack.push_async_callback(browser.close)
        yield Place(keycairn, url, token.reveal(), provider, browser)


@asynccontextmanager
async def _served(keycairn: Keycairn) -> AsyncIterator[str]:
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
