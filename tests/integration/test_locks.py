"""A folder in use is nobody else's, whatever is done to the files in it and by whatever path one comes."""

import asyncio
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.backer import settings_of, try_to_start
from tests.torture import Doomed

from keycairn.adapters.surreal.lock import FolderLock, StoreLock
from keycairn.app import Secret, Settings, open_keycairn
from keycairn.domain.errors import DataFolderLockedError, StoreError, StoreLockedError, StoreMovedError

KEY = {"api_key": Secret("sk-0123456789-abc")}


def said_by_another(data: Path) -> str:
    process = Doomed(try_to_start, str(data))
    process.end()
    [said] = process.heard
    return said


def replaced(file: Path) -> None:
    file.unlink()
    file.write_text("")


def removed(files: Iterable[Path]) -> None:
    for file in list(files):
        file.unlink()


MEDDLING: dict[str, Callable[[Path], object]] = {
    "nothing": lambda data: None,
    "lock file removed": lambda data: (data / "db.lock").unlink(),
    "lock file replaced": lambda data: replaced(data / "db.lock"),
    "lock file renamed": lambda data: (data / "db.lock").rename(data / "db.lock.old"),
    "every file beside the database removed": lambda data: removed(
        file for file in data.iterdir() if file.is_file() and file.name != "root-key"
    ),
    "files in the database removed": lambda data: removed(data.rglob("db/manifest/*")),
}


@pytest.mark.parametrize("what", MEDDLING)
async def test_a_folder_in_use_is_refused_whatever_is_done_to_its_files(tmp_path: Path, what: str) -> None:
    data = tmp_path / "data"
    async with open_keycairn(settings_of(data)):
        MEDDLING[what](data)
        assert (await asyncio.to_thread(said_by_another, data)).startswith("store_locked: ")


async def test_a_folder_in_use_is_refused_by_every_path(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "link").symlink_to(data)
    (tmp_path / "other").mkdir()
    async with open_keycairn(settings_of(data)):
        (tmp_path / "other" / "db").symlink_to(data / "db")
        for path in (tmp_path / "link", tmp_path / "other" / ".." / "data", tmp_path / "other"):
            assert (await asyncio.to_thread(said_by_another, path)).startswith("store_locked: "), path


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root mounts")
async def test_a_folder_in_use_is_refused_where_it_is_mounted_again(tmp_path: Path) -> None:
    data, bound = tmp_path / "data", tmp_path / "bound"
    bound.mkdir()
    async with open_keycairn(settings_of(data)):
        command = ["mount", "--bind", str(data), str(bound)]
        if (await asyncio.to_thread(subprocess.run, command, capture_output=True)).returncode:
            pytest.skip("this machine lets us mount nothing")
        try:
            assert (await asyncio.to_thread(said_by_another, bound)).startswith("store_locked: ")
        finally:
            await asyncio.to_thread(subprocess.run, ["umount", str(bound)], check=True)


@pytest.mark.parametrize("which", ["data", "data/db"])
async def test_a_folder_renamed_under_a_service_gets_no_second_one_and_no_writes(tmp_path: Path, which: str) -> None:
    folder, away = tmp_path / which, tmp_path / "away"
    settings = settings_of(tmp_path / "data")
    async with open_keycairn(settings) as kc:
        await kc.credentials.create("openai", name="before", secrets=KEY)
        folder.rename(away)
        if which == "data":
            assert (await asyncio.to_thread(said_by_another, away)).startswith("store_locked: ")
        for _ in range(2):
            with pytest.raises(StoreMovedError):
                await kc.credentials.create("openai", name="meanwhile", secrets=KEY)
            with pytest.raises(StoreMovedError):
                await kc.store.ping()  # so readiness says what it is
            folder.mkdir(exist_ok=True)  # another one in its place is not it either
        folder.rmdir()
        away.rename(folder)
        await kc.credentials.create("openai", name="after", secrets=KEY)
    async with open_keycairn(settings) as kc:
        assert [listed.credential.name for listed in await kc.credentials.list()] == ["before", "after"]


async def test_an_earlier_version_that_locks_the_file_only_is_respected(tmp_path: Path) -> None:
    import fcntl  # noqa: PLC0415

    settings = settings_of(tmp_path / "data")
    async with open_keycairn(settings):
        pass
    with (settings.data_dir / "db.lock").open("r+") as earlier:
        fcntl.flock(earlier, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(StoreLockedError):
            async with open_keycairn(settings):
                pass
    async with open_keycairn(settings):
        pass


@pytest.mark.parametrize("kind", ["folder", "link", "file in the way"])
async def test_a_lock_file_that_is_none_is_one_sentence(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    match kind:
        case "folder":
            (data / "db.lock").mkdir()
        case "link":
            (data / "db.lock").symlink_to(tmp_path / "elsewhere")
        case "file in the way":
            (data / "db").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        async with open_keycairn(settings_of(data)):
            pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_is_free_again_after_release_and_after_a_kill(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path / "db")
    with pytest.raises(StoreLockedError):
        StoreLock(tmp_path / "db")
    lock.release()
    lock.release()
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(str(tmp_path / "db"),))
    process.start()
    process.join()
    assert process.exitcode == -9
    StoreLock(tmp_path / "db").release()


def _hold(path: str) -> None:
    StoreLock(Path(path))
    os.kill(os.getpid(), 9)


def test_those_who_share_a_folder_keep_out_those_who_do_not(tmp_path: Path) -> None:
    one, two = FolderLock(tmp_path, shared=True), FolderLock(tmp_path, shared=True)
    for held in (one, two):
        with pytest.raises(DataFolderLockedError):
            FolderLock(tmp_path)
        held.release()
    alone = FolderLock(tmp_path)
    with pytest.raises(DataFolderLockedError):
        FolderLock(tmp_path, shared=True)
    alone.release()


async def test_memory_databases_share_a_data_folder_and_a_lasting_one_does_not(tmp_path: Path) -> None:
    memory = Settings(data_dir=tmp_path, database_url="mem://", env_file=None, external_plugins=False)
    async with open_keycairn(memory), open_keycairn(memory):
        with pytest.raises(DataFolderLockedError):
            async with open_keycairn(settings_of(tmp_path)):
                pass


def test_a_lock_file_is_not_needed_where_one_may_not_write(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    place = tmp_path / "ours" / "db"
    place.mkdir(parents=True)
    place.parent.chmod(0o500)
    try:
        StoreLock(place).release()
    finally:
        place.parent.chmod(0o700)
