"""Restoring all of a backup or nothing.

A marker is committed first and removed last; what is stored while it is there is not the store's content. Whoever
finds the marker when opening a database empties that database first. Where other processes reach the same database
each step also renews the marker, so that a restore under way is told from one that was cut off.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import groupby, islice
from typing import Any

from keycairn.adapters.surreal.errors import OCCUPIED, RESTORING
from keycairn.adapters.surreal.records import row_of
from keycairn.adapters.surreal.statements import MARKER, REVISION, Transaction
from keycairn.domain.errors import ConnectionLostError, RetryableConflictError, StoreUnavailableError
from keycairn.domain.record import KINDS, Record, kind_of

BATCH = 200
"""Records in one transaction."""
PATIENCE = "1m"
"""How long nobody may have renewed a marker before it counts as left behind; a step takes a fraction of a second."""

NONE = "0s"
"""The same where no other process can be at it."""

ATTEMPTS = 8
"""How often a step is run when others renew or read the marker at the same moment."""
PAUSE = 0.02
"""Seconds, times the number of the attempt."""
_BROKE = "The connection to the database broke during the restore. What was stored of it is no content and goes again."

Query = Callable[[str, Mapping[str, Any]], Awaitable[list[Any]]]


class Claim:
    """The marker of one process, on a database that is nobody else's as long as it is there."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._owner = secrets.token_hex(16)
        self._stopped = False

    def stop(self) -> None:
        """Let `fill` end after the step it is at, with CancelledError."""
        self._stopped = True

    async def fill(self, records: Iterable[Record]) -> None:
        """Store `records` in an empty database. Raises as `Store.restore`; leave it to `empty` to tidy up then."""
        for batch in _batches(records):
            if self._stopped:
                raise asyncio.CancelledError
            for table, rows in groupby(batch, kind_of):
                step = self._step()
                step.add(f"INSERT INTO {table} {{rows}} RETURN NONE", rows=[row_of(record) for record in rows])
                await self._run(step)

    async def take(self) -> None:
        """Set the marker. Raises StoreNotEmptyError, or RestoringError when there is one."""
        step = Transaction()
        step.expect("(SELECT VALUE owner FROM ONLY {id}) = NONE", otherwise=RESTORING, id=MARKER)
        for table in KINDS:
            step.add(f"IF (SELECT VALUE id FROM {table} LIMIT 1) != [] {{{{ THROW '{OCCUPIED}' }}}}")  # noqa: S608  # our own tables
        step.add("CREATE {id} SET owner = {owner}, at = time::now() RETURN NONE", id=MARKER, owner=self._owner)
        await self._run(step)

    async def take_over(self, *, patience: str) -> bool:
        """Make a marker one's own that nobody has renewed for so long; whether there was one.

        Raises RestoringError for one that was.
        """
        found = await self._query("SELECT owner FROM $id", {"id": MARKER})
        if not found[-1]:
            return False
        step = Transaction()
        step.expect(
            f"(SELECT VALUE owner FROM ONLY {{id}} WHERE at <= time::now() - {patience}) = {{seen}}",  # noqa: S608  # our own clause
            otherwise=RESTORING,
            id=MARKER,
            seen=found[-1][0]["owner"],
        )
        step.add("UPDATE {id} SET owner = {owner}, at = time::now() RETURN NONE", id=MARKER, owner=self._owner)
        await self._run(step)
        return True

    async def empty(self) -> None:
        """Remove all records. It may be repeated."""
        for table in KINDS:
            while found := (await self._query(f"SELECT VALUE id FROM {table} LIMIT {BATCH}", {}))[-1]:  # noqa: S608  # our own tables
                step = self._step()
                for id in found:
                    step.add("DELETE {id} RETURN NONE", id=id)
                await self._run(step)

    async def release(self) -> None:
        """Remove the marker: what is stored is the content from now on, and others see that it changed."""
        step = self._step()
        step.add("DELETE {id} RETURN NONE", id=MARKER)
        step.put("SET number = (number ?? 0) + 1", id=REVISION)
        try:
            await self._run(step)
        except StoreUnavailableError:
            found = await self._query("SELECT owner FROM $id WHERE owner = $own", {"id": MARKER, "own": self._owner})
            if found[-1]:
                raise

    async def give_up(self) -> None:
        """Remove what was stored, and the marker."""
        await self.empty()
        await self.release()

    def _step(self) -> Transaction:
        step = Transaction()
        step.expect(
            "(UPDATE {id} SET at = time::now() WHERE owner = {owner} RETURN VALUE id) != []",
            otherwise=RESTORING,
            id=MARKER,
            owner=self._owner,
        )
        return step

    async def _run(self, step: Transaction) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await self._query(step.text, step.variables)
            except RetryableConflictError:
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(PAUSE * attempt)
            except ConnectionLostError:
                raise StoreUnavailableError(_BROKE) from None
            else:
                return


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    remaining = iter(records)
    while batch := list(islice(remaining, BATCH)):
        yield batch
