"""How the store uses its connection: what is repeated, what outlives its caller, and who may write."""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from keycairn.adapters.surreal.errors import ConnectionLostError, RetryableConflictError
from keycairn.adapters.surreal.records import record_id, text_id
from keycairn.adapters.surreal.restoring import Claim
from keycairn.adapters.surreal.statements import Transaction
from keycairn.domain.change import Append, Changeset, only_counts
from keycairn.domain.errors import ConflictError, StoreUnavailableError
from keycairn.domain.record import Record

ATTEMPTS = 8
"""How often a transaction is run before a conflict with other writers is given up."""
LONGEST_PAUSE = 0.2
"""Seconds between two attempts, at most."""


class Connection(Protocol):
    """What the store needs of the database."""

    @property
    def shared(self) -> bool:
        """Whether other processes may write to the same database."""
        ...

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

    def __init__(self, connection: Connection) -> None:
        self.shared = connection.shared
        self._connection = connection
        self._writing = asyncio.Lock()
        self._under_way: set[asyncio.Future[Any]] = set()
        self._closed = False
        self._writes = 0

    @property
    def writes(self) -> int:
        """How many writes of this process there were that changed more than counts. Raises StoreUnavailableError."""
        self._check_open()
        return self._writes

    async def read(self, text: str, **variables: Any) -> Any:
        """The result of the one statement `text`; tried again once when the connection broke."""
        self._check_open()
        if any(isinstance(value, str) and "\0" in value for value in variables.values()):
            return []  # no indexed column holds a NUL, and the engine cannot look for one
        return await self._started(self._repeated(text, variables))

    async def write(self, whole: Transaction, changes: Changeset) -> None:
        """Run the transaction that `changes` became. Raises as `Store.commit`."""
        await self._writing.acquire()  # cancelling is harmless up to here; then the write goes on without its caller
        await asyncio.shield(self._started(self._write(whole, changes)))

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """A context in which this process writes nothing."""
        async with self._writing:
            yield

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        await self._writing.acquire()
        claim = Claim(self._connection.query)
        work = self._started(self._fill(claim, records))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            claim.stop()
            await asyncio.wait([work])
            raise

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        self._closed = True
        while self._under_way:
            await asyncio.wait(self._under_way)
        async with self._writing:
            await self._connection.close()

    async def _repeated(self, text: str, variables: Mapping[str, Any]) -> Any:
        try:
            return (await self._connection.query(text, variables))[-1]
        except ConnectionLostError:
            try:
                return (await self._connection.query(text, variables))[-1]
            except ConnectionLostError:
                raise StoreUnavailableError from None

    async def _write(self, whole: Transaction, changes: Changeset) -> None:
        """Run the transaction; the write lock is held, and released here."""
        try:
            self._check_open()
            await self._attempt(whole, changes)
        finally:
            self._writes += not only_counts(changes)
            self._writing.release()

    async def _attempt(self, whole: Transaction, changes: Changeset) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._connection.query(whole.text, whole.variables)
            except RetryableConflictError:
                if attempt == ATTEMPTS:
                    raise ConflictError from None
                await asyncio.sleep(random.uniform(0, LONGEST_PAUSE * attempt / ATTEMPTS))  # noqa: S311  # jitter
            except ConnectionLostError:
                await self._decide(changes)
                return
            else:
                return

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
            self._writes += 1
            self._writing.release()

    async def _decide(self, changes: Changeset) -> None:
        """The connection broke around a transaction: find out by its audit event whether it was carried out."""
        events = [record_id("event", change.event.id) for change in changes if isinstance(change, Append)]
        if not events:
            raise StoreUnavailableError(
                "The connection to the database broke during a write, and it is unknown whether it was carried out. "
                "Read again before repeating it."
            )
        try:
            found = await self._repeated("SELECT VALUE id FROM $ids", {"ids": events})
        except StoreUnavailableError:
            raise StoreUnavailableError(
                "The connection to the database broke during a write, and it is unknown whether it was carried out. "
                f"The audit event {text_id(events[0])} will be there if it was."
            ) from None
        if not found:
            raise StoreUnavailableError("The connection to the database broke before the write. Nothing was written.")

    def _started(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, even where the caller was cancelled and asks no more

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("The database is closed.")
