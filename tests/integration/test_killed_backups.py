"""Backups and restores killed at any moment: nothing acknowledged is lost, nothing half is taken for whole."""

import asyncio
import shutil
import time
from pathlib import Path

import pytest
from tests.backer import restore, settings_of, write_and_back_up
from tests.torture import KILLS, Doomed, moments

from keycairn.app import Modality, NewModel, Secret, open_keycairn
from keycairn.app.offline import restore_backup
from keycairn.app.services.backups import examine, records_in
from keycairn.app.wiring import open_store
from keycairn.domain.audit import Head
from keycairn.domain.credential import Credential
from keycairn.domain.errors import StoreNotEmptyError
from keycairn.domain.record import Record, kind_of, record_key

CREDENTIALS = 300


async def stored(data: Path) -> dict[tuple[str, str], Record]:
    store = await open_store(settings_of(data))
    try:
        async with store.snapshot() as records:
            return {(kind_of(record), record_key(record)): record async for record in records}
    finally:
        await store.aclose()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a backup of some hundred credentials and models, and with its root key."""

    async def furnish(folder: Path) -> None:
        async with open_keycairn(settings_of(folder)) as kc:
            for number in range(CREDENTIALS):
                secrets = {"api_key": Secret(f"sk-{number}-0123456789")}
                made = await kc.credentials.create("openai", name=f"{number}", secrets=secrets)
                await kc.probing.register(made.credential.id, [NewModel("gpt-4o", Modality.LANGUAGE)])
            await kc.backups.save(file=folder / "all.gz")

    folder = tmp_path_factory.mktemp("source")
    asyncio.run(furnish(folder))
    return folder


@pytest.mark.timeout(120 + 10 * KILLS)
@pytest.mark.night
async def test_a_killed_restore_leaves_an_empty_store_or_a_whole_one(source: Path, tmp_path: Path) -> None:
    file = source / "all.gz"
    expected = {(kind_of(r), record_key(r)): r for r in records_in(file) if not isinstance(r, Head)}

    def fresh(name: str) -> Path:
        data = tmp_path / name
        data.mkdir()
        shutil.copy(source / "root-key", data / "root-key")
        return data

    unharmed = Doomed(restore, str(fresh("unharmed")), str(file))
    assert unharmed.hear() == "begun"
    begun = time.monotonic()
    assert unharmed.hear() == "done"
    span = time.monotonic() - begun
    unharmed.end()

    chance, empty, whole = moments(), 0, 0
    data = fresh("0")
    for number in range(KILLS):
        doomed = Doomed(restore, str(data), str(file))
        assert doomed.hear() == "begun"
        doomed.kill_after(chance.uniform(0, span * 1.2))
        found = await stored(data)
        if found:
            assert expected.items() <= found.items()
            whole += 1
            with pytest.raises(StoreNotEmptyError):
                await restore_backup(settings_of(data), file)
        else:
            assert "done" not in doomed.heard
            empty += 1
        if found or number % 5 == 4:
            if not found:
                await restore_backup(settings_of(data), file)
                assert expected.items() <= (await stored(data)).items()
            shutil.rmtree(data)
            data = fresh(f"{number + 1}")
        # otherwise the next restore begins in what this one left
    assert empty, "no kill met a restore at work"


@pytest.mark.night
@pytest.mark.timeout(120 + 10 * KILLS)
async def test_a_killed_backup_is_whole_or_not_there_and_no_write_is_lost(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "all.gz"
    chance, saved, acknowledged = moments(), 0, set[str]()
    for number in range(KILLS):
        if number % 20 == 0:  # a database that grows without end would make the long run longer and no better
            shutil.rmtree(data, ignore_errors=True)
            file.unlink(missing_ok=True)
            acknowledged = set()
        doomed = Doomed(write_and_back_up, str(data), str(file))
        assert doomed.hear() == "begun"
        before = len(acknowledged)
        assert doomed.kill_after(chance.uniform(0, 0.4))

        acknowledged |= {word for word in doomed.heard if word.startswith("credential:")}
        found = {record.id for record in (await stored(data)).values() if isinstance(record, Credential)}
        assert acknowledged <= found
        assert len(found) <= len(acknowledged) + number % 20 + 1  # at most one write a kill was not yet acknowledged

        promises = [int(word.removeprefix("saved ")) for word in doomed.heard if word.startswith("saved ")]
        if file.exists():
            contents = examine(file)
            assert contents.trailer.counts["credential"] >= (before + promises[-1] if promises else 0)
            saved += 1
        else:
            assert not promises
    assert saved, "no backup was ever finished"
