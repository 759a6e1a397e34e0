"""Work that goes on when its caller is cancelled, and that closing waits for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class UnderWay:
    """The tasks of a store that are not done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()

    def started(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """`work` as a task. Await it shielded where cancelling the caller must not end it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def done(self) -> None:
        """Wait until nothing is under way, what begins meanwhile included."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, even where the caller was cancelled and asks no more
