"""What every request passes before anyone looks who sends it, as an ASGI application around another."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from keycairn.app.ingress.origins import From, Origins, is_preflight, preflight_headers
from keycairn.app.ingress.proxies import Proxies
from keycairn.domain.errors import ForeignOriginError, IngressError

OPEN = "/health/"
"""Below it, any page may ask: probes tell nothing but that the service lives."""

Refused = Callable[[Scope, IngressError], tuple[int, list[tuple[bytes, bytes]], bytes]]
"""Told of a refusal; gives status, headers and body of the answer."""


class Ingress:
    """Puts the client's address and scheme into the scope, and refuses requests of foreign pages.

    `prefix` is the path under which the application stands.
    """

    def __init__(self, app: ASGIApp, proxies: Proxies, origins: Origins, refused: Refused, prefix: str = "") -> None:
        self._app = app
        self._proxies = proxies
        self._origins = origins
        self._refused = refused
        self._open = prefix + OPEN

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request."""
        seen = self._with_source(scope)
        socket = scope["type"] != ScopeType.HTTP
        if scope["path"].startswith(self._open):
            return self._app(seen, receive, send)
        try:
            sender, origin = self._origins.judge(seen)
        except ForeignOriginError as error:
            return _answer(as_refusal(send) if socket else send, *self._refused(seen, error))
        if socket:
            return self._app(seen, receive, send)
        if sender is From.ALLOWED_PAGE and is_preflight(seen):
            return _answer(send, 204, preflight_headers(seen, origin), b"")
        return self._app(seen, receive, readable_by(origin, send) if self._origins.allowed or origin else send)

    def _with_source(self, scope: Any) -> Any:
        client = scope.get("client")
        address, scheme = self._proxies.source(client[0], scope["headers"]) if client else ("", None)
        return {
            **scope,
            "client": (address, client[1] if client else 0),
            "scheme": scheme or scope.get("scheme", "http"),
        }


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def as_refusal(send: Send) -> Send:
    """`send` for an answer over HTTP in place of a websocket, as ASGI's extension `websocket.http.response` has it."""

    async def sending(message: Message) -> None:
        told: Any = {**message, "type": f"websocket.{message['type']}"}
        await send(told)

    return sending


def readable_by(origin: bytes, send: Send) -> Send:
    """`send` whose answers the page of `origin` may read; "" for none, whose caches still keep answers apart."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            told = message.get("headers", ())
            headers = [pair for pair in told if not pair[0].lower().startswith(b"access-control-")]
            headers.append((b"vary", b"Origin"))
            if origin:
                headers.append((b"access-control-allow-origin", origin))
                headers.append((b"access-control-expose-headers", b"*"))
            message["headers"] = headers
        await send(message)

    return sending
