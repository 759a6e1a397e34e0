"""Letting a call in: who calls and may, how many are under way, and the limits of whoever calls."""

from typing import Any

from keycairn.app.gateway.call import Report
from keycairn.app.gateway.directory import Directory, KnownCaller
from keycairn.app.gateway.limits import Limiter
from keycairn.app.services.access import Attempts, Principal
from keycairn.app.services.audit import AuditCounters
from keycairn.domain.errors import ForbiddenError, OverloadedError
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope as TokenScope
from keycairn.domain.token import carries

PRINCIPAL = "keycairn_principal"
"""The scope key under which this process says for whom it calls itself; no request from outside can have it."""
PREPARED = 8
"""How often the limits of a call are prepared anew."""
MOST_CALLS = 4000
"""Calls under way at one time."""


class Admission:
    """Lets calls in, and counts those under way."""

    def __init__(self, directory: Directory, attempts: Attempts, counters: AuditCounters, limiter: Limiter) -> None:
        self._directory = directory
        self._attempts = attempts
        self._counters = counters
        self._limiter = limiter
        self._calls = 0

    async def admitted(self, scope: Any, token: Secret, report: Report) -> KnownCaller:
        """Who calls, and may. Raises as `_known`, and ForbiddenError."""
        known = await self._known(scope, token)
        report.caller = known.principal.actor
        if not carries(known.principal.scopes, TokenScope.INVOKE):
            raise ForbiddenError(TokenScope.INVOKE)
        return known

    async def begin(self, known: KnownCaller) -> None:
        """Count a call as under way. Raises OverloadedError or LimitReachedError."""
        if self._calls >= MOST_CALLS:
            raise OverloadedError
        if not known.subjects:
            self._calls += 1
            return
        for _ in range(PREPARED):  # while one was prepared, others may have used up what was there for another
            if self._limiter.ready(*known.subjects):
                break
            for subject in known.subjects:
                await self._limiter.prepare(subject)
        self._limiter.begin(*known.subjects)
        self._calls += 1

    def end(self, known: KnownCaller, report: Report) -> None:
        """Count it as ended, and what it used or may have used."""
        self._calls -= 1
        for subject in known.subjects:
            self._limiter.end(subject, report.due)

    async def _known(self, scope: Any, token: Secret) -> KnownCaller:
        """Who calls. Wrong tokens are subject to the limit on failed attempts, as on every door.

        Raises AuthenticationError, TooManyAttemptsError or SealedError.
        """
        if isinstance(principal := scope.get(PRINCIPAL), Principal):
            return await self._directory.known(principal)
        known = self._directory.remembered(token)
        if known is not None:
            if (id := known.principal.token) is not None:
                self._counters.token_used(id)
            return known
        address = scope["client"][0] if scope.get("client") else ""
        return await self._attempts.proven(token, address, self._directory.caller)
