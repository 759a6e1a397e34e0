"""How the store of a server uses its connection: what is repeated, what outlives its caller, and who may write."""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from keycairn.adapters.surreal.following import Follower
from keycairn.adapters.surreal.history import HELD
from keycairn.adapters.surreal.loading import number_in
from keycairn.adapters.surreal.restoring import Claim
from keycairn.adapters.surreal.revisions import WatchedConnection
from keycairn.adapters.surreal.rows import record_id
from keycairn.adapters.surreal.server_log import Intent, ServerLog
from keycairn.adapters.surreal.statements import REVISION, Transaction, counted, guard, moved_on
from keycairn.adapters.surreal.trusting import TrustedRecords
from keycairn.adapters.surreal.under_way import UnderWay
from keycairn.domain.change import AddUsage, Changeset, Discard, DropUsage, RecordUse, only_counts
from keycairn.domain.draft import Draft
from keycairn.domain.errors import (
    ConflictError,
    ConnectionLostError,
    KeycairnError,
    OutcomeUnknownError,
    RetryableConflictError,
    StoreError,
    StoreUnavailableError,
)
from keycairn.domain.record import Record
from keycairn.domain.removals import takes_away
from keycairn.domain.state import Images, State
from keycairn.ports.store import Finish

ATTEMPTS = 32
"""How often a changeset is worked out anew before a conflict with other writers is given up."""
LONGEST_PAUSE = 0.2
"""Seconds between two attempts, at most."""
CONTENDED = 1.0
"""Seconds after a commit that another one overtook in which the next ones look first whether there is a later one."""
STEPS = 100
"""Steps of a draft before others have their turn, each of some 30 us."""
SETTLE_WITHIN = 3.0
"""Seconds for finding out what became of a changeset, beyond the deadline."""
_NO_TURN = "The database is busy with other changes. Nothing was written. Try again shortly."
_NOTHING = State()
_log = structlog.get_logger()


class DatabaseConnection(WatchedConnection, Protocol):
    """What the store needs of the database."""

    async def query(self, text: str, variables: Mapping[str, Any], *, until: float | None = None) -> list[Any]:
        """The result of each statement of `text`, which comes by `until`, a time of the event loop."""
        ...

    async def close(self) -> None:
        """Release everything."""
        ...


class _PerhapsOlderError(Exception):
    """A changeset was refused by what may be older than the database."""


