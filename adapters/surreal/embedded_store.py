"""The store on the engine in this process, which alone reads and writes it.

A commit is worked out against the records in memory, and handed to the engine by way of its redo log
(`logged_engine.py`). Only then the records in memory change.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import structlog

from keycairn.adapters.redo_log import RedoLog
from keycairn.adapters.state_reads import StateReads
from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.adapters.surreal.drafting import in_turns, transactions
from keycairn.adapters.surreal.embedded import EmbeddedConnection
from keycairn.adapters.surreal.event_ids import EventIds
from keycairn.adapters.surreal.history import HELD, HistoryReads
from keycairn.adapters.surreal.history_rows import usage_id
from keycairn.adapters.surreal.loading import Loaded, no_collecting
from keycairn.adapters.surreal.logged_engine import LoggedEngine
from keycairn.adapters.surreal.rebuilding import Rebuilding
from keycairn.adapters.surreal.records import readable, row_of
from keycairn.adapters.surreal.room import Room
from keycairn.adapters.surreal.snapshot import records_in
from keycairn.adapters.surreal.statements import Transaction
from keycairn.adapters.surreal.under_way import UnderWay
from keycairn.domain.audit import Head
from keycairn.domain.change import AddUsage, Append, Changeset, only_counts
from keycairn.domain.draft import Draft
from keycairn.domain.errors import (
    CommitPendingError,
    DamagedAnchorError,
    RefusedRecordError,
    StoreError,
    StoreNotEmptyError,
    UnreadableRecordError,
)
from keycairn.domain.proof import Check, Learn
from keycairn.domain.record import KINDS, Record, kind_of
from keycairn.domain.state import CURRENT, Key, State, distinct, key_for
from keycairn.ports.store import Finish

SHORTEN_AT = 3 * 2**20
"""Bytes of entries from which the redo log is shortened."""
A_TURN = 50
"""Records that are handed out one by one, to whoever may decrypt each, in one turn."""

_log = structlog.get_logger()


class EmbeddedStore(StateReads, HistoryReads):
    """A `keycairn.ports.store.Store`. Made by `open_surreal`. Without a redo log nothing outlives the process."""

    def __init__(  # what it is made of
        self,
        connection: EmbeddedConnection,
        dialect: EngineDialect,
        *,
        names: tuple[str, str],
        log: RedoLog | None,
        room: Room | None,
    ) -> None:
        self._engine = LoggedEngine(connection, log, room)
        self._dialect = dialect
        self._state = State(HELD)
        self._event_ids = EventIds(self._read)
        self._writing = asyncio.Lock()
        self._settled = asyncio.Event()
        """Set while no commit is between the redo log and the records in memory."""
        self._settled.set()
        self._under_way = UnderWay()
        self._rebuilding = Rebuilding(
            self._engine, names, writing=self._writing, held=self._kept, records=self._records
        )
        self._writes = 0
        self._unreadable: dict[Key, UnreadableRecordError] = {}
        self._withheld: dict[Key, Record] = {}

    async def load(self) -> None:
        """Read the records that are held in memory. Raises StoreError."""
        state = State(HELD)
        self._unreadable.clear()
        with no_collecting():
            for kind in HELD:
                async with aclosing(records_in(kind, self._engine.query, self._dialect, self.note)) as records:
                    state.absorb({key_for(record): record async for record in records})
        self._state = state
        self._event_ids = EventIds(self._read)

    @property
    def state(self) -> State:
        """See `StateReads.state`."""
        self._engine.check_open()
        return self._state

    async def head(self) -> Head | None:
        """See `Store.head`. Waits for a commit that is being taken in, so that it goes with the events and the log."""
        await self._settled.wait()
        return await super().head()

    async def acknowledged(self) -> Head | None:
        """See `Store.acknowledged`."""
        _ = self.state
        redo = self._engine.redo
        if redo is None:
            return self._state.get(Head, CURRENT)
        if not redo.header.proves:
            raise DamagedAnchorError(str(redo.file))
        return redo.head

    async def vouch(self) -> None:
        """See `Store.vouch`."""
        async with self._rebuilding.building, self._writing:  # while one is being built, the log cannot be shortened
            await self._engine.ready()
            await self._engine.checkpoint(head=self._state.get(Head, CURRENT), proves=True)

    def note(self, error: UnreadableRecordError) -> None:
        """See `HistoryReads.note`."""
        self._unreadable[error.kind, error.key] = error

    def trust(self, check: Check, learn: Learn, refused: Mapping[Key, str]) -> None:  # noqa: ARG002  # nobody else writes
        """See `Store.trust`. Nobody else writes here, so what is in memory needs to be checked once only."""
        for (kind, key), why in refused.items():
            self.note(RefusedRecordError(kind, key, why))
            record = self._state.get(KINDS[kind], key)
            if record is not None:
                self._withheld[kind, key] = record
        self._state.absorb(dict.fromkeys(refused))

    def unreadable(self) -> Sequence[UnreadableRecordError]:
        """See `Store.unreadable`."""
        return list(self._unreadable.values())

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        """See `Store.commit`."""
        if not changes:
            return
        await self._writing.acquire()  # cancelling is harmless up to here; then the write goes on without its caller
        await asyncio.shield(self._under_way.started(self._commit(changes, finish)))

    async def revision(self) -> int:
        """See `Store.revision`."""
        _ = self.state
        return self._writes

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncIterator[Record]]:
        """See `Store.snapshot`."""
        async with self._writing:
            _ = self.state
            async with aclosing(self._records(await self._by_kind())) as records:
                yield records

    async def _by_kind(self) -> dict[str, list[Record]]:
        """What is held, by kind, ordered by key. The write lock is held, so that it is of one moment."""
        held: dict[str, list[Record]] = {}
        for kind in HELD:
            held[kind] = self._state.sorted(kind)
            await asyncio.sleep(0)
        return held

    async def _kept(self) -> dict[str, list[Record]]:
        """The same, with the records that are withheld: they stay where they are stored."""
        held = await self._by_kind()
        for (kind, _), record in sorted(self._withheld.items()):
            held[kind].append(record)
        return held

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        async with self._rebuilding.building, self._writing:
            _ = self.state
            if self._state.records() or await self.event_count() or await self._read("SELECT id FROM usage LIMIT 1"):
                raise StoreNotEmptyError
            if not await self._rebuilding.replace(_one_by_one(distinct(records))):
                await self._refill(distinct(records))
            await self.load()
            self._writes += 1

    async def compact(self) -> None:
        """See `Rebuilding.compact`."""
        await self._rebuilding.compact()

    async def ping(self) -> None:
        """See `Store.ping`."""
        await self._engine.ping()

    async def checkpoint(self) -> None:
        """See the engine's files to the disk, and shorten the redo log. Raises StoreError."""
        async with self._writing:
            await self._engine.checkpoint()

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        if self._engine.closed:
            return
        await self._rebuilding.stop()
        await self._engine.stop_recovering()
        await self._under_way.done()
        async with self._writing:
            await self._engine.aclose()

    async def _commit(self, changes: Changeset, finish: Finish | None) -> None:
        """Commit; the write lock is held, and released here."""
        try:
            _ = self.state
            await self._engine.ready()
            draft = await self._draft(changes)
            if finish is not None:
                await in_turns(finish(draft) or ())
            if draft.images:
                parts = await transactions(draft, self._unreadable, several=self._engine.redo is not None)
                self._settled.clear()
                await self._engine.accept(draft)
                pending = await self._engine.hand_over(parts)
                for _ in self._state.absorbing(draft.images):  # only here, or the head would be ahead of the events
                    await asyncio.sleep(0)
                self._event_ids.added(draft.appended)
                for key in draft.images:
                    self._unreadable.pop(key, None)
                    self._withheld.pop(key, None)
                self._settled.set()
                self._writes += not only_counts(changes)
                if pending:
                    raise CommitPendingError(draft.appended[0].id if draft.appended else None)
                await self._look_after()
        finally:
            self._settled.set()
            self._writing.release()

    async def _draft(self, changes: Changeset) -> Draft:
        """The changeset worked out. What is not held in memory is read first."""
        sums = [usage_id(change.key) for change in changes if isinstance(change, AddUsage) and "\0" not in str(change)]
        stored = readable("usage", await self._read("SELECT * FROM $ids", ids=sums) if sums else [], self.note)
        loaded = Loaded(self._state, {key_for(record): record for record in stored})
        await self._event_ids.refuse_known([change.event for change in changes if isinstance(change, Append)])
        draft = Draft(loaded)
        await in_turns(step for change in changes for step in draft.steps(change))
        await in_turns(draft.references())
        return draft

    async def _look_after(self) -> None:
        """Shorten the log and compact the files, where that is due. It never fails the commit it follows."""
        redo = self._engine.redo
        if redo is None or redo.used <= SHORTEN_AT:
            return
        try:
            await self._engine.checkpoint()
        except StoreError as error:
            self._engine.tell(error)
            return
        if len(self._unreadable) <= len(self._withheld):  # what cannot be read would be left behind undecided
            await self._rebuilding.compact_where_due()

    async def roll_forward(self) -> None:
        """See `LoggedEngine.roll_forward`."""
        await self._engine.roll_forward()

    async def _refill(self, records: Iterable[Record]) -> None:
        """Put the records into an empty database that has no files."""
        whole = Transaction()
        for record in records:
            whole.add(f"INSERT INTO {kind_of(record)} {{row}} RETURN NONE", row=row_of(record))
        await self._engine.query(whole.text, **whole.variables)

    async def _records(self, held: Mapping[str, Sequence[Record]]) -> AsyncGenerator[Record, None]:
        """Everything, in the order of a snapshot; `held` are the records of the kinds in memory."""
        for kind in KINDS:
            if kind in HELD:
                for done, record in enumerate(held[kind], 1):
                    yield record
                    if done % A_TURN == 0:
                        await asyncio.sleep(0)
                continue
            async with aclosing(records_in(kind, self._read, self._dialect, self.note)) as records:
                async for record in records:
                    yield record

    async def _read(self, text: str, **variables: Any) -> Any:
        _ = self.state
        if any(isinstance(value, str) and "\0" in value for value in variables.values()):
            return []  # no indexed column holds a NUL, and the engine cannot look for one
        return await self._engine.read(text, **variables)


async def _one_by_one(records: Iterable[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record
