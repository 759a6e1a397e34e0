"""The records of a shared database in memory, moved forward by what each revision changed.

An instance that is at one revision reads what was changed after it (`revisions.py`), and is at a later one, with each
renewal of its lease. A live query tells at once where something was taken away; nothing else is watched, since each
live query costs every write that it watches most of a millisecond.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from surrealdb import RecordID

from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.adapters.surreal.history import HELD
from keycairn.adapters.surreal.lease import EVERY, LASTS, Lease, lease_rows
from keycairn.adapters.surreal.revisions import Look, Renewal, Revisions, WatchedConnection
from keycairn.adapters.surreal.trusting import TrustedRecords
from keycairn.domain.errors import ConflictError, StoreError, StoreUnavailableError
from keycairn.domain.state import Images, Key, State

PATIENCE = 2.0
"""Seconds a read waits for the lease, where it ran out while the process or the database was held up."""
PAUSE = 0.1
"""Seconds after a turn that failed, since the database is away, until the next."""
GLANCE = 0.003
"""Seconds between two looks at what the other instances have seen."""
ATTEMPTS = 5
"""How often everything is read anew while others write faster than that."""
GOODBYE = 1.0
"""Seconds for giving the lease back."""

_OUT_OF_TOUCH = "The database does not answer in time, so nothing is served that may be out of date. Try again shortly."
_log = structlog.get_logger()


class Follower:
    """The state, and up to which revision it holds. Made by `SurrealStore`; lives from `start` to `aclose`."""

    def __init__(self, connection: WatchedConnection, dialect: EngineDialect, trusted: TrustedRecords) -> None:
        self._connection = connection
        self._revisions = Revisions(connection, dialect, trusted)
        self._trusted = trusted
        trusted.doubted = self._doubt
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
                await self._renewed(frozenset(), until=asyncio.get_running_loop().time() + LASTS)
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
            if renews:
                look = await self._renewed(again, until=until)
            else:
                look = await self._revisions.since(self.position, again, until=until)
                self.lease.observe(lease_rows(look.leases))
        except BaseException:
            self._behind = True
            raise
        images = await self._revisions.images(self.position, look, again)
        if images is None:
            await self._load()
            return
        if images or look.number != self.position:
            await self._absorb(images)
        self._again -= images.keys()
        self.position = look.number
        if look.taking:
            self._owed = max(self._owed, *look.taking)
            self._woken.set()

    async def _absorb(self, images: Images) -> None:
        for _ in self.state.absorbing(images):
            await asyncio.sleep(0)
        self.changes += 1

    async def _load(self) -> None:
        """Read everything; `_moving` is held."""
        for _ in range(ATTEMPTS):
            found = await self._revisions.everything()
            if found is not None:
                self.state, look = found
                self.position = look.number
                self.lease.observe(lease_rows(look.leases))
                self.changes += 1
                self._again.clear()
                self._owed = max(self._owed, self.position)
                self._woken.set()
                return
        raise StoreUnavailableError(_OUT_OF_TOUCH)

    async def _renewed(self, again: frozenset[Key], *, until: float | None = None) -> Look:
        """What the database has after the state, with the lease renewed by the same statement."""
        seen = self.position
        turn, asked = self.lease.asking()
        look = await self._revisions.since(seen, again, renewal=Renewal(self.lease.id, turn), until=until)
        known = self.lease.observe(lease_rows(look.leases), (turn, asked))
        self._told = max(self._told, seen)
        if not known:
            self.lease.rename()
            await self._register()
            self._wanted = True
            self._woken.set()
        elif self.lease.forgotten:
            await self._forget()
        return look

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
        refused = await self._trusted.refused(self.state.records())
        self._unproven = False
        await self._absorb(dict.fromkeys(refused))

    def _doubt(self, key: Key) -> None:
        """Read a record again that somebody found to be no good."""
        if key[1] in self.state.tables[key[0]]:
            self._again.add(key)

    def _noticed(self, record: object) -> None:
        """Look where something was taken away, unless this process did that."""
        number = record.get("number") if isinstance(record, dict) else None
        if not isinstance(number, int) or (number > self.position and number != self.sent):
            self._woken.set()