class Session:
    """Reads are tried again once, writes run one at a time, and both go on when their caller is cancelled.

    One write runs at a time since the embedded engine loses acknowledged updates when its writers race.
    """

    def __init__(
        self, connection: DatabaseConnection, log: ServerLog, follower: Follower, trusted: TrustedRecords
    ) -> None:
        self._log = log
        self._follower = follower
        self._trusted = trusted
        self._connection = connection
        self._writing = asyncio.Lock()
        self._under_way = UnderWay()
        self._closed = False
        self._contended = 0.0
        """Until when others are taken to write as well, on the event loop's clock."""

    async def read(self, text: str, **variables: Any) -> Any:
        """The result of the one statement `text`; tried again once when the connection broke."""
        self.check_open()
        if any(isinstance(value, str) and "\0" in value for value in variables.values()):
            return []  # no indexed column holds a NUL, and the engine cannot look for one
        return (await self._under_way.started(self._connection.read(text, variables)))[-1]

    async def write(self, changes: Changeset, finish: Finish | None) -> None:
        """Commit `changes`; when it returns, nobody uses what they took away. Raises as `Store.commit`."""
        until = asyncio.get_running_loop().time() + self._connection.deadline
        try:
            async with asyncio.timeout_at(until):
                await self._writing.acquire()  # cancelling is harmless up to here; then the write goes on by itself
        except TimeoutError:
            raise StoreUnavailableError(_NO_TURN) from None
        taken = await asyncio.shield(self._under_way.started(self._write(changes, finish, until)))
        if taken is not None:
            await self._follower.acknowledged(taken)

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
        await self._follower.aclose()
        async with self._writing:
            await self._connection.close()
            self._log.close()

    async def _write(self, changes: Changeset, finish: Finish | None, until: float) -> int | None:
        """Commit; the write lock is held, and released here. Gives the revision, where it took something away."""
        try:
            self.check_open()
            await self.settle_open(until)
            anew = asyncio.get_running_loop().time() < self._contended
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return await self._attempt(changes, finish, until, anew=anew)
                except _PerhapsOlderError:
                    anew = True
                except RetryableConflictError:
                    anew, self._contended = True, asyncio.get_running_loop().time() + CONTENDED
                    if attempt == ATTEMPTS or asyncio.get_running_loop().time() > until - LONGEST_PAUSE:
                        raise ConflictError from None
                    await _pause(attempt)
            raise AssertionError("the last attempt returns or raises")
        finally:
            self._writing.release()

    async def _attempt(self, changes: Changeset, finish: Finish | None, until: float, *, anew: bool) -> int | None:
        """Work the changes out against what is stored, and store what they come to, unless it changed meanwhile.

        Raises _PerhapsOlderError where they are refused by what is in memory, which others may have changed.
        """
        if only_counts(changes):
            await self._count(changes, until)
            return None
        async with self._follower.standing(until, anew=anew) as (revision, certain):
            draft = Draft(self._follower.state)
            try:
                await in_turns(step for change in changes for step in draft.steps(change))
                await in_turns(draft.references())
                if finish is not None:
                    await in_turns(finish(draft) or ())
            except KeycairnError:
                if certain:
                    raise
                raise _PerhapsOlderError from None
            taking = takes_away(draft, changes)
        images = {key: record for key, record in draft.images.items() if key[0] != "usage"}
        whole = self._transaction(draft, images, changes, revision, taking=taking)
        intent = await self._log.intend(images, [event.id for event in draft.appended])
        self._follower.sent = revision + 1
        await self._carried_out(whole, intent, until)
        held = {key: record for key, record in images.items() if key[0] in HELD}
        for key in draft.images:
            self._trusted.cleared(key)
        await self._follower.committed(held, revision + 1)
        return revision + 1 if taking else None

    def _transaction(
        self, draft: Draft, images: Images, changes: Changeset, revision: int, *, taking: bool
    ) -> Transaction:
        """What stores a draft that was worked out at `revision`."""
        whole = Transaction()
        guard(whole)
        moved_on(whole, revision, [key for key in images if key[0] in HELD], takes=taking)
        for (kind, key), record in images.items():
            known = draft.before((kind, key)) is None and (kind, key) not in self._trusted
            whole.image(kind, key, record, existed=False if known else None)
        counted([change for change in changes if isinstance(change, AddUsage | DropUsage)], whole)
        for change in changes:
            if isinstance(change, Discard) and change.kind == "usage":
                whole.image(change.kind, change.key, None, existed=None)
        return whole

    async def _count(self, changes: Changeset, until: float) -> None:
        """Store sums and marks of use, which nobody else's changes can be in the way of."""
        for change in changes:
            if isinstance(change, AddUsage):
                Draft(_NOTHING).apply(change)  # for its checks
        whole = Transaction()
        guard(whole)
        counted(changes, whole)
        await self._run(whole, [], until)
        marks = Draft(self._follower.state)
        for change in changes:
            if isinstance(change, RecordUse):
                marks.apply(change)
        if marks.images:
            await self._follower.marked(marks.images)

    async def _carried_out(self, whole: Transaction, intent: Intent, until: float) -> None:
        """Send what was noted, and note what came of it."""
        try:
            await self._run(whole, intent.events, until)
        except OutcomeUnknownError:
            self._follower.uncertain()
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

    async def settle_open(self, until: float | None = None) -> None:
        """Find out by their audit events what became of the changesets whose outcome is not known yet."""
        for intent in self._log.unsettled:
            await self._settle(intent, done=bool(intent.events) and await self._is_in(intent.events, until))

    async def _run(self, whole: Transaction, events: Sequence[str], until: float) -> None:
        try:
            await self._connection.query(whole.text, whole.variables, until=until)
        except ConnectionLostError:
            await self._decide(events)

    async def _fill(self, claim: Claim, records: Iterable[Record]) -> None:
        """Restore; the write lock is held, and released here."""
        try:
            self.check_open()
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
        within = min(SETTLE_WITHIN, self._connection.deadline)
        try:
            done = await self._is_in(events, asyncio.get_running_loop().time() + within)
        except StoreError:
            raise OutcomeUnknownError(events[0]) from None
        if not done:
            raise StoreUnavailableError("The connection to the database broke before the write. Nothing was written.")

    async def _is_in(self, events: Sequence[str], until: float | None) -> bool:
        """Whether the changeset with these events is in; if it is not, it will never be.

        The server may still be working on it. It expects the revision that it was worked out on, so that moving the
        revision on decides: either it came first and is seen, or it cannot be carried out any more.
        """
        for attempt in range(1, ATTEMPTS + 1):
            numbers = (await self._connection.read("SELECT VALUE number FROM $id", {"id": REVISION}, until=until))[-1]
            fence = Transaction()
            moved_on(fence, number_in(numbers[0]) if numbers else 0)
            variables = {**fence.variables, "events": [record_id("event", id) for id in events]}
            try:
                found = await self._connection.read(
                    f"{fence.text}\nSELECT VALUE id FROM $events", variables, until=until
                )
            except RetryableConflictError:
                await _pause(attempt)
            else:
                return bool(found[-1])
        raise StoreUnavailableError

    def check_open(self) -> None:
        """Raise StoreUnavailableError once it is closed."""
        if self._closed:
            raise StoreUnavailableError("The database is closed.")


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.004 * attempt)))  # noqa: S311  # jitter


async def in_turns(steps: Iterable[None]) -> None:
    """Go through the steps, and let others run in between."""
    for done, _ in enumerate(steps, 1):
        if done % STEPS == 0:
            await asyncio.sleep(0)
