"""Which records were changed since a revision: the notes that commits leave, and the records they name.

Every commit moves the revision on by one, and notes in the same transaction which records it touched. The notes after a
revision and those records are read in one statement. Where a note is missing, since it is too old or something else
wrote, only reading everything anew helps.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from msgspec import Struct
from surrealdb import RecordID

from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.adapters.surreal.history import HELD
from keycairn.adapters.surreal.loading import no_collecting, number_in
from keycairn.adapters.surreal.rows import Row
from keycairn.adapters.surreal.snapshot import records_in
from keycairn.adapters.surreal.statements import KEPT, REVISION, TAKEN
from keycairn.adapters.surreal.trusting import TrustedRecords
from keycairn.domain.record import Record
from keycairn.domain.state import Images, Key, State, key_for

MOST = 10_000
"""Records that are read at once to catch up; where more were touched, everything is read anew, in pages."""

_RENEWAL = (
    "UPDATE $me SET seen = $seen, "
    "granted = IF $seen >= ((SELECT VALUE number FROM ONLY $taken) ?? 0) { $turn } ELSE { granted } RETURN NONE;"
)
_LOOK = (
    "{{ LET $number = (SELECT VALUE number FROM ONLY $revision) ?? 0; "
    "LET $notes = IF $number - $seen > $kept {{ [] }} ELSE {{ (SELECT * FROM {notes}) }}; "
    "LET $ids = array::distinct(array::concat(array::flatten($notes.touched), $again)); "
    "RETURN [$number, $notes, IF array::len($ids) > $most {{ NONE }} ELSE {{ (SELECT * FROM $ids) }}, "
    "(SELECT * FROM lease)]; }}"
)


class WatchedConnection(Protocol):
    """What following needs of the database."""

    deadline: float
    """Seconds within which it answers, or is unavailable."""

    async def read(self, text: str, variables: Mapping[str, Any], *, until: float | None = None) -> list[Any]:
        """The result of each statement of what may be repeated."""
        ...

    async def watch(self, text: str, notice: Callable[[Any], None]) -> None:
        """Run a live query until cancelled."""
        ...


class Renewal(Struct, frozen=True):
    """What a look renews beside: a lease, by its record and the number of its renewal."""

    lease: RecordID
    turn: int


class Look(Struct, frozen=True):
    """What was found after a revision: the last one, the notes, the records they name (None for too many), and leases.

    Notes, records and leases are rows of their tables.
    """

    number: int
    notes: list[Row]
    rows: list[Row] | None
    leases: list[Row]

    @property
    def taking(self) -> list[int]:
        """The revisions that took something away."""
        return [note["id"].id for note in self.notes if note.get("takes")]


class Revisions:
    """Reads what a shared database holds, and what was changed in it since."""

    def __init__(self, connection: WatchedConnection, dialect: EngineDialect, trusted: TrustedRecords) -> None:
        self._connection = connection
        self._dialect = dialect
        self._trusted = trusted
        self._look = _LOOK.format(notes=dialect.between("change", "$seen", "$number"))

    async def since(
        self,
        revision: int,
        again: frozenset[Key] = frozenset(),
        *,
        renewal: Renewal | None = None,
        until: float | None = None,
    ) -> Look:
        """What the database has after `revision`, and the records `again`; with a renewal, if asked.

        Raises StoreError.
        """
        variables: dict[str, Any] = {
            "revision": REVISION,
            "seen": revision,
            "again": [RecordID(kind, key) for kind, key in again],
            "kept": KEPT,
            "most": MOST,
        }
        text = self._look
        if renewal is not None:
            text = f"{_RENEWAL}\n{text}"
            variables |= {"me": renewal.lease, "turn": renewal.turn, "taken": TAKEN}
        number, notes, rows, leases = (await self._connection.read(text, variables, until=until))[-1]
        return Look(number_in(number), notes, rows, leases)

    async def images(self, revision: int, look: Look, again: frozenset[Key] = frozenset()) -> Images | None:
        """What became of the records that were touched since `revision`; None where that cannot be told."""
        numbers = [note["id"].id for note in look.notes]
        if look.rows is None or numbers != list(range(revision + 1, look.number + 1)):
            return None
        images: dict[Key, Record | None] = dict.fromkeys(again)
        tables: dict[str, list[Row]] = {}
        for note in look.notes:
            touched = note.get("touched")
            for id in touched if isinstance(touched, list) else ():
                if isinstance(id, RecordID) and id.table_name in HELD and isinstance(id.id, str):
                    images[id.table_name, id.id] = None
        for row in look.rows:
            tables.setdefault(row["id"].table_name, []).append(row)
        await self._trusted.learn_from(look.rows)
        for table in HELD:
            for record in self._trusted.readable(table, tables.get(table, ())):
                images[key_for(record)] = record
        return images

    async def everything(self) -> tuple[State, Look] | None:
        """All that is held in memory, and the look at whose revision it is; None where too much was changed meanwhile.

        Raises StoreError.
        """
        state = State(HELD)
        before = await self._number()
        with no_collecting():
            for kind in HELD:
                found = records_in(kind, self._read, self._dialect, self._trusted.note, self._trusted.check)
                async with aclosing(found) as records:
                    state.absorb({key_for(record): record async for record in records})
        look = await self.since(before)
        images = await self.images(before, look)
        if images is None:
            return None
        for _ in state.absorbing(images):
            await asyncio.sleep(0)
        return state, look

    async def _number(self) -> int:
        rows = await self._read("SELECT VALUE number FROM $id", id=REVISION)
        return number_in(rows[0]) if rows else 0

    async def _read(self, text: str, **variables: Any) -> Any:
        found = (await self._connection.read(text, variables))[-1]
        await self._trusted.learn_from(found)
        return found
