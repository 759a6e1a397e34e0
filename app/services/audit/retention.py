"""Retention: what has been kept long enough is removed, in small pieces while everything runs.

Events go from the beginning of the chain only. The event that tells of it holds the last link of what went, which the
rest goes on from: so the chain is proven from there on, and whatever else is gone is still found missing.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from msgspec import Struct

from keycairn.app.services.audit.chain import FlawKind
from keycairn.app.services.audit.journal import Journal
from keycairn.app.services.audit.log import AuditLog
from keycairn.domain.audit import SYSTEM, Action, AuditEvent, Details
from keycairn.domain.change import Change, DropEvent, DropToken, DropUsage, Touch
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import KeycairnError
from keycairn.domain.token import Token
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store

PIECE = 100
"""Records removed by one commit: a few milliseconds, between which others have their turn."""
MOST_TOLD = 500
"""Records that the events removed by one commit may tell of, where there is more than one of them."""
PAUSE = 0.02
"""Seconds between two pieces."""
FIRST = 60.0
EVERY = 3600.0
"""Seconds from the start to the first look at what is due, and from one to the next."""

_log = structlog.get_logger()


class Keep(Struct, frozen=True, kw_only=True):
    """For how many days audit events, sums of usage, and tokens that are revoked or expired are kept; 0 for ever."""

    events: int = 0
    usage: int = 0
    tokens: int = 0


class Removed(Struct, frozen=True, kw_only=True):
    """How many of each were removed."""

    events: int = 0
    usage: int = 0
    tokens: int = 0


class Retention:
    """Removes what is older than it has to be kept. What it removes is in the audit log, by number and count."""

    def __init__(self, store: Store, journal: Journal, audit: AuditLog, clock: Clock, *, pause: float = PAUSE) -> None:
        self._store = store
        self._journal = journal
        self._audit = audit
        self._clock = clock
        self._pause = pause

    async def run(self, keep: Keep) -> None:
        """Look for what is due again and again, until cancelled."""
        wait = FIRST
        while True:
            await asyncio.sleep(wait)
            wait = EVERY
            try:
                removed = await self.apply(keep)
            except KeycairnError as error:
                _log.warning("what is older than it is kept could not be removed", code=error.code, why=str(error))
                continue
            if removed != Removed():
                _log.info(
                    "removed what is older than it is kept",
                    events=removed.events,
                    usage=removed.usage,
                    tokens=removed.tokens,
                )

    async def apply(self, keep: Keep) -> Removed:
        """Remove everything that is due. Raises as any change does.

        Days are whole ones in UTC, counted from the youngest event where the clock is further: one that is years ahead
        removes nothing before something was written under it.
        """
        today = await self._today()
        if today is None:
            return Removed()
        return Removed(
            usage=await self._usage(today - timedelta(days=keep.usage)) if keep.usage else 0,
            tokens=await self._tokens(today - timedelta(days=keep.tokens)) if keep.tokens else 0,
            events=await self._events(today - timedelta(days=keep.events)) if keep.events else 0,
        )

    async def _today(self) -> datetime | None:
        head = await self._store.head()
        youngest = await self._store.chain(after=head.seq - 1, limit=1) if head else ()
        if not youngest:
            return None
        moment = min(self._clock.now(), youngest[0].at).astimezone(UTC)
        return moment.replace(hour=0, minute=0, second=0, microsecond=0)

    async def _events(self, before: datetime) -> int:
        """Remove the events at the beginning of the chain that are older; the newest of all always stays."""
        removed = 0
        while page := await self._due(before):
            if not removed and not await self._proven():
                _log.warning("the audit log is not whole, so nothing of it is removed; see keycairn doctor")
                return 0
            first, last = page[0], page[-1]
            event = self._journal.event(
                SYSTEM,
                Action.EVENTS_PRUNED,
                "database",
                details={
                    "first": first.seq,
                    "first_mac": first.mac,
                    "last": last.seq,
                    "mac": last.mac,
                    "count": len(page),
                    "before": before.date().isoformat(),
                },
            )
            carried = _told(page)
            looks = [Touch(*name.split(":", 1)) for name in carried]
            await self._journal.commit((*(DropEvent(one.id) for one in page), *looks, event), carried=carried)
            removed += len(page)
            await asyncio.sleep(self._pause)
        return removed

    async def _due(self, before: datetime) -> Sequence[AuditEvent]:
        head = await self._store.head()
        page: list[AuditEvent] = []
        told = 0
        for event in await self._store.chain(limit=PIECE):
            told += len(event.proofs)
            if event.at >= before or head is None or event.seq >= head.seq or (page and told > MOST_TOLD):
                break
            page.append(event)
        return page

    async def _proven(self) -> bool:
        """Whether nothing in the chain was altered or is missing: what goes must not take traces of that with it."""
        report = await self._audit.verify()
        return not any(flaw.kind in {FlawKind.ALTERED, FlawKind.MISSING} for flaw in report.flaws)

    async def _usage(self, before: datetime) -> int:
        removed = 0
        while keys := await self._store.usage_before(before.date(), limit=PIECE):
            await self._remove([DropUsage(key) for key in keys], Action.USAGE_PRUNED, before)
            removed += len(keys)
        return removed

    async def _tokens(self, before: datetime) -> int:
        gone = _ended(await self._store.all_tokens(), before)
        for start in range(0, len(gone), PIECE):
            piece = gone[start : start + PIECE]
            ids: list[str] = [token.id for token in piece]
            await self._remove([DropToken(token.id) for token in piece], Action.TOKENS_PRUNED, before, tokens=ids)
        return len(gone)

    async def _remove(self, changes: Sequence[Change], action: Action, before: datetime, **names: list[str]) -> None:
        details: Details = {
            "count": len(changes),
            "before": before.date().isoformat(),
            **names,
        }
        await self._journal.commit((*changes, self._journal.event(SYSTEM, action, "database", details=details)))
        await asyncio.sleep(self._pause)


def _told(page: Sequence[AuditEvent]) -> dict[str, str]:
    """What the events tell of records that are still there, by their account."""
    latest: dict[str, str | None] = {}
    for event in page:
        latest |= event.proofs
    return {name: one for name, one in latest.items() if one is not None}


def _ended(tokens: Sequence[Token], before: datetime) -> list[Token]:
    """The tokens that stopped working before that moment, and that no token is left of which was made with them.

    The youngest of the default workspace stays in any case: where there is none, a start would make a first one.
    """
    by_id = {token.id: token for token in tokens}
    youngest = max((token.id for token in tokens if token.workspace == DEFAULT_WORKSPACE), default=None)
    gone = {token.id for token in tokens if _ended_before(token, before) and token.id != youngest}
    for token in tokens:
        maker = None if token.id in gone else token.maker
        while maker in gone:
            gone.discard(maker)
            maker = by_id[maker].maker
    return [token for token in tokens if token.id in gone]


def _ended_before(token: Token, before: datetime) -> bool:
    ends = [moment for moment in (token.revoked, token.expires) if moment is not None]
    return bool(ends) and min(ends) < before
