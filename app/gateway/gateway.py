"""The gateway as an ASGI application."""

import asyncio
import traceback
from contextlib import suppress
from random import Random
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from keycairn.app.gateway import spans
from keycairn.app.gateway.accounting import Accounting
from keycairn.app.gateway.admission import Admission
from keycairn.app.gateway.answering import BrokenOffError, PassedAnswer, marks, pass_on
from keycairn.app.gateway.attempt import AttemptRunner
from keycairn.app.gateway.bookkeeping import counts_use, usage_key, usage_of
from keycairn.app.gateway.call import Call, Report
from keycairn.app.gateway.call_log import CallLog
from keycairn.app.gateway.directory import Directory
from keycairn.app.gateway.disconnect_guard import DisconnectGuard
from keycairn.app.gateway.errors import render
from keycairn.app.gateway.failover import Failover
from keycairn.app.gateway.headers import RawHeaders
from keycairn.app.gateway.health import Health
from keycairn.app.gateway.limits import Limiter
from keycairn.app.gateway.listing import ModelLists
from keycairn.app.gateway.metrics import GatewayMetrics
from keycairn.app.gateway.opened import OpenAccounts
from keycairn.app.gateway.presented import presented_token
from keycairn.app.gateway.reading import check_request, check_socket, read_call
from keycairn.app.gateway.recovery import Recovery
from keycairn.app.gateway.repetition import with_own_key
from keycairn.app.gateway.request_body import ClientGoneError, Incoming, Intake
from keycairn.app.gateway.resolution import Resolver
from keycairn.app.gateway.resource_ids import ResourceIds
from keycairn.app.gateway.resources import check_counted, kind_of
from keycairn.app.gateway.routes import ANTHROPIC, APIS, NATIVE
from keycairn.app.gateway.shared_limits import SharedLimiter
from keycairn.app.gateway.socket_call import SOCKET_APIS, Offered, socket_call
from keycairn.app.gateway.sockets import Sockets
from keycairn.app.gateway.usage_marks import UsageMarks
from keycairn.app.gateway.usage_scanner import unanswered
from keycairn.app.ingress.ingress import as_refusal
from keycairn.app.security_headers import SECURITY_HEADERS
from keycairn.app.services.access import Attempts, Tokens
from keycairn.app.services.audit import ANONYMOUS, AuditCounters
from keycairn.app.services.credentials import CredentialOpener
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import Action, Caller
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import (
    AuthenticationError,
    ForbiddenError,
    KeycairnError,
    TooManyAttemptsError,
)
from keycairn.ports.clock import Clock
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.spool import Spools
from keycairn.ports.store import Store
from keycairn.ports.tracing import Tracing
from keycairn.ports.upstream import Upstream
from keycairn.ports.websocket import Websockets

_log = structlog.get_logger()


