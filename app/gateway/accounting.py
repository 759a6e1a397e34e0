"""Counting what calls use, and writing it down in batches."""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime

import structlog
from msgspec import Struct
from msgspec.structs import asdict

from keycairn.app.gateway.usage_marks import MARKED_EVERY, UsageMarks
from keycairn.domain.change import AddUsage
from keycairn.domain.errors import KeycairnError
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import Store

EVERY = 2.0
"""Seconds between two writes. What was counted since the last one is lost in a crash, not at an orderly end."""

_log = structlog.get_logger()


class _Sum(Struct):
    """What calls used, added up in place: a new `Usage` for each would cost more than the rest of counting it."""

    requests: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: int = 0
    nanos: int = 0
    last_used: datetime | None = None

    def add(self, usage: Usage) -> None:
        self.requests += usage.requests
        self.failed += usage.failed
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cached_tokens += usage.cached_tokens
        self.estimated += usage.estimated
        self.nanos += usage.nanos
        if self.last_used is None or (usage.last_used is not None and usage.last_used > self.last_used):
            self.last_used = usage.last_used


class Accounting:
    """Sums of what was not written yet, by key and hour."""

    def __init__(self, store: Store, marks: UsageMarks) -> None:
        self._store = store
        self._marks = marks
        self._pending: dict[tuple[UsageKey, int], _Sum] = {}

    def add(self, key: UsageKey, usage: Usage, hour: int) -> None:
        """Count one call, in that hour of the key's day."""
        place = (key, hour)
        total = self._pending.get(place)
        if total is None:
            total = self._pending[place] = _Sum()
        total.add(usage)

    async def flush(self) -> None:
        """Write everything counted so far in one changeset. What cannot be written is kept for the next time."""
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        batch = {place: Usage(**asdict(total)) for place, total in pending.items()}
        sums: dict[UsageKey, Usage] = {}
        for (key, hour), usage in batch.items():
            part = usage.within(hour)
            sums[key] = sums[key].plus(part) if key in sums else part
        try:
            await self._store.commit(tuple(AddUsage(key, usage) for key, usage in sums.items()))
        except KeycairnError as error:
            _log.warning("usage could not be written, and is kept", code=error.code)
            for (key, hour), usage in batch.items():
                self.add(key, usage, hour)
            return
        for key, usage in sums.items():
            self._marks.add(key, usage)

    async def between(self, workspace: str, since: date, until: date) -> Mapping[UsageKey, Usage]:
        """What a workspace used on these days, everything counted so far included.

        So is what the audit log told of rows that were gone when this process first looked.
        """
        await self.flush()
        missing = await self._marks.missing(workspace, until)
        stored = await self._store.usage(workspace, since=since, until=until)
        if not missing:
            return stored
        sums = dict(stored)
        for key, usage in missing.items():
            if since <= key.day <= until:
                sums[key] = sums[key].plus(usage) if key in sums else usage
        return sums

    async def run(self) -> None:
        """Write again and again, and now and then a mark, until cancelled."""
        waited = 0.0
        while True:
            await asyncio.sleep(EVERY)
            await self.flush()
            waited += EVERY
            if waited >= MARKED_EVERY:
                waited = 0.0
                await self._marks.flush()

    async def aclose(self) -> None:
        """Write what was counted last."""
        await self.flush()
        await self._marks.flush()
