"""Keycairn as an application of its own."""

import gc

import msgspec
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from keycairn.app.api.problems import MEDIA_TYPE, problem_response
from keycairn.app.api.shell import SECURITY_HEADERS
from keycairn.app.gateway import GATEWAY_PATHS
from keycairn.app.hosts import Hosts
from keycairn.app.keycairn import Keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.settings import Settings


def create_app(settings: Settings | None = None, *, keycairn: Keycairn | None = None) -> Litestar:
    """A bare Litestar application with nothing but the plugin, at the root; see `KeycairnPlugin`."""
    return Litestar(plugins=[KeycairnPlugin(settings, keycairn=keycairn)], openapi_config=None, logging_config=None)


def fronted(app: Litestar) -> ASGIApp:
    """`app` with calls of models led past its routing, straight to the gateway: that halves what a call costs.

    For an application whose plugin stands at the root, as that of `create_app`.
    """
    plugin = app.plugins.get(KeycairnPlugin)
    settled = False

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["path"].startswith(GATEWAY_PATHS):
            nonlocal settled
            if not settled:
                # What exists by now lives as long as the process: looking through it again and again is a tenth of a
                # call's cost.
                settled = True
                gc.collect()
                gc.freeze()
            gateway = plugin.gateway()
            if gateway is not None:
                await gateway(scope, receive, send)
                return
        await app(scope, receive, send)

    return front


def guarded(app: ASGIApp, hosts: Hosts) -> ASGIApp:
    """`app` for requests with exactly one good Host header. Health is told to everyone: probes use any name."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"].startswith("/health/"):  # type: ignore[comparison-overlap]  # Litestar leaves lifespan out of Scope
            await app(scope, receive, send)
            return
        named = [value for name, value in scope["headers"] if name == b"host"]
        if len(named) == 1 and hosts.accept(named[0]):
            await app(scope, receive, send)
        elif scope["type"] == ScopeType.HTTP:
            await _refuse(send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": ""})

    return guard


async def _refuse(send: Send) -> None:
    response = problem_response(
        400, "host_not_allowed", "Keycairn does not go by this host name. Add it to KEYCAIRN_ALLOWED_HOSTS."
    )
    body = msgspec.json.encode(response.content)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode()), *SECURITY_HEADERS]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
