"""The store on the engine in this process, which alone reads and writes it.

A commit is worked out against the records in memory, written to the redo log and synced; that is the point of no
return. Only then the engine gets it, unsynced: its own log is neither atomic nor, after a torn write, whole. What it
missed it gets again from the redo log, in this process when it failed, at the next start when the process did.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import structlog

from keycairn.adapters.redo_log import RedoLog
from keycairn.adapters.state_reads import StateReads
from keycairn.adapters.surreal.building import NewDatabase, sync_tree, take_place, tree_size
from keycairn.adapters.surreal.changesets import packed, replay
from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.adapters.surreal.embedded import EmbeddedConnection
from keycairn.adapters.surreal.event_ids import EventIds
from keycairn.adapters.surreal.history import HELD, HistoryReads
from keycairn.adapters.surreal.history_rows import usage_id
from keycairn.adapters.surreal.loading import Loaded, no_collecting
from keycairn.adapters.surreal.records import readable, row_of
from keycairn.adapters.surreal.room import Room
from keycairn.adapters.surreal.snapshot import records_in
from keycairn.adapters.surreal.statements import Transaction, drafted
from keycairn.adapters.surreal.under_way import UnderWay
from keycairn.domain.audit import Head
from keycairn.domain.change import AddUsage, Append, Changeset, only_counts
from keycairn.domain.draft import Draft
from keycairn.domain.errors import (
    CommitPendingError,
    DamagedAnchorError,
    KeycairnError,
    OutcomeUnknownError,
    RefusedRecordError,
    StoreError,
    StoreNotEmptyError,
    StoreUnavailableError,
    UncertainEntryError,
    UnreadableRecordError,
)
from keycairn.domain.proof import Check, Learn
from keycairn.domain.record import KINDS, Record, kind_of
from keycairn.domain.state import CURRENT, Key, State, distinct, key_for
from keycairn.ports.store import Finish

SHORTEN_AT = 3 * 2**20
"""Bytes of entries from which the redo log is shortened."""
PATIENCE = 5.0
"""Seconds a commit waits for an engine that failed, before it is told that the change is pending."""
PAUSE = 0.2
"""Seconds between two attempts to bring a failed engine back."""
COMPACT_AT = 16 * 2**20
"""Bytes of the engine's files below which they are never compacted: some 9,000 edits, and 25 MiB of memory."""
COMPACT_RATIO = 2
"""How many times their size when they were last written anew the engine's files grow before they are compacted."""
AT_ONCE = 250
"""Images in one transaction, at most."""
STEPS = 50
"""Steps of a draft before others have their turn, each of some 30 us."""
A_TURN = 50
"""Records that are made statements, or handed out one by one to whoever may decrypt each, in one turn."""

