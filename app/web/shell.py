"""What surrounds every request: its id, the headers of every answer, the log line, the metrics."""

import time
from collections.abc import Awaitable, Callable, Mapping
from secrets import token_hex
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from keycairn.app.gateway import GATEWAY_PATHS, PUBLIC_URL, Gateway
from keycairn.app.ingress.form import check_form
from keycairn.app.ingress.ingress import as_refusal
from keycairn.app.logs import LogBudget
from keycairn.app.security_headers import SECURITY_HEADERS
from keycairn.app.web.auth import CALLER, REQUEST_ID
from keycairn.app.web.methods import known_method
from keycairn.app.web.metrics import Metrics
from keycairn.app.web.paging import PREFIX
from keycairn.app.web.raw import send_problem
from keycairn.domain.audit import Caller
from keycairn.domain.errors import AmbiguousRequestError, BadRequestError, IngressError, TargetTooLongError

LONGEST_PATH = 512
"""Characters of a path. Litestar's router keeps a thousand of those that were asked for, whoever asked."""
_NO_TEXT = "The path or the query is not UTF-8 text without NUL characters."
_NO_WEBSOCKET = "This path speaks HTTP/1.1 alone: send no Upgrade header."
_log = structlog.get_logger()


class Shell:
    """Hands a request of the outer application to the inner one, as if that stood alone at the root.

    The scope is made anew: nothing of the outer application's state, routing or parsing reaches the inner one.
    `public` is the address people use, where that is set: links lead there. `state` is in the state of each request.
    """

    def __init__(
        self,
        inner: ASGIApp,
        prefix: str,
        metrics: Metrics,
        monotonic: Callable[[], float] = time.monotonic,
        gateway: Callable[[], Gateway | None] = lambda: None,
        public: str = "",
        state: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self._inner = inner
        self._prefix = prefix.rstrip("/")
        self._metrics = metrics
        self._monotonic = monotonic
        self._gateway = gateway
        self._public = public
        self._state = state
        self._strangers = LogBudget("requests without a valid token")

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request. Calls of models go to the gateway, which has authorization and errors of its own."""
        path = scope["path"].removeprefix(self._prefix) or "/"
        if path.startswith(GATEWAY_PATHS) and (gateway := self._gateway()) is not None:
            return gateway({**scope, "path": path, PUBLIC_URL: self._public}, receive, send)  # type: ignore[arg-type]  # a scope's copy
        return self._serve(path, scope, receive, send)

    async def _serve(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await send_problem(as_refusal(send), AmbiguousRequestError(_NO_WEBSOCKET))
            return
        request_id = token_hex(16)
        state: dict[str, Any] = {**self._state, REQUEST_ID: request_id}
        inner: Any = {key: value for key, value in scope.items() if key in _SCOPE_KEYS}
        inner.update(
            {
                "path": path,
                "raw_path": path.encode(),
                "root_path": "",
                "state": state,
                PREFIX: self._public or _base(scope, self._prefix),
            }
        )
        started = self._monotonic()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [pair for pair in SECURITY_HEADERS if pair[0] not in present]
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            check_form(scope)
            if len(path) > LONGEST_PATH:
                raise TargetTooLongError(LONGEST_PATH)
            if _malformed(scope, path):
                await send_problem(sending, BadRequestError(_NO_TEXT))
            else:
                await self._inner(inner, receive, sending)
        except IngressError as error:
            await send_problem(sending, error)
        finally:
            self._record(inner, state, status, self._monotonic() - started)

    def _record(self, scope: Any, state: dict[str, Any], status: int, seconds: float) -> None:
        route = scope.get("path_template") or "(none)"
        caller = state.get(CALLER)
        method = known_method(scope)
        self._metrics.request(method, route, status, seconds)
        if not isinstance(caller, Caller) and not self._strangers.allows():
            return
        _log.info(
            "request",
            method=method,
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 2),
            request_id=state[REQUEST_ID],
            actor=caller.actor if isinstance(caller, Caller) else "",
        )


_SCOPE_KEYS = frozenset(
    {"type", "asgi", "http_version", "method", "scheme", "query_string", "headers", "client", "server", "extensions"}
)


def _base(scope: Scope, prefix: str) -> str:
    """What stands before our paths for the client: a proxy's or a server's root path, then ours."""
    return quote(scope.get("root_path", "").rstrip("/") + prefix)


def _malformed(scope: Scope, path: str) -> bool:
    """Whether the path or the query holds NUL or something that is not UTF-8."""
    try:
        query = unquote_to_bytes(scope["query_string"]).decode()
        path.encode()
    except UnicodeError:
        return True
    return "\0" in query or "\0" in path or "\ufffd" in path
