"""Which records of a database that others write to are believed, and which were not."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

from keycairn.adapters.surreal.records import readable
from keycairn.adapters.surreal.rows import Row
from keycairn.domain.errors import RefusedRecordError, UnreadableRecordError
from keycairn.domain.proof import Check, Learn, kid_of_proof
from keycairn.domain.record import Record, record_key
from keycairn.domain.state import Key, key_for

AT_ONCE = 200
"""Records that are checked without letting others run: 1 ms."""


class TrustedRecords:
    """Reads rows as records, and remembers those that cannot be read or are refused."""

    def __init__(self) -> None:
        self._unreadable: dict[Key, UnreadableRecordError] = {}
        self.check: Check | None = None
        """What refuses a record that was read."""
        self.learn: Learn | None = None
        """Is told which data keys the proofs of records need, before they are checked."""
        self.doubted: Callable[[Key], None] = lambda _: None
        """Is told each record that could not be read."""

    def readable(self, table: str, rows: Iterable[Row]) -> list[Record]:
        """The records of rows; those that cannot be read are noted and left out."""
        records = list(readable(table, rows, self.note, self.check))
        if self._unreadable:
            for record in records:
                self.cleared((table, record_key(record)))
        return records

    async def learn_from(self, rows: object) -> None:
        """Have the data keys that the proofs in rows need."""
        if self.learn is None or not isinstance(rows, list):
            return
        found = {kid_of_proof(row.get("proof")) for row in rows if isinstance(row, dict)}
        if kids := frozenset(kid for kid in found if kid is not None):
            await self.learn(kids)

    async def refused(self, records: Collection[Record]) -> list[Key]:
        """Check records that were read before there was anything to check them with; those that are refused."""
        if self.learn is not None:
            found = {kid_of_proof(getattr(record, "proof", "")) for record in records}
            await self.learn(frozenset(kid for kid in found if kid is not None))
        refused: list[Key] = []
        for done, record in enumerate(records, 1):
            if self.check is not None and (why := self.check(record)) is not None:
                refused.append(key_for(record))
                self.note(RefusedRecordError(*key_for(record), why))
            if done % AT_ONCE == 0:
                await asyncio.sleep(0)
        return refused

    def note(self, error: UnreadableRecordError) -> None:
        """Remember a record that could not be read."""
        self._unreadable[error.kind, error.key] = error
        self.doubted((error.kind, error.key))

    def cleared(self, key: Key) -> None:
        """Forget what was noted of a record: it was read, or written anew."""
        self._unreadable.pop(key, None)

    def __contains__(self, key: object) -> bool:
        """Whether that record could not be read."""
        return key in self._unreadable

    def unreadable(self) -> Sequence[UnreadableRecordError]:
        """The records that could not be read so far."""
        return list(self._unreadable.values())