_FAILED = "The database's files cannot be written or read. Keycairn tries again until they can."
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
        self._connection = connection
        self._dialect = dialect
        self._names = names
        self._redo = log
        self._room = room
        self._state = State(HELD)
        self._event_ids = EventIds(self._read)
        self._writing = asyncio.Lock()
        self._logging = asyncio.Lock()
        """Held while the redo log is appended to, opened anew or replayed."""
        self._building = asyncio.Lock()
        """Held while a new database is built beside this one."""
        self._settled = asyncio.Event()
        """Set while no commit is between the redo log and the records in memory."""
        self._settled.set()
        self._under_way = UnderWay()
        self._recovery: asyncio.Task[None] | None = None
        self._compaction: asyncio.Task[None] | None = None
        self._failed: StoreError | None = None
        self._told = False
        self._closed = False
        self._pinned = False
        self._writes = 0
        self._unreadable: dict[Key, UnreadableRecordError] = {}
        self._withheld: dict[Key, Record] = {}

    async def load(self) -> None:
        """Read the records that are held in memory. Raises StoreError."""
        state = State(HELD)
        self._unreadable.clear()
        with no_collecting():
            for kind in HELD:
                async with aclosing(records_in(kind, self._query, self._dialect, self.note)) as records:
                    state.absorb({key_for(record): record async for record in records})
        self._state = state
        self._event_ids = EventIds(self._read)

    @property
    def state(self) -> State:
        """See `StateReads.state`."""
        if self._closed:
            raise StoreUnavailableError("The database is closed.")
        return self._state

    async def head(self) -> Head | None:
        """See `Store.head`. Waits for a commit that is being taken in, so that it goes with the events and the log."""
        await self._settled.wait()
        return await super().head()

    async def acknowledged(self) -> Head | None:
        """See `Store.acknowledged`."""
        _ = self.state
        if self._redo is None:
            return self._state.get(Head, CURRENT)
        if not self._redo.header.proves:
            raise DamagedAnchorError(str(self._redo.file))
        return self._redo.head

    async def vouch(self) -> None:
        """See `Store.vouch`."""
        async with self._building, self._writing:  # while one is being built, the log cannot be shortened
            await self._ready()
            await self._checkpoint(proves=True)

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

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        async with self._building, self._writing:
            _ = self.state
            if self._state.records() or await self.event_count() or await self._read("SELECT id FROM usage LIMIT 1"):
                raise StoreNotEmptyError
            await self._rebuild(_one_by_one(distinct(records)))
            self._writes += 1

    async def compact(self) -> None:
        """Write the engine's files anew, without what was overwritten or deleted, while it serves.

        Raises StoreError.
        """
        async with self._building:
            await self._compact()

    async def _compact(self) -> None:
        folder = self._connection.folder
        if folder is None or self._redo is None:
            return
        _ = self.state
        new = await NewDatabase.begin(folder, self._names)
        try:
            async with self._writing:
                _ = self.state
                await self._ready()
                await self._checkpoint()
                self._pinned = True  # what is committed from here on must stay in the log until it is in the new one
                held = await self._by_kind()
                for (kind, _), record in sorted(self._withheld.items()):
                    held[kind].append(record)
            await new.fill(self._records(held))
            async with self._writing:
                _ = self.state
                await self._ready()
                redo = self._redo
                await new.replay(redo)
                await new.finish(store=redo.header.store, number=redo.last, proves=redo.header.proves)
                await self._take_place()
        except BaseException:
            await new.abandon()
            raise
        finally:
            self._pinned = False

    async def ping(self) -> None:
        """See `Store.ping`."""
        _ = self.state
        self._connection.check()
        if self._failed is not None:
            raise StoreUnavailableError(_FAILED)
        if self._redo is not None and self._redo.uncertain:
            async with self._logging:
                await asyncio.to_thread(self._redo.settle)
        if self._room is not None:
            self._room.check(0, grows=True)

    async def checkpoint(self) -> None:
        """See the engine's files to the disk, and shorten the redo log. Raises StoreError."""
        async with self._writing:
            await self._checkpoint()

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        if self._closed:
            return
        for task in (self._compaction, self._recovery):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self._under_way.done()
        async with self._writing:
            self._closed = True
            folder = self._connection.folder
            await self._connection.suspend()
            if self._redo is not None and folder is not None:
                if self._failed is None:
                    try:
                        await asyncio.to_thread(sync_tree, folder)
                        self._redo.shorten(safe=self._redo.last, head=self._redo.head)
                    except (OSError, StoreError) as error:
                        _log.warning("the redo log could not be shortened; the next start replays it", why=str(error))
                self._redo.close()
            await self._connection.close()

    async def _commit(self, changes: Changeset, finish: Finish | None) -> None:
        """Commit; the write lock is held, and released here."""
        try:
            _ = self.state
            await self._ready()
            draft = await self._draft(changes)
            if finish is not None:
                await self._in_turns(finish(draft) or ())
            if draft.images:
                parts = await self._parts(draft)
                self._settled.clear()
                await self._accept(draft)
                pending = await self._hand_over(parts)
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
        await self._in_turns(step for change in changes for step in draft.steps(change))
        await self._in_turns(draft.references())
        return draft

    async def _in_turns(self, steps: Iterable[None]) -> None:
        """Go through the steps, and let others run in between."""
        for done, _ in enumerate(steps, 1):
            if done % STEPS == 0:
                await asyncio.sleep(0)

    async def _parts(self, draft: Draft) -> list[Transaction]:
        """The draft as transactions: of many records several, where the redo log makes one of them."""
        items = list(draft.images.items())
        parts: list[Transaction] = []
        for start in range(0, len(items), AT_ONCE):
            whole = Transaction()
            for first in range(start, min(start + AT_ONCE, len(items)), A_TURN):
                end = min(first + A_TURN, start + AT_ONCE)
                drafted(draft, dict(items[first:end]), to=whole, doubtful=self._unreadable)
                if end < len(items):
                    await asyncio.sleep(0)
            parts.append(whole)
        if self._redo is not None or len(parts) == 1:
            return parts
        whole = Transaction()
        drafted(draft, draft.images, to=whole, doubtful=self._unreadable)
        return [whole]

    async def _accept(self, draft: Draft) -> None:
        """Write the draft to the redo log, where there is one.

        Raises StoreFullError or StoreError: nothing happened.
        """
        if self._redo is None:
            return
        body = await packed(draft.images)
        if self._room is not None:
            grows = any(
                record is not None and key[0] != "event" and draft.before(key) is None
                for key, record in draft.images.items()
            )
            self._refused(lambda room: room.check(len(body), grows=grows), self._room)
        head = draft.images.get(("head", CURRENT))
        try:
            async with self._logging:
                if self._failed is not None:
                    raise StoreUnavailableError(f"{_FAILED} Nothing was written.")
                await asyncio.to_thread(self._redo.append, body, head if isinstance(head, Head) else None)
        except UncertainEntryError:
            raise OutcomeUnknownError(draft.appended[0].id if draft.appended else None) from None
        except StoreError as error:
            self._tell(error)
            raise
        self._told = False

    async def _hand_over(self, parts: Sequence[Transaction]) -> bool:
        """Give the engine what was accepted; whether that is pending.

        Where the engine fails, for whatever reason, it is brought back and gets it from the log.
        """
        if self._redo is not None:
            parts[-1].ledger(self._redo.header.store, self._redo.last, first=False)
        try:
            for whole in parts:
                await self._connection.query(whole.text, whole.variables)
        except KeycairnError as error:
            if self._redo is None:
                raise
            await self._recover(error if isinstance(error, StoreError) else StoreError(str(error)))
            return self._failed is not None
        return False

    async def _look_after(self) -> None:
        """Shorten the log and compact the files, where that is due. It never fails the commit it follows."""
        if self._redo is None or self._redo.used <= SHORTEN_AT:
            return
        try:
            await self._checkpoint()
        except StoreError as error:
            self._tell(error)
            return
        await self._compact_where_due()

    async def _ready(self) -> None:
        """Raise the reason why nothing can be written."""
        self._connection.check()
        if self._failed is not None:
            await self._recover(self._failed)
            if self._failed is not None:
                raise StoreUnavailableError(f"{_FAILED} Nothing was written.")
        if self._redo is not None and self._redo.uncertain:
            with suppress(StoreError):  # the log refuses what follows as long as that is so
                await self._checkpoint()

    async def _checkpoint(self, *, proves: bool | None = None) -> None:
        folder = self._connection.folder
        if self._redo is None or folder is None or self._failed is not None or self._pinned:
            return
        try:
            await asyncio.to_thread(sync_tree, folder)
        except OSError as error:
            raise StoreError(f"{folder} cannot be synced: {error.strerror}.") from None
        if self._fails():
            return  # the engine was opened anew meanwhile, and needs what the log holds
        self._redo.shorten(
            safe=self._redo.last, head=self._state.get(Head, CURRENT) if proves else self._redo.head, proves=proves
        )

    def _fails(self) -> bool:
        return self._failed is not None

    async def _recover(self, why: StoreError) -> None:
        """Have the engine brought back, and wait for it, a while."""
        self._failed = self._failed or why
        self._tell(why)
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.create_task(self._bring_back())
        await asyncio.wait([self._recovery], timeout=PATIENCE)

    async def _bring_back(self) -> None:
        """Reopen the engine and roll it forward, again and again until that succeeds."""
        while True:
            try:
                async with self._logging:
                    await self._reopen()
                    await self.roll_forward()
            except StoreError as error:
                self._failed = error
                await asyncio.sleep(PAUSE)
            else:
                self._failed = None
                _log.info("the database is back")
                return

    async def roll_forward(self) -> None:
        """Give the engine all that the redo log holds: whole records, so that giving it twice does no harm."""
        if self._redo is not None:
            await replay(self._redo, self._connection.query)

    async def _rebuild(self, records: AsyncIterator[Record]) -> None:
        """Put a new database of `records` in the place of this one. The write lock is held."""
        folder = self._connection.folder
        if folder is None or self._redo is None:
            await self._refill(records)
            return
        new = await NewDatabase.begin(folder, self._names)
        try:
            await new.fill(records)
            await new.finish(store=self._redo.header.store, number=self._redo.last + 1)
        except BaseException:
            await new.abandon()
            raise
        await self._take_place()
        await self.load()

    async def _reopen(self) -> None:
        """Open everything anew, with the new database where one is ready. Raises StoreError."""
        folder = self._connection.folder
        if self._redo is None or folder is None:
            return
        self._connection.check()
        await asyncio.to_thread(self._redo.settle)  # what was not acknowledged must not be found in it
        await self._connection.suspend()
        self._redo.close()
        await asyncio.to_thread(take_place, folder)
        redo = RedoLog.open(self._redo.file)
        if redo is None:
            raise StoreError(f"{self._redo.file} is gone.")
        self._redo = redo
        await self._connection.resume()

    async def _take_place(self) -> None:
        """Go on with the new database that is ready: it is the database, even where that does not succeed at once."""
        try:
            async with self._logging:
                await self._reopen()
        except StoreError as error:
            await self._recover(error)

    async def _refill(self, records: AsyncIterator[Record]) -> None:
        """The same where everything is in the process's memory, and the store is empty."""
        whole = Transaction()
        async for record in records:
            whole.add(f"INSERT INTO {kind_of(record)} {{row}} RETURN NONE", row=row_of(record))
        await self._connection.query(whole.text, whole.variables)
        await self.load()

    async def _compact_where_due(self) -> None:
        folder = self._connection.folder
        if folder is None or self._redo is None or (self._compaction is not None and not self._compaction.done()):
            return
        if len(self._unreadable) > len(self._withheld):
            return  # what cannot be read would be left behind, and nobody has decided that yet
        if await asyncio.to_thread(tree_size, folder) > max(COMPACT_AT, COMPACT_RATIO * self._redo.header.whole):
            self._compaction = asyncio.create_task(self._compact_quietly())

    async def _compact_quietly(self) -> None:
        try:
            await self.compact()
        except StoreError as error:
            _log.warning("the database's files could not be compacted", why=str(error))

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
        if self._failed is None:
            try:
                return await self._query(text, **variables)
            except StoreError as error:
                if self._redo is None:
                    raise
                self._failed = error
        await self._recover(self._failed)  # until it is rolled forward, records may be missing in it
        if self._fails():
            raise StoreUnavailableError(_FAILED) from None
        return await self._query(text, **variables)

    async def _query(self, text: str, **variables: Any) -> Any:
        return (await self._connection.query(text, variables))[-1]

    def _refused(self, check: Callable[[Room], None], room: Room) -> None:
        try:
            check(room)
        except StoreError as error:
            self._tell(error)
            raise

    def _tell(self, error: StoreError) -> None:
        """Log a failure of the disk once, until a commit succeeds again."""
        if not self._told:
            self._told = True
            _log.error("the database cannot be written", code=error.code, why=str(error))


async def _one_by_one(records: Iterable[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record
