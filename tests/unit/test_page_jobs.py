"""Rows of a file brought in from the page: some at a time, told as they go, and gone on with after a failure."""

import asyncio
from collections.abc import Sequence

from keycairn.app.page.jobs import PIECE, STOPPED, Job, Jobs
from keycairn.domain.errors import StoreError
from keycairn.domain.incoming import ImportReport, IncomingRow, Refused


class Slow:
    """Takes a piece each time it is let; `fault` is raised by the next one."""

    def __init__(self) -> None:
        self.may = asyncio.Semaphore(0)
        self.fault: Exception | None = None
        self.taken: list[int] = []

    async def take(self, rows: Sequence[IncomingRow]) -> ImportReport:
        await self.may.acquire()
        if self.fault is not None:
            raise self.fault
        self.taken.append(len(rows))
        return ImportReport(dry_run=False, refused=tuple(row for row in rows if isinstance(row, Refused)))


def a_job(count: int) -> tuple[Jobs, Job]:
    jobs = Jobs()
    job = jobs.begin("token:1")
    job.rows = [Refused(where=f"row {number}", reason="for a test") for number in range(count)]
    job.total = count
    return jobs, job


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_each_piece_is_told_as_it_is_done() -> None:
    (jobs, job), slow = a_job(2 * PIECE + 3), Slow()
    task = jobs.bring(job, slow.take)
    assert task is not None
    assert jobs.bring(job, slow.take) is None, "it goes on already"
    told = []
    for _ in range(3):
        await settle()
        told.append((job.running, job.passed, len(job.report.refused) if job.report else 0))
        slow.may.release()
    await task
    assert told == [(True, 0, 0), (True, PIECE, PIECE), (True, 2 * PIECE, 2 * PIECE)]
    assert (job.running, job.passed, job.why, slow.taken) == (False, job.total, "", [PIECE, PIECE, 3])


async def test_what_stops_it_is_said_and_it_goes_on_with_what_is_left() -> None:
    (jobs, job), slow = a_job(PIECE + 3), Slow()
    task = jobs.bring(job, slow.take)
    assert task is not None
    slow.may.release()
    await settle()
    slow.fault = StoreError("The disk is full.")
    slow.may.release()
    await task
    assert (job.running, job.passed, job.why) == (False, PIECE, "The disk is full.")
    slow.fault = None
    slow.may.release()
    again = jobs.bring(job, slow.take)
    assert again is not None
    await again
    assert (job.passed, job.why) == (job.total, "")
    assert len(job.report.refused if job.report else ()) == job.total


async def test_a_plan_is_made_in_pieces_once_for_each_state_of_the_store() -> None:
    (jobs, job), slow = a_job(PIECE + 3), Slow()
    task = jobs.plan(job, "revision 1", slow.take)
    assert task is not None
    assert jobs.bring(job, slow.take) is None, "it is being looked at"
    slow.may.release()
    await settle()
    assert (job.running, job.looked, job.passed) == (True, PIECE, 0)
    slow.may.release()
    await task
    assert (job.looked, len(job.rows), len(job.plan.refused if job.plan else ())) == (job.total, job.total, job.total)
    assert jobs.plan(job, "revision 1", slow.take) is None
    slow.fault = StoreError("The disk is full.")
    slow.may.release()
    again = jobs.plan(job, "revision 2", slow.take)
    assert again is not None
    await again
    assert (job.running, job.why) == (False, "The disk is full.")
    slow.fault = None
    for _ in range(2):
        slow.may.release()
    last = jobs.plan(job, "revision 2", slow.take)
    assert last is not None, "it was not looked at to its end"
    await last


async def test_a_fault_of_ours_stops_it_too_and_says_where_to_look() -> None:
    (jobs, job), slow = a_job(1), Slow()
    slow.fault = ZeroDivisionError()
    slow.may.release()
    task = jobs.bring(job, slow.take)
    assert task is not None
    await asyncio.wait({task})
    assert isinstance(task.exception(), ZeroDivisionError)
    assert (job.running, job.why) == (False, STOPPED)
