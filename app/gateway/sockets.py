"""Calls over a websocket: opened by failover as every call is, passed on as sessions, ended when access ends."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from litestar.types import Receive, Send

from keycairn.app.gateway.accounting import Accounting
from keycairn.app.gateway.answering import PassedAnswer, pass_on
from keycairn.app.gateway.attempt import Exchange
from keycairn.app.gateway.bookkeeping import Meter
from keycairn.app.gateway.call import Call, Report
from keycairn.app.gateway.directory import Directory
from keycairn.app.gateway.failover import Failover
from keycairn.app.gateway.limits import FREE, Limiter, Subject
from keycairn.app.gateway.socket_names import SocketNames
from keycairn.app.gateway.socket_session import SocketSession
from keycairn.app.ingress.ingress import as_refusal
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import (
    AuthenticationError,
    ForbiddenError,
    KeycairnError,
    NotFoundError,
    ProviderError,
    SealedError,
)
from keycairn.domain.provider_failure import Failure
from keycairn.domain.token import Scope, carries
from keycairn.ports.clock import Clock
from keycairn.ports.websocket import SWITCHING

GLANCE = 1.0
"""Seconds between two looks at whether those who have sessions may still have them."""
_NO_ACCESS = (AuthenticationError, ForbiddenError, NotFoundError, SealedError)


class Sockets:
    """Carries calls out whose api is a websocket, and holds their sessions to what the store says meanwhile."""

    def __init__(
        self, *, failover: Failover, directory: Directory, limiter: Limiter, accounting: Accounting, clock: Clock
    ) -> None:
        self._failover = failover
        self._directory = directory
        self._limiter = limiter
        self._accounting = accounting
        self._clock = clock
        self._sessions: set[SocketSession] = set()
        self._watch: asyncio.Task[None] | None = None

    async def carry_out(  # a call, its two ends, and how it is told
        self,
        call: Call,
        subjects: Sequence[Subject],
        receive: Receive,
        send: Send,
        *,
        subprotocol: str,
        dialect: Dialect,
        report: Report,
        elapsed: Callable[[], float],
    ) -> None:
        """The call, until its session is over. Raises KeycairnError while the client was not let in."""
        exchange = await self._failover.run(call, report)
        if exchange.answer.status != SWITCHING:
            try:
                answer = PassedAnswer(exchange, call, report, dialect, lambda _: None)
                await pass_on(answer, as_refusal(send), elapsed)
            finally:
                self._failover.end(exchange, report.due)
            return
        meter = Meter(call, report, subjects, limiter=self._limiter, accounting=self._accounting, clock=self._clock)
        session = SocketSession(exchange, call, report, meter, _names(call, report), dialect, self._again)
        self._begin(session)
        try:
            await session.run(receive, send, subprotocol, elapsed)
        finally:
            self._sessions.discard(session)
            self._failover.end(session.exchange, report.due)

    async def _again(self, session: SocketSession, failure: Failure) -> Exchange | None:
        """Another connection for a session whose provider refused before it said anything. As `Failover.again`."""
        found = await self._failover.again(session.call, session.report, session.exchange, failure)
        if found is None:
            return None
        if found.answer.status != SWITCHING:
            self._failover.end(found, FREE)
            raise ProviderError(status=found.answer.status)
        self._failover.end(session.exchange, FREE)
        return found

    async def aclose(self) -> None:
        """Look no more."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None

    def _begin(self, session: SocketSession) -> None:
        self._sessions.add(session)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Again and again, while there are sessions."""
        while self._sessions:
            await asyncio.sleep(GLANCE)
            for session in list(self._sessions):
                try:
                    await self._check(session)
                except _NO_ACCESS as error:
                    session.stop(error)
                except KeycairnError:
                    continue  # the store does not answer now: what is said of it is for calls that begin

    async def _check(self, session: SocketSession) -> None:
        """Raise what a call would be refused with that began now, as far as it is about who calls and whose account.

        A key that was rotated is no reason: its provider took the former one when the session began.
        """
        call, report = session.call, session.report
        await self._directory.refresh()
        known = self._directory.remembered(call.token) or await self._directory.caller(call.token)
        if not carries(known.principal.scopes, Scope.INVOKE):
            raise ForbiddenError(Scope.INVOKE)
        await self._directory.credential(call.caller.workspace, report.credential)


def _names(call: Call, report: Report) -> SocketNames | None:
    """What looks at the models in the client's messages, None where nothing depends on them."""
    if call.model is None:
        return None
    reach = call.caller.reach
    listed = None if reach.everything_of(report.provider) else reach
    if listed is None and call.model == report.model_name:
        return None
    return SocketNames(call.model, report.model_name, report.provider, listed)
