"""The records of a shared database in memory, moved forward by what each revision is noted to have touched.

Every commit moves the revision on by one, and notes in the same transaction which records it touched. An instance that
is at one revision reads the notes after it and those records, in one statement, and is at a later one, with each
renewal of its lease. A live query tells at once where something was taken away; nothing else is watched, since each
live query costs every write that it watches most of a millisecond. Where a note is missing, since it is too old or
something else wrote, everything is read anew.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Protocol

import structlog
from msgspec import Struct
from surrealdb import RecordID

from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.adapters.surreal.history import HELD
from keycairn.adapters.surreal.lease import EVERY, LASTS, Lease, lease_rows
from keycairn.adapters.surreal.loading import no_collecting, number_in
from keycairn.adapters.surreal.rows import Row
from keycairn.adapters.surreal.snapshot import records_in
from keycairn.adapters.surreal.statements import KEPT, REVISION, TAKEN
from keycairn.adapters.surreal.trusting import TrustedRecords
from keycairn.domain.errors import ConflictError, RefusedRecordError, StoreError, StoreUnavailableError
from keycairn.domain.proof import kid_of_proof
from keycairn.domain.record import Record
from keycairn.domain.state import Images, Key, State, key_for

MOST = 10_000
"""Records that are read at once to catch up; where more were touched, everything is read anew, in pages."""
PATIENCE = 2.0
"""Seconds a read waits for the lease, where it ran out while the process or the database was held up."""
PAUSE = 0.1
"""Seconds after a turn that failed, since the database is away, until the next."""
GLANCE = 0.003
"""Seconds between two looks at what the other instances have seen."""
AT_ONCE = 200
"""Records that are checked without letting others run: 1 ms."""
ATTEMPTS = 5
"""How often everything is read anew while others write faster than that."""
GOODBYE = 1.0
"""Seconds for giving the lease back."""

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
_OUT_OF_TOUCH = "The database does not answer in time, so nothing is served that may be out of date. Try again shortly."
_log = structlog.get_logger()


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


class _Answer(Struct, frozen=True):
    """What was found: the revision, the notes after ours, and the records they name; None for too many."""

    number: int
    notes: list[Row]
    rows: list[Row] | None


class Follower:
    """The state, and up to which revision it holds. Made by `SurrealStore`; lives from `start` to `aclose`."""

    def __init__(self, connection: WatchedConnection, dialect: EngineDialect, trusted: TrustedRecords) -> None:
        self._connection = connection
        self._dialect = dialect
        self._trusted = trusted
        trusted.doubted = self._doubt
        self._look = _LOOK.format(notes=dialect.between("change", "$seen", "$number"))
        self.lease: Lease = Lease()
        self.state: State = State(HELD)
        self.position: int = 0
        """The revision that the state is at."""
        self.changes: int = 0
        """Moves on whenever the state did."""
        self.sent = 0
        """The revision of a commit under way: a notice of it tells nothing new."""
        self._moving = asyncio.Lock()
        self._began = 0.0
        """When the last step forward began, on the event loop's clock."""
        self._again: set[Key] = set()
        self._unproven = False
        self._behind = False
        self._owed = 0
        """The last revision in the state that took something away: the others wait until they are told."""
        self._told = 0
        self._wanted = False
        self._woken = asyncio.Event()
        self._turned = asyncio.Event()
        self._why: StoreError | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read everything, and follow from then on. Raises StoreError."""
        await self._register()
        async with self._moving:
            await self._load()
        self._wanted = True
        self._woken.set()
        self._tasks = [
            asyncio.create_task(self._follow()),
            asyncio.create_task(self._connection.watch("LIVE SELECT number FROM taken", self._noticed)),
        ]

    async def aclose(self) -> None:
        """Follow no longer, and give the lease back, so that nobody waits for it."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        self.lease.end()
        with suppress(StoreError, ConflictError):
            until = asyncio.get_running_loop().time() + GOODBYE
            await self._connection.read("DELETE $me RETURN NONE", {"me": self.lease.id}, until=until)

    @property
    def is_current(self) -> bool:
        """Whether nothing in the state is older than what was acknowledged to anyone."""
        return self.lease.is_held and not self._again and not self._unproven and not self._behind

    async def made_current(self) -> None:
        """Wait until it is. Raises StoreUnavailableError."""
        until = asyncio.get_running_loop().time() + PATIENCE
        while not self.is_current:
            turned = self._turned
            self._wanted = True
            self._woken.set()
            try:
                async with asyncio.timeout_at(until):
                    await turned.wait()
            except TimeoutError:
                raise StoreUnavailableError(_OUT_OF_TOUCH) from None
            if self._why is not None and not self.is_current:
                raise StoreUnavailableError(str(self._why))

    async def advance(self) -> None:
        """Be at the revision of this moment, or a later one. Raises StoreError."""
        asked = asyncio.get_running_loop().time()
        async with self._moving:
            if self._began <= asked:
                await self._step()

    @asynccontextmanager
    async def standing(self, until: float, *, anew: bool) -> AsyncIterator[tuple[int, bool]]:
        """A context in which the state stands still; its revision, and whether that is known to be of this moment.

        It is with `anew`. Raises StoreError.
        """
        async with self._moving:
            certain = anew or not self.is_current
            if certain:
                await self._step(until=until)
            yield self.position, certain

    async def committed(self, images: Images, number: int) -> None:
        """Take in what this process committed as the revision `number`, unless that came by the notes already."""
        async with self._moving:
            if self.position == number - 1:
                await self._absorb(images)
                self.position = number

    async def marked(self, records: Images) -> None:
        """Take in marks that no revision tells of."""
        async with self._moving:
            self.state.absorb(records)

    async def acknowledged(self, number: int) -> None:
        """Wait until no other instance serves from before the revision `number`, which took something away.

        It takes a lease's time at the most, whatever the others or the database do.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + LASTS
        while loop.time() < until:
            with suppress(StoreError):
                rows = lease_rows((await self._connection.read("SELECT * FROM lease", {}, until=until))[-1])
                self.lease.observe(rows)
                others = (row for row in rows if row.id != self.lease.name)
                if not any(row.seen < number and self.lease.may_serve(row) for row in others):
                    return
            await asyncio.sleep(GLANCE)

    def uncertain(self) -> None:
        """A commit of this process may have been carried out or not: look before the state is read again."""
        self._behind = True

    def prove(self) -> None:
        """Have every record of the state checked before it is read again."""
        self._unproven = True

    async def _follow(self) -> None:
        """Take a turn whenever something is noticed, and in time for the lease."""
        loop = asyncio.get_running_loop()
        renewal = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(renewal):
                    await self._woken.wait()
            self._woken.clear()
            renews = self._wanted or self._told < self._owed or loop.time() >= renewal
            if renews:
                renewal, self._wanted = loop.time() + EVERY, False
            try:
                await self._turn(renews=renews)
            except (StoreError, ConflictError) as error:
                self._why = error if isinstance(error, StoreError) else StoreUnavailableError()
                self._wanted = True
            except Exception as error:  # noqa: BLE001  # whatever it is, the lease runs out, and it is tried again
                _log.error("following the database failed", exception=type(error).__name__)
                self._why = StoreUnavailableError()
            else:
                self._why = None
            turned, self._turned = self._turned, asyncio.Event()
            turned.set()
            if self._why is not None:
                await asyncio.sleep(PAUSE)

    async def _turn(self, *, renews: bool) -> None:
        if self._moving.locked():  # what a commit is worked out against stands still; the lease need not run out
            if renews:
                await self._ask(frozenset(), renews=True, until=asyncio.get_running_loop().time() + LASTS)
            return
        async with self._moving:
            await self._step(renews=renews)
        if self._told < self._owed:
            self._woken.set()

    async def _step(self, *, renews: bool = False, until: float | None = None) -> None:
        """Move forward to the revision of this moment; `_moving` is held."""
        self._began = asyncio.get_running_loop().time()
        if self._unproven:
            await self._prove()
        again, self._behind = frozenset(self._again), False
        try:
            answer = await self._ask(again, renews=renews, until=until)
        except BaseException:
            self._behind = True
            raise
        images = await self._images(self.position, answer, again)
        if images is None:
            await self._load()
            return
        if images or answer.number != self.position:
            await self._absorb(images)
        self._again -= images.keys()
        self.position = answer.number
        self._owe(answer)

    def _owe(self, answer: _Answer) -> None:
        taking = [note["id"].id for note in answer.notes if note.get("takes")]
        if taking:
            self._owed = max(self._owed, *taking)
            self._woken.set()

    async def _absorb(self, images: Images) -> None:
        for _ in self.state.absorbing(images):
            await asyncio.sleep(0)
        self.changes += 1

    async def _load(self) -> None:
        """Read everything, and then what was changed meanwhile; `_moving` is held."""
        for _ in range(ATTEMPTS):
            state = State(HELD)
            position = await self._number()
            with no_collecting():
                for kind in HELD:
                    found = records_in(kind, self._read, self._dialect, self._trusted.note, self._trusted.check)
                    async with aclosing(found) as records:
                        state.absorb({key_for(record): record async for record in records})
            answer = await self._ask(frozenset(), seen=position)
            images = await self._images(position, answer, frozenset())
            if images is not None:
                for _ in state.absorbing(images):
                    await asyncio.sleep(0)
                self.state, self.position = state, answer.number
                self.changes += 1
                self._again.clear()
                self._owed = max(self._owed, answer.number)
                self._woken.set()
                return
        raise StoreUnavailableError(_OUT_OF_TOUCH)

    async def _images(self, position: int, answer: _Answer, again: frozenset[Key]) -> Images | None:
        """What became of the records that were touched since `position`; None where that cannot be told."""
        numbers = [note["id"].id for note in answer.notes]
        if answer.rows is None or numbers != list(range(position + 1, answer.number + 1)):
            return None
        images: dict[Key, Record | None] = dict.fromkeys(again)
        tables: dict[str, list[Row]] = {}
        for note in answer.notes:
            touched = note.get("touched")
            for id in touched if isinstance(touched, list) else ():
                if isinstance(id, RecordID) and id.table_name in HELD and isinstance(id.id, str):
                    images[id.table_name, id.id] = None
        for row in answer.rows:
            tables.setdefault(row["id"].table_name, []).append(row)
        await self._trusted.learn_from(answer.rows)
        for table in HELD:
            for record in self._trusted.readable(table, tables.get(table, ())):
                images[key_for(record)] = record
        return images

    async def _ask(
        self,
        again: frozenset[Key],
        *,
        seen: int | None = None,
        renews: bool = False,
        until: float | None = None,
    ) -> _Answer:
        """What the database has after the revision `seen`, by default that of the state; with a renewal, if asked."""
        at = self.position if seen is None else seen
        turn, since = self.lease.asking()
        variables = {
            "revision": REVISION,
            "seen": at,
            "again": [RecordID(kind, key) for kind, key in again],
            "kept": KEPT,
            "most": MOST,
        }
        text = self._look
        if renews:
            text = f"{_RENEWAL}\n{text}"
            variables |= {"me": self.lease.id, "turn": turn, "taken": TAKEN}
        number, notes, rows, leases = (await self._connection.read(text, variables, until=until))[-1]
        known = self.lease.observe(lease_rows(leases), (turn, since) if renews else None)
        if renews:
            self._told = max(self._told, at)
            if not known:
                self.lease.rename()
                await self._register()
                self._wanted = True
                self._woken.set()
            elif self.lease.forgotten:
                await self._forget()
        return _Answer(number_in(number), notes, rows)

    async def _register(self) -> None:
        """Leave word of this instance, before it asks for a lease: who commits after the lease began knows of it."""
        row = {"seen": 0, "granted": 0}
        await self._connection.read(
            "IF (SELECT VALUE id FROM ONLY $me) = NONE { CREATE $me CONTENT $row RETURN NONE }",
            {"me": self.lease.id, "row": row},
        )

    async def _forget(self) -> None:
        """Remove the rows of instances that are long gone."""
        for name, turn in self.lease.forgotten.items():
            await self._connection.read(
                "DELETE $id WHERE granted = $turn RETURN NONE", {"id": RecordID("lease", name), "turn": turn}
            )

    async def _prove(self) -> None:
        """Check every record of the state, which was read before there was anything to check it with."""
        check, learn = self._trusted.check, self._trusted.learn
        records = self.state.records()
        if learn is not None:
            found = {kid_of_proof(getattr(record, "proof", "")) for record in records}
            await learn(frozenset(kid for kid in found if kid is not None))
        refused: dict[Key, None] = {}
        for done, record in enumerate(records, 1):
            if check is not None and (why := check(record)) is not None:
                refused[key_for(record)] = None
                self._trusted.note(RefusedRecordError(*key_for(record), why))
            if done % AT_ONCE == 0:
                await asyncio.sleep(0)
        self._unproven = False
        await self._absorb(refused)

    async def _number(self) -> int:
        rows = await self._read("SELECT VALUE number FROM $id", id=REVISION)
        return number_in(rows[0]) if rows else 0

    async def _read(self, text: str, **variables: Any) -> Any:
        found = (await self._connection.read(text, variables))[-1]
        await self._trusted.learn_from(found)
        return found

    def _doubt(self, key: Key) -> None:
        """Read a record again that somebody found to be no good."""
        if key[1] in self.state.tables[key[0]]:
            self._again.add(key)

    def _noticed(self, record: object) -> None:
        """Look where something was taken away, unless this process did that."""
        number = record.get("number") if isinstance(record, dict) else None
        if not isinstance(number, int) or (number > self.position and number != self.sent):
            self._woken.set()
