"""Putting a new database of other files in the place of the one in use: a compacted one, or one of other records."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence

import structlog

from keycairn.adapters.surreal.building import NewDatabase, tree_size
from keycairn.adapters.surreal.logged_engine import LoggedEngine
from keycairn.domain.errors import StoreError
from keycairn.domain.record import Record

COMPACT_AT = 16 * 2**20
"""Bytes of the engine's files below which they are never compacted: some 9,000 edits, and 25 MiB of memory."""
COMPACT_RATIO = 2
"""How many times their size when they were last written anew the engine's files grow before they are compacted."""

_log = structlog.get_logger()
Held = Mapping[str, Sequence[Record]]
"""The records of the kinds held in memory, by kind."""


class Rebuilding:
    """Builds new databases beside the one that an engine has open, one at a time. `names` are its two names.

    `writing` is the lock that every commit takes. `held` gives what is in memory, and is called with it;
    `records` gives everything, with what `held` gave for the kinds in memory.
    """

    def __init__(
        self,
        engine: LoggedEngine,
        names: tuple[str, str],
        *,
        writing: asyncio.Lock,
        held: Callable[[], Awaitable[Held]],
        records: Callable[[Held], AsyncGenerator[Record, None]],
    ) -> None:
        self._engine = engine
        self._names = names
        self._writing = writing
        self._held = held
        self._records = records
        self.building: asyncio.Lock = asyncio.Lock()
        """Held while a new database is built."""
        self._compaction: asyncio.Task[None] | None = None

    async def compact(self) -> None:
        """Write the engine's files anew, without what was overwritten or deleted, while it serves.

        Raises StoreError.
        """
        async with self.building:
            await self._compact()

    async def compact_where_due(self) -> None:
        """Begin to compact in the background, where the files have grown enough."""
        folder, redo = self._engine.folder, self._engine.redo
        if folder is None or redo is None or (self._compaction is not None and not self._compaction.done()):
            return
        if await asyncio.to_thread(tree_size, folder) > max(COMPACT_AT, COMPACT_RATIO * redo.header.whole):
            self._compaction = asyncio.create_task(self._compact_quietly())

    async def replace(self, records: AsyncIterator[Record]) -> bool:
        """Put a database of `records` in the place of this one; both locks are held.

        False, with nothing done, where the engine keeps no files. Raises StoreError.
        """
        folder, redo = self._engine.folder, self._engine.redo
        if folder is None or redo is None:
            return False
        new = await NewDatabase.begin(folder, self._names)
        try:
            await new.fill(records)
            await new.finish(store=redo.header.store, number=redo.last + 1)
        except BaseException:
            await new.abandon()
            raise
        await self._engine.take_place()
        return True

    async def stop(self) -> None:
        """Give up a compaction that goes on in the background."""
        if self._compaction is not None:
            self._compaction.cancel()
            await asyncio.wait([self._compaction])

    async def _compact(self) -> None:
        engine = self._engine
        engine.check_open()
        if engine.folder is None or engine.redo is None:
            return
        new = await NewDatabase.begin(engine.folder, self._names)
        try:
            async with self._writing:
                await engine.ready()
                await engine.checkpoint()
                engine.pinned = True  # what is committed from here on must stay in the log until it is in the new one
                held = await self._held()
            await new.fill(self._records(held))
            async with self._writing:
                await engine.ready()
                redo = engine.redo
                await new.replay(redo)
                await new.finish(store=redo.header.store, number=redo.last, proves=redo.header.proves)
                await engine.take_place()
        except BaseException:
            await new.abandon()
            raise
        finally:
            engine.pinned = False

    async def _compact_quietly(self) -> None:
        try:
            await self.compact()
        except StoreError as error:
            _log.warning("the database's files could not be compacted", why=str(error))
