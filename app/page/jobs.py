"""What was begun on a page and goes on after it was answered: moving in, and the tests that follow.

Jobs are in memory. What they did is stored as it is done; a restart only loses the page that lists it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from secrets import token_urlsafe
from typing import Any

from msgspec import Struct

from keycairn.app.services.imports import MigrationEntry, merged
from keycairn.domain.errors import KeycairnError, NotFoundError
from keycairn.domain.ids import CredentialId
from keycairn.domain.incoming import ImportReport, IncomingRow

MOST = 50
MOST_SHOWN = 200
"""Rows of one outcome that a page lists; the others are counted."""
AT_ONCE = 4
"""Providers that are asked at one time."""
PIECE = 25
"""Rows that are brought in before the page is told."""
STOPPED = "It stopped at a fault, of which the log says more. What came in until then stays."


Take = Callable[[Sequence[IncomingRow]], Awaitable[ImportReport]]
"""What is done with some rows, or with a plan would be."""


class Tested(Struct, frozen=True):
    """The result of a test of a job: whether it was good, and what was said."""

    success: bool
    message: str


class Job(Struct, kw_only=True, eq=False):
    """One job, of the token that began it. `tests` maps credentials to results, None while one is under way.

    `rows` of a file are those that have not come in yet, of `total`; `report` is of those that have. `why` says what
    stopped them. `plan` is of the rows that were `looked` at, in the state of the store that `planned_for` names.
    """

    id: str
    actor: str
    entries: tuple[MigrationEntry, ...] = ()
    rows: list[IncomingRow] = []
    total: int = 0
    plan: ImportReport | None = None
    planned_for: object = None
    looked: int = 0
    report: ImportReport | None = None
    why: str = ""
    name: str = ""
    tests: dict[CredentialId, Tested | None] = {}
    running: bool = False

    @property
    def passed(self) -> int:
        """Rows that are done."""
        return self.total - len(self.rows)


class Jobs:
    """The jobs of this process, the youngest ones."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, actor: str) -> Job:
        """A new job; the oldest one is forgotten where there are too many."""
        job = Job(id=token_urlsafe(12), actor=actor)
        self._jobs[job.id] = job
        while len(self._jobs) > MOST:
            self._jobs.popitem(last=False)
        return job

    def of(self, actor: str, id: str) -> Job:
        """A job of that token. Raises NotFoundError."""
        job = self._jobs.get(id)
        if job is None or job.actor != actor:
            raise NotFoundError("There is no such job.")
        return job

    def plan(self, job: Job, state: object, look: Take) -> "asyncio.Task[None] | None":
        """Look at the job's rows in the background, some at a time; None where that is done for this state already."""
        if job.running or (job.planned_for == state and job.looked == job.total):
            return None
        job.running, job.why, job.plan, job.looked, job.planned_for = True, STOPPED, None, 0, state
        return self._begun(self._planned(job, look))

    def bring(self, job: Job, take: Take) -> "asyncio.Task[None] | None":
        """Take the job's rows in the background, some at a time; None while the job goes on already.

        Where that fails, the job says why, and may be begun again with what is left.
        """
        if job.running:
            return None
        job.running, job.why = True, STOPPED
        return self._begun(self._brought(job, take))

    def test(self, job: Job, ids: list[CredentialId], test: Callable[[CredentialId], Awaitable[Tested]]) -> None:
        """Test these in the background, some at a time; a no-op while the job's tests run."""
        if job.running:
            return
        job.running = True
        job.tests = dict.fromkeys(ids)
        self._begun(self._all(job, ids, test))

    def _begun(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _planned(self, job: Job, look: Take) -> None:
        try:
            for begin in range(0, job.total, PIECE):
                piece = job.rows[begin : begin + PIECE]
                found = await look(piece)
                job.plan = found if job.plan is None else merged([job.plan, found])
                job.looked += len(piece)
            job.why = ""
        except KeycairnError as error:
            job.why = str(error)
        finally:
            job.running = False

    async def _brought(self, job: Job, take: Take) -> None:
        try:
            while job.rows:
                piece = job.rows[:PIECE]
                done = await take(piece)
                job.report = done if job.report is None else merged([job.report, done])
                del job.rows[: len(piece)]
            job.why = ""
        except KeycairnError as error:
            job.why = str(error)
        finally:
            job.running = False

    async def _all(self, job: Job, ids: list[CredentialId], test: Callable[[CredentialId], Awaitable[Tested]]) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(id: CredentialId) -> None:
            async with room:
                try:
                    job.tests[id] = await test(id)
                except KeycairnError as error:
                    job.tests[id] = Tested(success=False, message=str(error))

        try:
            await asyncio.gather(*map(one, ids))
        finally:
            job.running = False
