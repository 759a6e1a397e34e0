"""One look at all records: the sum of those that are proven, and why the others are not."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from msgspec import Struct

from keycairn.app.services.audit.chain import Walk, last_link, walked
from keycairn.app.services.audit.journal import Journal
from keycairn.domain.audit import Head
from keycairn.domain.errors import ConflictError
from keycairn.domain.keyset import Keyset
from keycairn.domain.proof import added, counts, digest, name_of, unmasked, weight
from keycairn.domain.record import Record
from keycairn.domain.state import Key, key_for
from keycairn.ports.store import Store

AT_ONCE = 200
"""Records looked at without letting others run: 2 to 4 ms."""
ATTEMPTS = 8
PAUSE = 0.05
"""Seconds between two attempts, times their number."""


class SeenRecords(Struct, frozen=True, kw_only=True):
    """One look at all records: the sum of those that are proven, and why the others are not; the end of the chain.

    `proven` is the last link whose MAC holds, `stored` what the database takes for it, `head` the one to go on from.
    """

    head: Head | None
    proven: Head | None
    stored: Head | None
    total: int
    refused: Mapping[Key, str]
    digests: Mapping[str, str]
    weights: Mapping[str, int]


class RecordSums:
    """Looks at every record, and says whether the sum of them is the one that the chain of events carries."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    async def _goes_on_from(self, stored: Head | None, proven: Head | None, total: int) -> bool:
        """Whether the stored head is behind the last proven link, and the end of the chain all the same.

        It is where it carries the sum of the records, which nobody else can make. And where there is an event of its
        number, since none is given twice.
        """
        if stored is None or (proven is not None and stored.seq <= proven.seq):
            return False
        if total == unmasked(stored.state, stored.seq, self._journal.keys):
            return True
        page = await self._store.chain(after=stored.seq - 1, limit=1)
        return any((event.seq, event.mac) == (stored.seq, stored.mac) for event in page)

    def as_left(self, seen: SeenRecords) -> bool:
        """Whether the end of the chain is where the database says, and the records add up to what it says."""
        return seen.stored == seen.head and self.adds_up(seen)

    def adds_up(self, seen: SeenRecords) -> bool:
        """Whether the records add up to the sum that the chain carries at its end."""
        head = seen.head
        return head is not None and seen.total == unmasked(head.state, head.seq, self._journal.keys)

    async def look(self, *, listed: bool = False) -> SeenRecords:
        """Look at every record that counts, at one moment. `listed` asks for digests and weights."""
        for attempt in range(1, ATTEMPTS + 1):
            async with self._store.snapshot() as records:
                before = await self._store.revision()
                seen = await self._looked(records, listed=listed)
                if (await self._store.revision(), await self._store.head()) == (before, seen.stored):
                    return seen
            await asyncio.sleep(PAUSE * attempt)
        raise ConflictError("Others wrote to the database all the time. Try again when it is calmer.")

    async def side_by_side(self, walk: Walk) -> tuple[SeenRecords, Walk]:
        """A look and a walk that end at the same link: with a change between them they would differ for nothing."""
        for _ in range(ATTEMPTS):
            seen = await self.look(listed=True)
            if seen.proven == walk.proven:
                return seen, walk
            walk, _, _ = await walked(self._store, self._journal.mac)
        raise ConflictError("Others wrote to the database all the time. Try again when it is calmer.")

    async def _looked(self, records: AsyncIterator[Record], *, listed: bool) -> SeenRecords:
        keys = self._journal.keys
        stored, proven = await self._store.head(), await last_link(self._store, self._journal.mac)
        total = number = 0
        refused: dict[Key, str] = {}
        digests: dict[str, str] = {}
        weights: dict[str, int] = {}
        async for record in records:
            if not counts(record):
                break
            if isinstance(record, Keyset) and record != keys.record:
                await self._journal.refresh()  # another instance went on meanwhile
                keys = self._journal.keys
            found = weight(record, keys)
            if isinstance(found, str):
                refused[key_for(record)] = found
            else:
                total += found
            if listed and isinstance(found, int):
                digests[name_of(record)], weights[name_of(record)] = digest(record, keys), found
            number += 1
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        total = added(total, 0)
        return SeenRecords(
            head=stored if await self._goes_on_from(stored, proven, total) else proven,
            proven=proven,
            stored=stored,
            total=total,
            refused=refused,
            digests=digests,
            weights=weights,
        )
