"""The engine in this process behind its redo log: what it was given is kept there, and brought back when it fails.

What is accepted is written to the redo log and synced; that is the point of no return. Only then the engine gets it,
unsynced: its own log is neither atomic nor, after a torn write, whole. What it missed it gets again from the redo log,
in this process when it failed, at the next start when the process did.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from keycairn.adapters.disk import disk_error
from keycairn.adapters.redo_log import RedoLog
from keycairn.adapters.surreal.building import sync_tree, take_place
from keycairn.adapters.surreal.changesets import packed, replay
from keycairn.adapters.surreal.embedded import EmbeddedConnection
from keycairn.adapters.surreal.room import Room
from keycairn.adapters.surreal.statements import Transaction
from keycairn.domain.audit import Head
from keycairn.domain.draft import Draft
from keycairn.domain.errors import (
    KeycairnError,
    OutcomeUnknownError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    UncertainEntryError,
)
from keycairn.domain.state import CURRENT

PATIENCE = 5.0
"""Seconds a commit waits for an engine that failed, before it is told that the change is pending."""
PAUSE = 0.2
"""Seconds between two attempts to bring a failed engine back."""
AT_ONCE = 1000
"""Records that are looked at without letting others run: a millisecond."""

_FAILED = "The database's files cannot be written or read. Keycairn tries again until they can."
_log = structlog.get_logger()


class LoggedEngine:
    """The engine, its redo log and the room on its disk. Without a redo log nothing outlives the process."""

    def __init__(self, connection: EmbeddedConnection, redo: RedoLog | None, room: Room | None) -> None:
        self.connection: EmbeddedConnection = connection
        self.redo: RedoLog | None = redo
        self.room: Room | None = room
        self.pinned: bool = False
        """Whether what is in the log stays there, since a database that is being built has yet to get it."""
        self.closed: bool = False
        self._logging = asyncio.Lock()
        """Held while the redo log is appended to, opened anew or replayed."""
        self._recovery: asyncio.Task[None] | None = None
        self._failed: StoreError | None = None
        self._told = False
        self._lacking = 0
        """Bytes for which the redo log found no room the last time."""

    @property
    def folder(self) -> Path | None:
        """Where the engine keeps its files, None where it keeps none."""
        return self.connection.folder

    def check_open(self) -> None:
        """Raise StoreUnavailableError where it was closed."""
        if self.closed:
            raise StoreUnavailableError("The database is closed.")

    async def ping(self) -> None:
        """Raise StoreError where nothing could be written at the moment."""
        self.check_open()
        self.connection.check()
        if self._fails():
            raise StoreUnavailableError(_FAILED)
        if self.redo is not None and self.redo.uncertain:
            async with self._logging:
                await asyncio.to_thread(self.redo.settle)
        if self.room is not None:
            self.room.check(0, grows=True)
        if self.redo is not None and self._lacking:  # a quota is not seen from what is free on the disk
            async with self._logging:
                await asyncio.to_thread(self.redo.make_room, self._lacking)
            self._lacking = 0

    async def ready(self) -> None:
        """Raise the reason why nothing can be written."""
        self.check_open()
        self.connection.check()
        if self._failed is not None:
            await self._recover(self._failed)
            if self._fails():
                raise StoreUnavailableError(f"{_FAILED} Nothing was written.")
        if self.redo is not None and self.redo.uncertain:
            with suppress(StoreError):  # the log refuses what follows as long as that is so
                await self.checkpoint()

    async def accept(self, draft: Draft) -> None:
        """Write the draft to the redo log, where there is one.

        Raises StoreFullError or StoreError: nothing happened; OutcomeUnknownError where that is not known.
        """
        if self.redo is None:
            return
        body = await packed(draft.images)
        head = draft.images.get(("head", CURRENT))
        try:
            if self.room is not None:
                self.room.check(len(body), grows=await _grows(draft))
            async with self._logging:
                if self._failed is not None:
                    raise StoreUnavailableError(f"{_FAILED} Nothing was written.")
                await asyncio.to_thread(self.redo.append, body, head if isinstance(head, Head) else None)
        except UncertainEntryError:
            raise OutcomeUnknownError(draft.appended[0].id if draft.appended else None) from None
        except StoreError as error:
            self._lacking = len(body) if isinstance(error, StoreFullError) else 0
            self.tell(error)
            raise
        self._told, self._lacking = False, 0

    async def hand_over(self, parts: Sequence[Transaction]) -> bool:
        """Give the engine what was accepted; whether that is pending.

        Where the engine fails, for whatever reason, it is brought back and gets it from the log.
        """
        if self.redo is not None:
            parts[-1].ledger(self.redo.header.store, self.redo.last, first=False)
        try:
            for whole in parts:
                await self.connection.query(whole.text, whole.variables)
        except KeycairnError as error:
            if self.redo is None:
                raise
            await self._recover(error if isinstance(error, StoreError) else StoreError(str(error)))
            return self._fails()
        return False

    async def read(self, text: str, **variables: Any) -> Any:
        """The result of one statement, from an engine that has all that was accepted. Raises StoreError."""
        if self._failed is None:
            try:
                return await self.query(text, **variables)
            except StoreError as error:
                if self.redo is None:
                    raise
                self._failed = error
        await self._recover(self._failed)  # until it is rolled forward, records may be missing in it
        if self._fails():
            raise StoreUnavailableError(_FAILED) from None
        return await self.query(text, **variables)

    async def query(self, text: str, **variables: Any) -> Any:
        """The result of one statement, from the engine as it is. Raises StoreError."""
        return (await self.connection.query(text, variables))[-1]

    async def roll_forward(self) -> None:
        """Give the engine all that the redo log holds: whole records, so that giving it twice does no harm."""
        if self.redo is not None:
            await replay(self.redo, self.connection.query)

    async def checkpoint(self, *, head: Head | None = None, proves: bool | None = None) -> None:
        """See the engine's files to the disk, and shorten the redo log. Raises StoreError.

        With `proves`, the log says from then on that the audit chain's head is `head`.
        """
        if self.redo is None or self.folder is None or self._failed is not None or self.pinned:
            return
        try:
            await asyncio.to_thread(sync_tree, self.folder)
        except OSError as error:
            raise disk_error(error, self.folder.parent, f"{self.folder} cannot be synced") from None
        if self._fails():
            return  # the engine was opened anew meanwhile, and needs what the log holds
        self.redo.shorten(safe=self.redo.last, head=head if proves else self.redo.head, proves=proves)

    async def take_place(self) -> None:
        """Go on with the new database that is ready: it is the database, even where that does not succeed at once."""
        try:
            async with self._logging:
                await self._reopen()
        except StoreError as error:
            await self._recover(error)

    async def stop_recovering(self) -> None:
        """Try no longer to bring a failed engine back."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait([self._recovery])

    async def aclose(self) -> None:
        """Close the engine, and leave a log that is as short as can be."""
        self.closed = True
        await self.connection.suspend()
        if self.redo is not None and self.folder is not None:
            if self._failed is None:
                try:
                    await asyncio.to_thread(sync_tree, self.folder)
                    self.redo.shorten(safe=self.redo.last, head=self.redo.head)
                except (OSError, StoreError) as error:
                    _log.warning("the redo log could not be shortened; the next start replays it", why=str(error))
            self.redo.close()
        await self.connection.close()

    def tell(self, error: StoreError) -> None:
        """Log a failure of the disk once, until a commit succeeds again."""
        if not self._told:
            self._told = True
            _log.error("the database cannot be written", code=error.code, why=str(error))

    def _fails(self) -> bool:
        return self._failed is not None

    async def _recover(self, why: StoreError) -> None:
        """Have the engine brought back, and wait for it, a while."""
        self._failed = self._failed or why
        self.tell(why)
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

    async def _reopen(self) -> None:
        """Open everything anew, with the new database where one is ready. Raises StoreError."""
        folder = self.folder
        if self.redo is None or folder is None:
            return
        self.connection.check()
        await asyncio.to_thread(self.redo.settle)  # what was not acknowledged must not be found in it
        await self.connection.suspend()
        self.redo.close()
        await asyncio.to_thread(take_place, folder)
        redo = RedoLog.open(self.redo.file)
        if redo is None:
            raise StoreError(f"{self.redo.file} is gone.")
        self.redo = redo
        await self.connection.resume()


async def _grows(draft: Draft) -> bool:
    """Whether it adds records; events are added by whatever is done."""
    for start in range(0, len(items := list(draft.images.items())), AT_ONCE):
        some = items[start : start + AT_ONCE]
        if any(record is not None and key[0] != "event" and draft.before(key) is None for key, record in some):
            return True
        if len(items) > AT_ONCE:
            await asyncio.sleep(0)
    return False
