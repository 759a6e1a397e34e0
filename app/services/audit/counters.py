"""What happens too often for an event each: it is counted, and written down a moment later."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog
from msgspec import Struct

from keycairn.app.services.audit.journal import Journal
from keycairn.app.services.audit.refused_attempts import ANONYMOUS, RefusedAttempts, Told
from keycairn.domain.audit import Action, Caller, Details
from keycairn.domain.change import Append, RecordUse
from keycairn.domain.errors import KeycairnError
from keycairn.domain.ids import TokenId
from keycairn.ports.clock import Clock

EVERY = 15.0
"""Seconds between two writes. What was counted since the last one is lost in a crash, not at an orderly end."""
MOST_KINDS = 1_000
"""How many different happenings are told apart between two writes; further ones are counted as one."""

_log = structlog.get_logger()


class _Counted(Struct, frozen=True):
    """What is counted together."""

    actor: str
    workspace: str
    source: str
    action: Action
    target: str
    outcome: str
    purpose: str


class AuditCounters:
    """Counts uses of secrets, refused attempts and uses of tokens; one event for all that are alike.

    What strangers tried is counted apart: it takes no room from what holders of tokens do, and is written less often
    the longer it goes on.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._seen: Counter[_Counted] = Counter()
        self._tokens: set[TokenId] = set()
        self._refused = RefusedAttempts(clock.monotonic)

    def note(self, by: Caller, action: Action, target: str, *, outcome: str = "done", purpose: str = "") -> None:
        """Count one. `purpose` says in a word what a secret was used for."""
        if by.actor == ANONYMOUS:
            self._refused.note(by.source, by.workspace, target, outcome)
            return
        seen = _Counted(by.actor, by.workspace, by.source, action, target, outcome, purpose)
        if seen not in self._seen and len(self._seen) >= MOST_KINDS:
            seen = _Counted("various", by.workspace, "", action, "various", outcome, "")
        self._seen[seen] += 1

    def token_used(self, id: TokenId) -> None:
        """A token was used now."""
        self._tokens.add(id)

    async def tell(self, by: Caller, action: Action, target: str, details: Details) -> None:
        """Write an event of its own, of what was counted elsewhere. Raises StoreError."""
        await self._journal.commit((self._journal.event(by, action, target, details=details),))

    async def flush(self) -> None:
        """Write everything counted so far in one commit. What cannot be written is kept for the next time."""
        await self._write(self._refused.take())

    async def run(self) -> None:
        """Write again and again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self._write(self._refused.take() if self._refused.due() else ())

    async def _write(self, refused: Sequence[Told]) -> None:
        seen, tokens = self._seen, self._tokens
        if not seen and not tokens and not refused:
            return
        self._seen, self._tokens = Counter(), set()
        now = self._clock.now()
        try:
            events = [self._event(one, times) for one, times in seen.items()]
            attempts = [self._attempt(told) for told in refused]
            await self._journal.commit((*(RecordUse(id, now) for id in sorted(tokens)), *events, *attempts))
        except KeycairnError as error:
            _log.warning("what was counted could not be written, and is kept", code=error.code)
            self._seen.update(seen)
            self._tokens |= tokens
            self._refused.give_back(refused)

    def _attempt(self, told: Told) -> Append:
        one = told.attempt
        caller = Caller(actor=ANONYMOUS, workspace=one.workspace, source=one.source)
        various = {**told.outcomes, "sources": told.sources} if told.outcomes else {}
        details: Details = {"times": told.times, **various}
        return self._journal.event(caller, Action.ACCESS_REFUSED, one.target, outcome=one.outcome, details=details)

    def _event(self, one: _Counted, times: int) -> Append:
        caller = Caller(actor=one.actor, workspace=one.workspace, source=one.source)
        purpose = {"for": one.purpose} if one.purpose else {}
        details: Details = {"times": times, **purpose}
        return self._journal.event(caller, one.action, one.target, outcome=one.outcome, details=details)
