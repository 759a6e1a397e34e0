"""Retention on a real engine: what is left is whole after a restart, in a backup, and after a kill."""

import shutil
from pathlib import Path

import pytest
from tests.house import House
from tests.stores import ENGINES, a_store

from keycairn.adapters.surreal import open_surreal
from keycairn.app.services.audit import Keep, Retention
from keycairn.app.services.audit.retention import Removed
from keycairn.domain.audit import IN_PROCESS, Action
from keycairn.ports.store import Store

DAY = 24 * 3600.0


async def pruned(store: Store) -> House:
    house = House(store=store)
    kc = await house.open()
    for number in range(130):
        house.clock.tick(30 * DAY if number == 129 else 0)
        await kc.journal.commit((kc.journal.event(IN_PROCESS, Action.CREDENTIAL_TESTED, "credential:x"),))
    retention = Retention(store, kc.journal, kc.audit, house.clock, pause=0)
    assert await retention.apply(Keep(events=10)) == Removed(events=130)
    return house


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_is_left_is_whole_and_in_a_backup(engine: str, tmp_path: Path) -> None:
    async with a_store(engine, tmp_path) as store:
        house = await pruned(store)
        report = await house.keycairn.audit.verify()
        assert report.intact, report.flaws
        assert (report.events, report.head) == (3, 133)
        assert [event.seq for event in await house.keycairn.audit.events()] == [131, 132, 133]
        async with store.snapshot() as records:
            kept = [record async for record in records]
    async with a_store("memory", tmp_path) as other:
        await other.restore(kept)
        restored = House(store=other)
        await restored.open()
        assert (await restored.keycairn.audit.verify()).intact


@pytest.mark.parametrize("ends", ["close", "kill"])
async def test_what_is_left_is_whole_after_a_restart(ends: str, tmp_path: Path) -> None:
    store = await open_surreal(f"surrealkv://{tmp_path}/a/db")
    await pruned(store)
    if ends == "kill":  # as the files are while it runs: the redo log replays every removal
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    await store.aclose()
    again = await open_surreal(f"surrealkv://{tmp_path}/{'b' if ends == 'kill' else 'a'}/db")
    try:
        house = House(store=again)
        await house.open()
        assert await house.keycairn.audit.compare() is None
        report = await house.keycairn.audit.verify()
        assert report.intact, report.flaws
        assert report.events == 3
    finally:
        await again.aclose()
