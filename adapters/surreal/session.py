"""How the store of a server uses its connection: what is repeated, what outlives its caller, and who may write."""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from keycairn.adapters.surreal.loading import LoadedRevision, loaded, needs
from keycairn.adapters.surreal.records import Row, readable, record_id
from keycairn.adapters.surreal.restoring import Claim
from keycairn.adapters.surreal.server_log import Intent, ServerLog
from keycairn.adapters.surreal.statements import Transaction, counted, drafted, guard
from keycairn.adapters.surreal.under_way import UnderWay
from keycairn.domain.change import AddUsage, Changeset, Discard, DropUsage, only_counts
from keycairn.domain.draft import Draft
from keycairn.domain.errors import (
    ConflictError,
    ConnectionLostError,
    OutcomeUnknownError,
    RetryableConflictError,
    StoreError,
    StoreUnavailableError,
    UnreadableRecordError,
)
from keycairn.domain.proof import Check
from keycairn.domain.record import Record, record_key
from keycairn.domain.state import Key, State
from keycairn.ports.store import Finish

ATTEMPTS = 32
"""How often a changeset is worked out anew before a conflict with other writers is given up."""
LONGEST_PAUSE = 0.2
"""Seconds between two attempts, at most."""
_NOTHING = State()
_log = structlog.get_logger()


class DatabaseConnection(Protocol):
    """What the store needs of the database."""

    async def query(self, text: str, variables: Mapping[str, Any]) -> list[Any]:
        """The result of each statement of `text`."""
        ...

    async def close(self) -> None:
        """Release everything."""
        ...


