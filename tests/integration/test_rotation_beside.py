"""Rotation without a pause beside renames, imports, deletions, backups, sweeps and changes of the root key."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests import renames
from tests.instances import NEXT, ROOT, Arriving, add, check_all, instance, key_of
from tests.interposed import Interposed
from tests.nights import by_day
from tests.servers.surreal_rpc import surreal_rpc
from tests.stores import a_store

from keycairn.adapters.memory import MemoryStore
from keycairn.adapters.surreal import open_surreal
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.backups import Restore
from keycairn.domain.credential import Credential
from keycairn.domain.errors import StoreNotEmptyError
from keycairn.domain.ids import CredentialId


@pytest.mark.parametrize("engine", by_day(["memory", "surrealkv"], one_in=2))
async def test_renames_and_rotation_without_a_pause_lose_no_secret(engine: str, tmp_path: Path) -> None:
    async with a_store(engine, tmp_path) as store:
        keycairn = await instance(store)
        tally = await renames.run([keycairn], lambda: instance(store))

        print(f"\n{engine}: {tally}")  # noqa: T201  # the line of a long run
        assert (tally.lost, tally.opened) == (0, renames.CREDENTIALS)
        assert tally.rotations > 2
        assert (await keycairn.audit.verify()).intact


@pytest.mark.night
async def test_two_instances_rename_and_rotate_at_once() -> None:
    async with surreal_rpc() as server:
        stores = [await open_surreal(server.url) for _ in range(2)]
        keycairns = [await instance(store) for store in stores]

        tally = await renames.run(keycairns, lambda: instance(stores[0]), renames.RENAMES // 10)

        print(f"\ntwo instances: {tally}")  # noqa: T201  # the line of a long run
        assert (tally.lost, tally.opened) == (0, renames.CREDENTIALS)
        assert [(await keycairn.audit.verify()).flaws for keycairn in keycairns] == [(), ()]
        for store in stores:
            await store.aclose()


@pytest.mark.parametrize("engine", ["memory", "surrealkv"])
async def test_a_rotation_killed_or_cancelled_at_any_commit_is_finished_by_the_next(
    engine: str, tmp_path: Path
) -> None:
    async with a_store(engine, tmp_path) as store:
        keycairn = await instance(store)
        expected = {f"{number}": f"sk-{number}" for number in range(5)}
        for name, key in expected.items():
            await add(keycairn, name, key)
        for commits in range(5):
            interposed = Interposed(store)
            killed = await instance(interposed.as_store)
            interposed.commits_left = commits
            with contextlib.suppress(Exception):
                await killed.rotation.rotate()
            again = await instance(store)
            assert await again.rotation.resume() == (0 < commits < 4)
            await check_all(again, expected)

            interposed = Interposed(store)
            cancelled = await instance(interposed.as_store)
            task = asyncio.create_task(cancelled.rotation.rotate())
            for _ in range(commits):
                await asyncio.sleep(0.002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await cancelled.rotation.rotate()
            await check_all(cancelled, expected)


async def test_a_commit_whose_caller_was_cancelled_does_not_stop_the_next_rotation() -> None:
    store = MemoryStore()
    interposed = Interposed(store)
    keycairn = await instance(interposed.as_store)
    id = await add(keycairn)
    other = await instance(store)

    async def hang() -> None:
        await other.rotation.rotate()  # what the cancelled commit left behind, and more
        await asyncio.sleep(60)

    interposed.before = hang
    task = asyncio.create_task(keycairn.rotation.rotate())
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    status = await keycairn.rotation.rotate()
    assert list(status.secrets) == [status.primary]
    assert await key_of(keycairn, id) == "sk-1"


async def beside_import(keycairn: Keycairn, ids: list[CredentialId], tmp_path: Path) -> None:
    for number in range(40):
        await keycairn.importer.run(Arriving(f"credential:arrived{number:06}", f"sk-arrived{number:06}"))


async def beside_deletes(keycairn: Keycairn, ids: list[CredentialId], tmp_path: Path) -> None:
    for id in ids[::2]:
        await keycairn.credentials.delete(id)


async def beside_moves(keycairn: Keycairn, ids: list[CredentialId], tmp_path: Path) -> None:
    for id in ids[1::2]:
        await keycairn.credentials.delete(id, migrate_to=ids[0])


async def beside_root_keys(keycairn: Keycairn, ids: list[CredentialId], tmp_path: Path) -> None:
    for new, old in ((NEXT, ROOT), (ROOT, NEXT)) * 3:
        await keycairn.root_keys.change(new, present=old, now=True)


async def beside_restores(keycairn: Keycairn, ids: list[CredentialId], tmp_path: Path) -> None:
    """A backup taken in the middle of a rotation opens, wherever it is put."""
    for number in range(8):
        file = tmp_path / f"{number}.backup.gz"
        await keycairn.backups.save(file=file)
        with pytest.raises(StoreNotEmptyError):
            await Restore(file).into(keycairn.store)
        store = MemoryStore()
        await Restore(file).into(store)
        restored = await instance(store)
        await check_keys(restored)
        await restored.rotation.rotate()
        await check_keys(restored)


async def beside_sweeps(keycairn: Keycairn, ids: list[CredentialId], tmp_path: Path) -> None:
    for _ in range(5):
        assert await keycairn.credential_opener.sweep() == 0
        assert not [finding for finding in await keycairn.checkup.report() if finding.broken]


BESIDE = (beside_import, beside_deletes, beside_moves, beside_root_keys, beside_restores, beside_sweeps)


async def check_keys(keycairn: Keycairn) -> None:
    """Each credential here is named by its key."""
    for item in await keycairn.credentials.list():
        assert await key_of(keycairn, item.credential.id) in {f"sk-{item.credential.name}", _arrived(item.credential)}


def _arrived(credential: Credential) -> str:
    return f"sk-{credential.id.removeprefix('credential:')}"


@pytest.mark.parametrize("engine", ["memory", "surrealkv"])
@pytest.mark.parametrize("work", BESIDE, ids=lambda each: each.__name__)
async def test_rotation_goes_on_beside(
    work: Callable[[Keycairn, list[CredentialId], Path], Awaitable[None]], engine: str, tmp_path: Path
) -> None:
    async with a_store(engine, tmp_path) as store:
        keycairn = await instance(store)
        ids = [await add(keycairn, f"{number}", f"sk-{number}") for number in range(24)]

        async def rotate_on() -> None:
            while True:
                await keycairn.rotation.rotate()

        rotating = asyncio.create_task(rotate_on())
        await work(keycairn, ids, tmp_path)
        rotating.cancel()
        await asyncio.gather(rotating, return_exceptions=True)

        assert keycairn.vault.keyset.record.generation > 1, "a rotation was under way at least"
        await keycairn.rotation.rotate()
        await check_keys(keycairn)
        assert (await keycairn.rotation.status()).quarantined == ()
        assert (await keycairn.audit.verify()).intact
