"""Sums of use in the audit log, so that limits of use hold where rows of usage are taken out of the database.

Rows of usage are altered by every call, and nothing proves them. What was used since the last mark is told by an event,
and events are chained. A limit counts what either tells, whichever is more.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

import structlog
from msgspec import Struct

from keycairn.app.services.audit import AuditCounters
from keycairn.domain.audit import SYSTEM, Action, AuditEvent, Caller, Details, EventFilter
from keycairn.domain.errors import KeycairnError
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import MOST, Store

MARKED_EVERY = 300.0
"""Seconds between two marks. What was used since the last one is told by the rows alone, until an orderly end."""
MOST_TOLD = 200
"""Sums that one event tells."""
_MONTH = timedelta(days=32)

_log = structlog.get_logger()


class _Sums(Struct):
    tokens: int = 0
    nanos: int = 0

    def add(self, tokens: int, nanos: int) -> None:
        self.tokens += tokens
        self.nanos += nanos


_Key = tuple[date, str, str]
"""A day, a token and a credential."""


class UsageMarks:
    """Tells the audit log what is used, and reads there what was used before this process began."""

    def __init__(self, store: Store, counters: AuditCounters) -> None:
        self._store = store
        self._counters = counters
        self._pending: dict[str, dict[_Key, _Sums]] = {}
        self._missing: dict[str, Mapping[UsageKey, Usage]] = {}

    def add(self, key: UsageKey, usage: Usage) -> None:
        """Count what a call used."""
        tokens = usage.input_tokens + usage.output_tokens
        if tokens or usage.nanos:
            sums = self._pending.setdefault(key.workspace, {})
            sums.setdefault((key.day, key.token, key.credential), _Sums()).add(tokens, usage.nanos)

    async def flush(self) -> None:
        """Tell everything counted so far. What cannot be written is kept for the next time."""
        pending, self._pending = self._pending, {}
        for workspace, sums in pending.items():
            told = [*sums.items()]
            for start in range(0, len(told), MOST_TOLD):
                part = dict(told[start : start + MOST_TOLD])
                by = Caller(actor=SYSTEM.actor, workspace=workspace)
                try:
                    await self._counters.tell(by, Action.USAGE_COUNTED, f"usage:{workspace}", _details(part))
                except KeycairnError as error:
                    _log.warning("sums of usage could not be told to the audit log, and are kept", code=error.code)
                    for (day, token, credential), one in part.items():
                        kept = self._pending.setdefault(workspace, {})
                        kept.setdefault((day, token, credential), _Sums()).add(one.tokens, one.nanos)

    async def missing(self, workspace: str, until: date) -> Mapping[UsageKey, Usage]:
        """What the audit log tells of this month and the rows do not, when it was first asked for; logged if any."""
        found = self._missing.get(workspace)
        if found is None:
            found = await self._looked_up(workspace, until)
            self._missing[workspace] = found
            if found:
                _log.error("rows of usage are missing; limits count what the audit log tells", workspace=workspace)
        return found

    async def _looked_up(self, workspace: str, until: date) -> Mapping[UsageKey, Usage]:
        since = (until - _MONTH).replace(day=1)
        told: dict[_Key, _Sums] = {}
        begin = datetime.combine(since, time(), UTC)
        wanted = EventFilter(action=Action.USAGE_COUNTED, since=begin)
        after: int | None = None
        while page := await self._store.events(workspace, matching=wanted, after=after, limit=MOST):
            for event in page:
                _take(event, told)
            after = page[-1].seq
        if not told:
            return {}
        for key, usage in (await self._store.usage(workspace, since=since, until=until)).items():
            if sums := told.get((key.day, key.token, key.credential)):
                sums.add(-usage.input_tokens - usage.output_tokens, -usage.nanos)
        return {
            UsageKey(day=day, workspace=workspace, token=token, credential=credential): Usage(
                input_tokens=max(0, sums.tokens), nanos=max(0, sums.nanos)
            )
            for (day, token, credential), sums in told.items()
            if sums.tokens > 0 or sums.nanos > 0
        }


def _details(sums: Mapping[_Key, _Sums]) -> Details:
    return {
        "used": [
            f"{day} {token} {credential or '-'} {one.tokens} {one.nanos}"
            for (day, token, credential), one in sums.items()
        ]
    }


def _take(event: AuditEvent, told: dict[_Key, _Sums]) -> None:
    used = event.details.get("used")
    for text in used if isinstance(used, list) else ():
        try:
            day, token, credential, tokens, nanos = text.split(" ")
            key = (date.fromisoformat(day), token, "" if credential == "-" else credential)
            told.setdefault(key, _Sums()).add(int(tokens), int(nanos))
        except ValueError:
            continue  # not of ours: a verification of the log names it
