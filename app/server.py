"""Keycairn as an application of its own."""

import gc
from collections.abc import Sequence

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from keycairn.app.api.raw import send_problem
from keycairn.app.gateway import GATEWAY_PATHS
from keycairn.app.hosts import Hosts
from keycairn.app.ingress.ingress import as_refusal
from keycairn.app.ingress.origins import parse_public_url
from keycairn.app.keycairn import Keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.settings import Settings
from keycairn.domain.errors import HostNotAllowedError


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
    settled = False

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # type: ignore[comparison-overlap]  # Litestar leaves lifespan out of Scope
            await app(scope, receive, send)
            return
        nonlocal settled
        if not settled and scope["path"].startswith(GATEWAY_PATHS):
            # What exists by now lives as long as the process: looking through it again and again is a tenth of a
            # call's cost.
            settled = True
            gc.collect()
            gc.freeze()
        await plugin.asgi(scope, receive, send)

    return front


def hosts_of(settings: Settings) -> Hosts:
    """The names that `settings` give the service."""
    public = (parse_public_url(settings.public_url).host,) if settings.public_url else ()
    return Hosts((*settings.allowed_hosts, *public), bound=settings.host)


def guarded(app: ASGIApp, hosts: Hosts) -> ASGIApp:
    """`app` for requests with exactly one good Host header. Health is told to everyone: probes use any name."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"].startswith("/health/"):  # type: ignore[comparison-overlap]  # Litestar leaves lifespan out of Scope
            await app(scope, receive, send)
            return
        named = [value for name, value in scope["headers"] if name == b"host"]
        if len(named) == 1 and hosts.accept(named[0]):
            await app(scope, receive, send)
        else:
            await send_problem(send if scope["type"] == ScopeType.HTTP else as_refusal(send), HostNotAllowedError())

    return guard
