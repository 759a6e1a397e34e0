"""The store in memory: for tests and for trying things out. Nothing survives the process."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from itertools import islice
from operator import attrgetter

from keycairn.adapters.state_reads import StateReads, page
from keycairn.domain.audit import EVERY_EVENT, AuditEvent, EventFilter, Head
from keycairn.domain.change import Changeset, only_counts
from keycairn.domain.draft import worked_out
from keycairn.domain.errors import RefusedRecordError, StoreNotEmptyError, StoreUnavailableError, UnreadableRecordError
from keycairn.domain.proof import Check, Learn
from keycairn.domain.record import Record, UsageRecord, own
from keycairn.domain.state import CURRENT, Key, State, distinct
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import MOST, Finish


class MemoryStore(StateReads):
    """A `keycairn.ports.store.Store`. Entities are copied on the way in."""

    def __init__(self) -> None:
        self._state: State | None = State()
        self._revision = 0
        self._refused: dict[Key, UnreadableRecordError] = {}
        self.acknowledged_head: Head | None = None
        """What `acknowledged` tells."""

    @property
    def state(self) -> State:
        """See `StateReads.state`."""
        if self._state is None:
            raise StoreUnavailableError("The database is closed.")
        return self._state

    async def events(
        self,
        workspace: str,
        *,
        matching: EventFilter = EVERY_EVENT,
        after: int | None = None,
        limit: int = MOST,
    ) -> Sequence[AuditEvent]:
        """See `Store.events`."""
        rows = (
            found
            for found in sorted(self.state.all(AuditEvent), key=attrgetter("seq", "id"))
            if found.workspace == workspace and (after is None or found.seq > after) and matching.accepts(found)
        )
        return list(islice(rows, page(limit)))

    async def chain(self, *, after: int = 0, limit: int = MOST) -> Sequence[AuditEvent]:
        """See `Store.chain`."""
        rows = sorted(self.state.all(AuditEvent), key=attrgetter("seq"))
        return list(islice((found for found in rows if found.seq > after), page(limit)))

    async def event_count(self) -> int:
        """See `Store.event_count`."""
        return len(self.state.tables["event"])

    async def usage(self, workspace: str, *, since: date, until: date) -> Mapping[UsageKey, Usage]:
        """See `Store.usage`."""
        return {
            found.key: found.usage
            for found in self.state.all(UsageRecord)
            if found.key.workspace == workspace and since <= found.key.day <= until
        }

    async def usage_before(self, day: date, *, limit: int = MOST) -> Sequence[UsageKey]:
        """See `Store.usage_before`."""
        found = (one.key for one in self.state.all(UsageRecord) if one.key.day < day)
        return list(islice(found, page(limit)))

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        """See `Store.commit`."""
        await asyncio.sleep(0)  # let others run, as a database would: a missing compare-and-set then shows in tests
        draft = worked_out(self.state, changes)
        if finish is not None:
            for _ in finish(draft) or ():
                pass
        self.state.absorb(draft.images)
        for key in draft.images:
            self._refused.pop(key, None)
        self._revision += not only_counts(changes)
        if draft.appended:
            self.acknowledged_head = self.state.get(Head, CURRENT)

    async def revision(self) -> int:
        """See `Store.revision`."""
        _ = self.state
        return self._revision

    async def acknowledged(self) -> Head | None:
        """See `Store.acknowledged`."""
        return self.acknowledged_head

    async def vouch(self) -> None:
        """See `Store.vouch`."""
        self.acknowledged_head = self.state.get(Head, CURRENT)

    async def checkpoint(self) -> None:
        """See `Store.checkpoint`."""

    def trust(self, check: Check, learn: Learn, refused: Mapping[Key, str]) -> None:  # noqa: ARG002  # nobody else writes
        """See `Store.trust`."""
        for (kind, key), why in refused.items():
            self._refused[kind, key] = RefusedRecordError(kind, key, why)
        self.state.absorb(dict.fromkeys(refused))

    def unreadable(self) -> Sequence[UnreadableRecordError]:
        """See `Store.unreadable`."""
        return list(self._refused.values())

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncIterator[Record]]:
        """See `Store.snapshot`. No commit has to wait: entities never change, so a list of them is a moment."""
        everything = self.state.records()

        async def records() -> AsyncIterator[Record]:
            for record in everything:
                yield record

        yield records()

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        state = State()
        for record in distinct(records):
            state.put(own(record))
        await asyncio.sleep(0)
        if self.state.records():
            raise StoreNotEmptyError
        self._state = state
        self.acknowledged_head = state.get(Head, CURRENT)
        self._revision += 1

    async def ping(self) -> None:
        """See `Store.ping`."""
        _ = self.state

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        self._state = None