class Gateway:
    """Serves `/v1/...`, `/anthropic/v1/...` and `/native/{credential}/...`, whatever prefix the scope's path had.

    `start` and `aclose` frame its life; it writes its accounting and probes refused keys in between.
    """

    def __init__(  # noqa: PLR0913  # one argument for each thing it stands on
        self,
        *,
        store: Store,
        tokens: Tokens,
        accounts: CredentialOpener,
        vault: Vault,
        registry: ProviderRegistry,
        upstream: Upstream,
        http: Http,
        clock: Clock,
        attempts: Attempts,
        audit_counters: AuditCounters,
        tracing: Tracing | None = None,
        spools: Spools | None = None,
        websockets: Websockets | None = None,
    ) -> None:
        self._tracing = tracing
        self._counters = audit_counters
        self._clock = clock
        self._monotonic = clock.monotonic
        self.metrics: GatewayMetrics = GatewayMetrics()
        self.directory: Directory = Directory(store, tokens, clock)
        self.health: Health = Health(clock.monotonic)
        self.accounting: Accounting = Accounting(store, UsageMarks(store, audit_counters))
        held = (self.accounting.between, clock, tokens.family)
        self._limiter = Limiter(*held) if store.shares is None else SharedLimiter(*held, store.shares)
        self._admission = Admission(self.directory, attempts, audit_counters, self._limiter)
        self._recovery = Recovery(self.health, accounts, registry, http)
        self._vault = vault
        self._resources = ResourceIds(vault)
        self._resolver = Resolver(self.directory, registry)
        self._lists = ModelLists(self.directory, self._resolver.anthropic, registry)
        opened = OpenAccounts(accounts, registry)
        self._failover = Failover(
            resolver=self._resolver,
            attempts=AttemptRunner(
                opened=opened, http=http, upstream=upstream, limiter=self._limiter, websockets=websockets
            ),
            health=self.health,
            recovery=self._recovery,
            limiter=self._limiter,
            count=self.metrics.attempt,
        )
        self._sockets = Sockets(
            failover=self._failover,
            directory=self.directory,
            limiter=self._limiter,
            accounting=self.accounting,
            clock=clock,
        )
        self.intake: Intake = Intake(spools=spools)
        self.call_log: CallLog = CallLog(clock.now)
        self._ids = Random()  # noqa: S311  # an id is no secret, and the system's own source costs a call of the system
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to write the accounting."""
        self._tasks = [asyncio.create_task(self.accounting.run()), asyncio.create_task(self._limiter.run())]

    async def aclose(self) -> None:
        """Stop, and write what was counted last. Calls under way are the server's to end."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        await self._sockets.aclose()
        await self._recovery.aclose()
        await self.accounting.aclose()
        await self._limiter.aclose()
        self.call_log.flush()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one websocket."""
        over_http = scope["type"] == ScopeType.HTTP
        path: str = scope["path"]
        dialect = Dialect.ANTHROPIC if path.startswith(ANTHROPIC) else Dialect.OPENAI
        report = Report(id=f"{self._ids.getrandbits(64):016x}")
        begun = self._monotonic()
        try:
            serve = self._serve if over_http else self._serve_socket
            await serve(scope, path, receive, send, dialect, report)
        except KeycairnError as error:
            self._note(error, scope, path)
            await self._refuse(error, dialect, report, send if over_http else as_refusal(send))
        except ClientGoneError:
            report.code = "client_gone"
        except BrokenOffError:
            pass  # returning without an end makes the server cut the connection
        except Exception as error:  # noqa: BLE001  # a fault of ours must still be answered in the caller's dialect
            frames = traceback.extract_tb(error.__traceback__)
            places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
            _log.error("unexpected error", exception=type(error).__name__, places=places)
            if over_http or not report.begun:
                await self._refuse(KeycairnError(), dialect, report, send if over_http else as_refusal(send))
        finally:
            api = APIS.get(path) if over_http else SOCKET_APIS.get(path)
            name = api.name if api else "native" if path.startswith(NATIVE) else kind_of(path) or "other"
            seconds = self._monotonic() - begun
            self.metrics.call(name, report, seconds)
            if report.caller:
                self.call_log.note(name, report.caller, report, seconds)

    async def _serve(  # a request and its answer
        self, scope: Any, path: str, receive: Receive, send: Send, dialect: Dialect, report: Report
    ) -> None:
        check_request(scope, path)
        await self.directory.refresh()
        headers: RawHeaders = scope["headers"]
        given = dict(headers)
        token = presented_token(given)
        known = await self._admission.admitted(scope, token, report)
        caller = known.principal
        method = scope["method"]
        api = APIS.get(path)
        if api is None and not path.startswith(NATIVE) and kind_of(path) is None:
            await self._lists.serve(path, method, caller, send)
            return
        await self._admission.begin(known)
        incoming = Incoming(receive, self.intake, _length(given))
        try:
            call = await read_call(scope, path, caller, incoming, self._resources)
            call.headers = with_own_key(call.headers, caller, self._vault)
            if call.api.native:
                dialect = report.dialect = await self._resolver.dialect(call)
            call.candidates = await self._resolver.candidates(call)
            if counts_use(known.subjects, call):
                await check_counted(call)
            call.token = token
            await self._carry_out(call, incoming, send, dialect, report)
        finally:
            self._admission.end(known, report)
            incoming.close()

    async def _serve_socket(  # a handshake and its session
        self, scope: Any, path: str, receive: Receive, send: Send, dialect: Dialect, report: Report
    ) -> None:
        await receive()  # that it wants to connect
        check_socket(scope, path)
        await self.directory.refresh()
        offered = Offered(scope)
        known = await self._admission.admitted(scope, offered.token, report)
        call = socket_call(scope, path, offered.query, known.principal)
        call.headers = with_own_key(call.headers, known.principal, self._vault)
        call.token, call.subprotocols = offered.token, offered.passed
        await self._admission.begin(known)
        begun = self._monotonic()
        span = self._tracing.begin(spans.operation(call), call.headers) if self._tracing else None
        try:
            if call.api.native:
                dialect = report.dialect = await self._resolver.dialect(call)
            call.candidates = await self._resolver.candidates(call)
            await self._sockets.carry_out(
                call,
                known.subjects,
                receive,
                send,
                subprotocol=offered.chosen,
                dialect=dialect,
                report=report,
                elapsed=lambda: self._monotonic() - begun,
            )
        except KeycairnError as error:
            report.code = error.code
            raise
        finally:
            self._admission.end(known, report)
            self._account(call, report)
            if span is not None:
                spans.end(span, call, report)

    async def _carry_out(self, call: Call, incoming: Incoming, send: Send, dialect: Dialect, report: Report) -> None:
        """The call, its answer passed on, and its accounting, under the watch of the client's connection."""
        begun = self._monotonic()
        span = self._tracing.begin(spans.operation(call), call.headers) if self._tracing else None
        try:
            with DisconnectGuard(incoming):
                exchange = await self._failover.run(call, report)
                try:
                    answer = PassedAnswer(exchange, call, report, dialect, incoming.hold)
                    await pass_on(answer, send, lambda: self._monotonic() - begun)
                finally:
                    self._failover.end(exchange, report.due)
        except ClientGoneError:
            if not report.begun and report.attempts and call.api.uses_tokens:
                report.used = unanswered(report.sent)  # the provider may be at work on it
            raise
        except KeycairnError as error:
            report.code = error.code
            if report.begun:
                raise BrokenOffError from None
            raise
        finally:
            self._account(call, report)
            if span is not None:
                spans.end(span, call, report)

    def _account(self, call: Call, report: Report) -> None:
        now = self._clock.now()
        self.accounting.add(usage_key(call, report, now), usage_of(report, now), now.hour)

    def _note(self, error: KeycairnError, scope: Any, path: str) -> None:
        """Count a refusal for the audit log, by the API's name: what stands in a path may be anything."""
        if isinstance(error, AuthenticationError | ForbiddenError | TooManyAttemptsError):
            client = scope.get("client")
            caller = Caller(actor=ANONYMOUS, source=client[0] if client else "")
            api = APIS.get(path)
            self._counters.note(caller, Action.ACCESS_REFUSED, api.name if api else "gateway", outcome=error.code)

    async def _refuse(self, error: KeycairnError, dialect: Dialect, report: Report, send: Send) -> None:
        status, headers, body = render(error, report.dialect or dialect, report.id)
        report.status, report.code = status, error.code
        await send(
            {"type": "http.response.start", "status": status, "headers": [*headers, *marks(report), *SECURITY_HEADERS]}
        )
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _length(headers: dict[bytes, bytes]) -> int | None:
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 16 else None
