"""What one of all instances does is done by one, and goes on at another."""

import asyncio
from contextlib import suppress

from keycairn.adapters.memory import MemoryStore
from keycairn.app.background import while_leading

SOON = 0.001


class Place(MemoryStore):
    """A store whose leading is told."""

    def __init__(self, *, leads: bool) -> None:
        super().__init__()
        self._leads = leads

    @property
    def leads(self) -> bool:
        return self._leads

    def told(self, *, leads: bool) -> None:
        self._leads = leads


class Work:
    """Counts how often it was begun and broken off."""

    def __init__(self) -> None:
        self.begun = self.broken_off = 0

    async def __call__(self) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.broken_off += 1


async def turns() -> None:
    await asyncio.sleep(20 * SOON)


async def test_work_is_done_while_this_process_leads_only() -> None:
    store, work = Place(leads=False), Work()
    task = asyncio.create_task(while_leading(store, work, looks_every=SOON))
    counts = []
    for leads in (False, True, True, False, True):
        store.told(leads=leads)
        await turns()
        counts.append((work.begun, work.broken_off))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert counts == [(0, 0), (1, 0), (1, 0), (1, 1), (2, 1)]
    assert work.broken_off == 2


async def test_work_that_is_done_is_not_begun_again() -> None:
    begun = []

    async def once() -> None:
        begun.append(1)

    store = Place(leads=True)
    async with asyncio.timeout(5):
        await while_leading(store, once, looks_every=SOON)
    assert begun == [1]
