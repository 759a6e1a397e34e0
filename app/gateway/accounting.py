"""Counting what calls use, and writing it down in batches."""

import asyncio
from collections.abc import Mapping
from datetime import date

import structlog

from keycairn.domain.change import AddUsage
from keycairn.domain.errors import KeycairnError
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import Store

EVERY = 2.0
"""Seconds between two writes. What was counted since the last one is lost in a crash, not at an orderly end."""

_log = structlog.get_logger()


class Accounting:
    """Sums of what was not written yet, by key and hour."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: dict[tuple[UsageKey, int], Usage] = {}

    def add(self, key: UsageKey, usage: Usage, hour: int) -> None:
        """Count one call, in that hour of the key's day."""
        before = self._pending.get((key, hour))
        self._pending[key, hour] = usage if before is None else before.plus(usage)

    async def flush(self) -> None:
        """Write everything counted so far in one changeset. What cannot be written is kept for the next time."""
        if not self._pending:
            return
        batch, self._pending = self._pending, {}
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

    async def between(self, workspace: str, since: date, until: date) -> Mapping[UsageKey, Usage]:
        """What a workspace used on these days, everything counted so far included."""
        await self.flush()
        return await self._store.usage(workspace, since=since, until=until)

    async def run(self) -> None:
        """Write again and again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.flush()