class Session:
    """Reads are tried again once, writes run one at a time, and both go on when their caller is cancelled.

    One write runs at a time since the embedded engine loses acknowledged updates when its writers race.
    """

    def __init__(self, connection: DatabaseConnection, log: ServerLog) -> None:
        self._log = log
        self._connection = connection
        self._writing = asyncio.Lock()
        self._under_way = UnderWay()
        self._closed = False
        self._unreadable: dict[Key, UnreadableRecordError] = {}
        self.check: Check | None = None
        """What refuses a record that was read."""

    def readable(self, table: str, rows: Iterable[Row]) -> list[Record]:
        """The records of rows; those that cannot be read are noted and left out."""
        records = list(readable(table, rows, self.note, self.check))
        if self._unreadable:
            for record in records:
                self._unreadable.pop((table, record_key(record)), None)
        return records

    def note(self, error: UnreadableRecordError) -> None:
        """Remember a record that could not be read."""
        self._unreadable[error.kind, error.key] = error

    def unreadable(self) -> Sequence[UnreadableRecordError]:
        """The records that could not be read so far."""
        return list(self._unreadable.values())

    async def read(self, text: str, **variables: Any) -> Any:
        """The result of the one statement `text`; tried again once when the connection broke."""
        self._check_open()
        if any(isinstance(value, str) and "\0" in value for value in variables.values()):
            return []  # no indexed column holds a NUL, and the engine cannot look for one
        return await self._under_way.started(self._repeated(text, variables))

    async def write(self, changes: Changeset, finish: Finish | None) -> None:
        """Commit `changes`. Raises as `Store.commit`."""
        await self._writing.acquire()  # cancelling is harmless up to here; then the write goes on without its caller
        await asyncio.shield(self._under_way.started(self._write(changes, finish)))

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        await self._writing.acquire()
        claim = Claim(self._connection.query)
        work = self._under_way.started(self._fill(claim, records))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            claim.stop()
            await asyncio.wait([work])
            raise

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        self._closed = True
        await self._under_way.done()
        async with self._writing:
            await self._connection.close()
            self._log.close()

    async def _repeated(self, text: str, variables: Mapping[str, Any]) -> Any:
        try:
            return (await self._connection.query(text, variables))[-1]
        except ConnectionLostError:
            try:
                return (await self._connection.query(text, variables))[-1]
            except ConnectionLostError:
                raise StoreUnavailableError from None

    async def _write(self, changes: Changeset, finish: Finish | None) -> None:
        """Commit; the write lock is held, and released here."""
        try:
            self._check_open()
            await self.settle_open()
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    await self._attempt(changes, finish)
                except RetryableConflictError:
                    if attempt == ATTEMPTS:
                        raise ConflictError from None
                    await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.004 * attempt)))  # noqa: S311  # jitter
                else:
                    return
        finally:
            self._writing.release()

    async def _attempt(self, changes: Changeset, finish: Finish | None) -> None:
        """Work the changes out against what is stored, and store what they come to, unless it changed meanwhile."""
        if only_counts(changes):
            await self._count(changes)
            return
        whole = Transaction()
        moment = await self._moment(changes)
        draft = Draft(moment.base)
        for change in changes:
            draft.apply(change)
        for _ in draft.references():
            pass
        if finish is not None:
            for _ in finish(draft) or ():
                pass
        guard(whole, revision=moment.revision)
        drafted(draft, draft.images, to=whole, without={"usage"}, doubtful=self._unreadable)
        counted([change for change in changes if isinstance(change, AddUsage | DropUsage)], whole)
        for change in changes:
            if isinstance(change, Discard) and change.kind == "usage":
                whole.image(change.kind, change.key, None, existed=None)
        images = {key: record for key, record in draft.images.items() if key[0] != "usage"}
        await self._carried_out(whole, await self._log.intend(images, [event.id for event in draft.appended]))
        for key in draft.images:
            self._unreadable.pop(key, None)

    async def _count(self, changes: Changeset) -> None:
        """Store sums and marks of use, which nobody else's changes can be in the way of."""
        for change in changes:
            if isinstance(change, AddUsage):
                Draft(_NOTHING).apply(change)  # for its checks
        whole = Transaction()
        guard(whole, revision=None)
        counted(changes, whole)
        await self._run(whole, [])

    async def _carried_out(self, whole: Transaction, intent: Intent) -> None:
        """Send what was noted, and note what came of it."""
        try:
            await self._run(whole, intent.events)
        except OutcomeUnknownError:
            raise
        except BaseException:
            await self._settle(intent, done=False)
            raise
        await self._settle(intent, done=True)

    async def _settle(self, intent: Intent, *, done: bool) -> None:
        try:
            await self._log.settle(intent, done=done)
        except StoreError as error:
            # the server has decided, and its answer must not be reported as another one
            _log.warning("what the database decided could not be noted beside it", detail=str(error))

    async def settle_open(self) -> None:
        """Find out by their audit events what became of the changesets whose outcome is not known yet."""
        for intent in self._log.unsettled:
            ids = [record_id("event", id) for id in intent.events]
            found = await self._repeated("SELECT VALUE id FROM $ids", {"ids": ids}) if ids else []
            await self._settle(intent, done=bool(found))

    async def _moment(self, changes: Changeset) -> LoadedRevision:
        wanted = needs(changes)
        text, variables = wanted.query()
        return loaded(await self._repeated(text, variables), wanted, self.readable)

    async def _run(self, whole: Transaction, events: Sequence[str]) -> None:
        try:
            await self._connection.query(whole.text, whole.variables)
        except ConnectionLostError:
            await self._decide(events)

    async def _fill(self, claim: Claim, records: Iterable[Record]) -> None:
        """Restore; the write lock is held, and released here."""
        try:
            self._check_open()
            await claim.take()
            try:
                await claim.fill(records)
                await claim.release()
            except BaseException:
                await claim.give_up()
                raise
        finally:
            self._writing.release()

    async def _decide(self, events: Sequence[str]) -> None:
        """The connection broke around a transaction: find out by its audit events whether it was carried out."""
        if not events:
            raise OutcomeUnknownError
        try:
            found = await self._repeated(
                "SELECT VALUE id FROM $ids", {"ids": [record_id("event", id) for id in events]}
            )
        except StoreUnavailableError:
            raise OutcomeUnknownError(events[0]) from None
        if not found:
            raise StoreUnavailableError("The connection to the database broke before the write. Nothing was written.")

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("The database is closed.")
