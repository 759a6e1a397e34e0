"""Keycairn as an application of its own."""

import gc
from collections.abc import Awaitable, Sequence
from threading import Thread

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, ControllerRouterHandler, Message, Receive, Scope, Send

from keycairn.app.hosts import Hosts
from keycairn.app.ingress.ingress import as_refusal
from keycairn.app.ingress.origins import parse_public_url
from keycairn.app.keycairn import Keycairn
from keycairn.app.page import compile_templates
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.settings import Settings
from keycairn.app.web.raw import send_problem
from keycairn.domain.errors import HostNotAllowedError

COLLECTED = (5_000, 10, 1_000)
"""The collector's thresholds: what it goes through at once are a few milliseconds, and everything hardly ever."""


def create_app(
    settings: Settings | None = None,
    *,
    keycairn: Keycairn | None = None,
    handlers: Sequence[ControllerRouterHandler] = (),
) -> Litestar:
    """A bare Litestar application with nothing but the plugin, at the root; see `KeycairnPlugin`."""
    plugin = KeycairnPlugin(settings, keycairn=keycairn, handlers=handlers)
    return Litestar(plugins=[plugin], openapi_config=None, logging_config=None)


def fronted(app: Litestar) -> ASGIApp:
    """`app` with requests led past its routing, straight to its plugin: that halves what a call of a model costs.

    For an application whose plugin stands at the root, as that of `create_app`. Its router would keep the paths of
    whoever asks, too.
    """
    plugin = app.plugins.get(KeycairnPlugin)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":  # type: ignore[comparison-overlap]  # Litestar leaves lifespan out of Scope
            await plugin.asgi(scope, receive, send)
            return

        async def started(message: Message) -> None:
            if str(message["type"]) == "lifespan.startup.complete":
                collect_seldom()
                Thread(target=compile_templates, daemon=True).start()
            await send(message)

        await app(scope, receive, started)

    return front


def collect_seldom() -> None:
    """Have the garbage collector leave alone what exists, and look at the rest in small parts.

    What was loaded by a start lives as long as the process. Going through it is a tenth of a gateway call's cost, and
    with tens of thousands of records holds everybody up for a quarter of a second each time.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTED)


def hosts_of(settings: Settings) -> Hosts:
    """The names that `settings` give the service."""
    public = (parse_public_url(settings.public_url).host,) if settings.public_url else ()
    return Hosts((*settings.allowed_hosts, *public), bound=settings.host)


def guarded(app: ASGIApp, hosts: Hosts) -> ASGIApp:
    """`app` for requests with exactly one good Host header. Health is told to everyone: probes use any name.

    As the layers below, it gives the awaitable of the next: a coroutine of its own for each would cost every call. A
    server has to be told that it is ASGI 3.
    """

    def guard(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan" or scope["path"].startswith("/health/"):  # type: ignore[comparison-overlap]  # Litestar leaves lifespan out of Scope
            return app(scope, receive, send)
        named = [value for name, value in scope["headers"] if name == b"host"]
        if len(named) == 1 and hosts.accept(named[0]):
            return app(scope, receive, send)
        return send_problem(send if scope["type"] == ScopeType.HTTP else as_refusal(send), HostNotAllowedError())

    return guard
