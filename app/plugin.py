"""Keycairn as one Litestar plugin."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from secrets import token_hex
from typing import Any

from litestar import HttpMethod, Litestar, WebSocket, route, websocket
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from keycairn.app.api import HANDLERS
from keycairn.app.api.notebook import NotebookController
from keycairn.app.first_run import FirstRun
from keycairn.app.gateway import GATEWAY_PATHS, Gateway
from keycairn.app.gateway.errors import render
from keycairn.app.gateway.routes import ANTHROPIC
from keycairn.app.ingress.ingress import Ingress
from keycairn.app.ingress.origins import Origins, parse_public_url
from keycairn.app.ingress.proxies import Proxies
from keycairn.app.keycairn import Keycairn
from keycairn.app.routes import built_routes, state_of
from keycairn.app.services.audit import ANONYMOUS
from keycairn.app.settings import Settings
from keycairn.app.statuses import api_status, gateway_status
from keycairn.app.web.metrics import Metrics
from keycairn.app.web.raw import raw_problem
from keycairn.app.web.shell import Shell
from keycairn.app.wiring import open_with_first_run
from keycairn.domain.audit import Action, Caller
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import IngressError

_REST = "keycairn_rest"
_OURS = {"exclude_from_auth": True, "exclude_from_csrf": True}
"""Read by Litestar's own middleware. Ours asks for a bearer token itself, and no browser sends that by itself."""


class KeycairnPlugin(InitPlugin):
    """Serves Keycairn under `path` of any Litestar application.

    Its routes live in an application of their own, `router`, behind one handler: the guard, dependencies, exception
    handlers and limits of one side never meet those of the other. Keycairn is opened with the application and closed
    with it; one that is given open already, as `keycairn`, is left open. `handlers` are further route handlers or
    controllers inside; each names the scope it needs in its `opt`. The settings of proxies, origins and the public
    address hold here as they do for `keycairn serve`; host names are judged by the application around. Raises
    SettingsError for such a setting that cannot be used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        keycairn: Keycairn | None = None,
        path: str = "/",
        handlers: Sequence[ControllerRouterHandler] = (),
    ) -> None:
        self.settings: Settings = settings or Settings()
        self.path: str = "/" + path.strip("/")
        self.first_run: FirstRun | None = None
        self.metrics: Metrics = Metrics()
        self._keycairn = keycairn
        self._opened = keycairn is not None
        more = (NotebookController,) if self.settings.open_notebook_client else ()
        self._handlers = [*HANDLERS, *more, *handlers]
        self._router: Litestar | None = None
        self._public = parse_public_url(self.settings.public_url) if self.settings.public_url else None
        self._proxies = Proxies(self.settings.trusted_proxies)
        self._origins = Origins(self.settings.cors_origins, self._public)

    @property
    def keycairn(self) -> Keycairn:
        """The open Keycairn. Raises RuntimeError before the application started."""
        if self._keycairn is None:
            message = "Keycairn opens when the application starts"
            raise RuntimeError(message)
        return self._keycairn

    @property
    def router(self) -> Litestar:
        """The application with all of Keycairn's routes. Other plugins of the process may have the same one."""
        if self._router is None:
            self._router = built_routes(tuple(self._handlers), self._public.base if self._public else self.path)
        return self._router

    @cached_property
    def asgi(self) -> ASGIApp:
        """All of it as an ASGI application, for requests below `path`."""
        base = self._public.base if self._public else ""
        state = state_of(lambda: self.keycairn, self.metrics, self.settings)
        shell = Shell(self._route, self.path, self.metrics, gateway=self.gateway, public=base, state=state)
        return Ingress(shell, self._proxies, self._origins, self._refused, self.path.rstrip("/"))

    def add(self, *handlers: ControllerRouterHandler) -> None:
        """Add route handlers or controllers inside; they get the guard, `keycairn` and `caller` like all others."""
        self._handlers.extend(handlers)
        self._router = None

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Mount the routes and tie Keycairn's life to the application's."""
        asgi, self._router = self.asgi, self.router

        # A path parameter and not a mount: a mount at /vault would also swallow /vaults/{id} of the other side.
        @route(
            [self.path, f"{self.path.rstrip('/')}/{{{_REST}:path}}"],
            http_method=list(HttpMethod),
            include_in_schema=False,
            opt=_OURS,
            name=f"keycairn:{self.path}",
        )
        async def keycairn_routes() -> ASGIApp:
            return asgi

        @websocket(
            [self.path, f"{self.path.rstrip('/')}/{{{_REST}:path}}"], opt=_OURS, name=f"keycairn:{self.path}:sockets"
        )
        async def keycairn_sockets(socket: WebSocket[Any, Any, Any]) -> None:
            await asgi(socket.scope, socket.receive, socket.send)

        app_config.route_handlers += [keycairn_routes, keycairn_sockets]
        app_config.lifespan.append(self._lifespan)
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if not self._opened:
                self._keycairn, self.first_run = await stack.enter_async_context(open_with_first_run(self.settings))
                stack.callback(self._forget)
            if (gateway := self.keycairn.gateway) is not None:
                await gateway.start()
                stack.push_async_callback(gateway.aclose)
                self.metrics.registry.register(gateway.metrics.registry)
                stack.callback(self.metrics.registry.unregister, gateway.metrics.registry)
            yield

    def gateway(self) -> Gateway | None:
        """What serves calls of models, once the application started."""
        return self._keycairn.gateway if self._keycairn is not None else None

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.router(scope, receive, send)

    def _refused(self, scope: Scope, error: IngressError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Count what the ingress refused; the answer, in the dialect of the path."""
        path = scope["path"].removeprefix(self.path.rstrip("/"))
        calls = path.startswith(GATEWAY_PATHS)
        status = gateway_status(error) if calls else api_status(error)
        self.metrics.request(str(scope.get("method", "")), "(ingress)", status, 0.0)
        if self._keycairn is not None:
            client = scope.get("client")
            caller = Caller(actor=ANONYMOUS, source=client[0] if client else "")
            target = "gateway" if calls else "api"
            self._keycairn.audit_counters.note(caller, Action.ACCESS_REFUSED, target, outcome=error.code)
        if not calls:
            return raw_problem(error)
        return render(error, Dialect.ANTHROPIC if path.startswith(ANTHROPIC) else Dialect.OPENAI, token_hex(8))

    def _forget(self) -> None:
        self._keycairn = None
