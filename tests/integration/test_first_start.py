"""The first start makes everything or nothing, wherever it is stopped, and never a second database in silence."""

import asyncio
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.backer import first_start, settings_of, try_to_start
from tests.nights import by_day
from tests.servers.surreal_rpc import surreal_rpc
from tests.torture import KILLS, SEED, Doomed, moments

from keycairn.app import Secret, Settings, open_keycairn
from keycairn.app.lost_key import begin_anew
from keycairn.app.wiring import open_store, open_with_first_run
from keycairn.domain.errors import MissingDatabaseError, StoreLockedError
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.token import Scope

LEFT_OVER = ("*.next", "*.writing", "*.former-*", "db.new", "db.ready")


async def works(settings: Settings) -> None:
    """It starts, with a root key and a token that are good, and with nothing left over; and starts again."""
    for _ in range(2):
        async with open_keycairn(settings) as kc:
            assert kc.vault.why_sealed is None
            text = Secret((settings.data_dir / "first-token").read_text().strip())
            assert (await kc.tokens.authenticate(text)).scopes == (Scope.ADMIN,)
            assert len(await kc.tokens.list()) == 1
            assert (await kc.audit.verify()).flaws == ()
    assert (settings.data_dir / "root-key").exists()
    assert [str(file) for pattern in LEFT_OVER for file in settings.data_dir.glob(pattern)] == []


def ended(work: Callable[..., None], *args: str) -> list[str]:
    process = Doomed(work, *args)
    process.end()
    return process.heard


@pytest.mark.night
@pytest.mark.timeout(120 + 10 * KILLS)
async def test_a_first_start_killed_at_any_step_is_followed_by_one_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [said] = await asyncio.to_thread(ended, first_start, str(tmp_path / "whole"))
    steps = int(said.removeprefix("steps "))
    chosen = sorted(moments().sample(range(1, steps + 1), min(KILLS, steps)))
    for step in chosen:
        data = tmp_path / str(step)
        assert await asyncio.to_thread(ended, first_start, str(data), str(step)) == []
        await works(settings_of(data))
    with capsys.disabled():
        print(f"\nfirst start: killed at {len(chosen)} of {steps} steps, seed {SEED}: each next start worked")  # noqa: T201


@pytest.mark.timeout(120 + 10 * KILLS)
@pytest.mark.night
async def test_a_first_start_killed_at_any_moment_is_followed_by_one_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.to_thread(ended, first_start, str(tmp_path / "whole"))
    span, chance, killed = loop.time() - begun, moments(), 0
    for number in range(KILLS):
        data = tmp_path / str(number)
        for _ in range(chance.randint(1, 3)):  # a start after a killed one may be killed as well
            killed += await asyncio.to_thread(Doomed(first_start, str(data)).kill_after, chance.uniform(0, span))
        await works(settings_of(data))
        shutil.rmtree(data)
    with capsys.disabled():
        print(f"\nfirst start: {killed} kills in {KILLS} folders, seed {SEED}: each next start worked")  # noqa: T201


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A disk of a number of pages of 4 KiB, or the same one made larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = False

    def sized(pages: int) -> Path:
        nonlocal mounted
        options = f"size={pages * 4096}" + (",remount" if mounted else "")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        done = subprocess.run(command, check=False, capture_output=True)  # noqa: S603  # our own words
        if done.returncode:
            pytest.skip("this machine lets us mount no disk")
        mounted = True
        return disk

    yield sized
    if mounted:
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S603, S607  # our own words


@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root mounts")
@pytest.mark.night
async def test_a_first_start_on_a_full_disk_says_so_and_works_once_there_is_room(
    small_disk: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    refused = 0
    sizes = [4**power for power in range(7)]
    for pages in sizes:
        data = small_disk(pages) / "data"
        [said] = await asyncio.to_thread(ended, try_to_start, str(data))
        if said == "started":
            break
        refused += 1
        assert "full" in said or "space" in said, said
    small_disk(8192)
    await works(settings_of(data))
    for pages in sizes[:refused]:
        shutil.rmtree(data)
        small_disk(pages)
        assert await asyncio.to_thread(ended, try_to_start, str(data)) != ["started"]
        small_disk(8192)
        await works(settings_of(data))
    assert refused > 3
    with capsys.disabled():
        print(f"\nfirst start: {refused} sizes of a full disk: each next start worked")  # noqa: T201


@pytest.mark.parametrize("largest", by_day([0, 50, 100, 1000, 10000], one_in=2))
async def test_a_first_start_whose_files_may_not_grow_leaves_nothing_in_the_way(tmp_path: Path, largest: int) -> None:
    data = tmp_path / "data"
    [said] = await asyncio.to_thread(ended, try_to_start, str(data), str(largest))
    assert said != "started"
    await works(settings_of(data))


async def test_of_two_first_starts_at_once_one_works_and_the_other_is_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    async with open_keycairn(settings):
        said = await asyncio.gather(*(asyncio.to_thread(ended, try_to_start, str(settings.data_dir)) for _ in range(2)))
        assert all(word.startswith("store_locked: ") for [word] in said)
    await works(settings)

    other = tmp_path / "other"
    said = await asyncio.gather(*(asyncio.to_thread(ended, try_to_start, str(other)) for _ in range(3)))
    assert "started" in [word for [word] in said]
    assert all(word == "started" or word.startswith("store_locked: ") for [word] in said)
    await works(settings_of(other))


def furnished(data: Path, how: str) -> Settings:
    """A place for a database as people prepare it before the first start."""
    data.mkdir()
    match how:
        case "other files":
            (data / ".env").write_text("A=b")
            (data / "notes").write_text("mine")
        case "empty db":
            (data / "db").mkdir()
        case "db of empty files":
            for file in ("manifest/0.manifest", "clog/0.clog"):
                (data / "db" / file).parent.mkdir(parents=True)
                (data / "db" / file).touch()
        case "db with the folder of a file system":
            (data / "db" / "lost+found").mkdir(parents=True)
        case "db that is a link":
            (data.parent / "elsewhere").mkdir()
            (data / "db").symlink_to(data.parent / "elsewhere")
        case "db elsewhere":
            return replace(settings_of(data), database_url=f"surrealkv://{data.parent}/deep/er/db")
    return settings_of(data)


@pytest.mark.parametrize(
    "how",
    [
        "other files",
        "empty db",
        "db of empty files",
        "db with the folder of a file system",
        "db that is a link",
        "db elsewhere",
    ],
)
async def test_a_place_that_people_prepared_is_used_as_it_is(tmp_path: Path, how: str) -> None:
    settings = furnished(tmp_path / "data", how)
    before = {file: file.read_text() for file in settings.data_dir.glob("*") if file.is_file()}
    await works(settings)
    assert {file: file.read_text() for file in before} == before


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root mounts")
async def test_the_database_may_be_a_disk_of_its_own(small_disk: Callable[[int], Path], tmp_path: Path) -> None:
    settings = replace(settings_of(tmp_path / "data"), database_url=f"surrealkv://{small_disk(8192)}")
    await works(settings)


TRACES = (
    "database",
    "db.redo",
    "root-key",
    "first-token",
    "audit-head",
    "server.json",
    "backups/keycairn-20260101T000000Z.backup.gz",
)


async def with_a_former_database(tmp_path: Path, *kept: str) -> Settings:
    """A data folder from which the database is gone, and everything else but what is `kept`."""
    settings = settings_of(tmp_path / "data")
    async with open_keycairn(settings):
        pass
    for name in TRACES:
        file = settings.data_dir / name
        if name not in kept:
            file.unlink(missing_ok=True)
        elif not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text("{}")
    shutil.move(settings.data_dir / "db", tmp_path / "unmounted")
    return settings


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "place", by_day(["gone", "empty", "of empty files", "with folders only", "dangling link"], one_in=5)
)
@pytest.mark.parametrize("trace", TRACES)
async def test_a_database_that_is_gone_is_not_made_anew(tmp_path: Path, trace: str, place: str) -> None:
    settings = await with_a_former_database(tmp_path, trace)
    db = settings.data_dir / "db"
    match place:
        case "empty":
            db.mkdir()
        case "of empty files":
            (db / "clog").mkdir(parents=True)
            (db / "clog" / "0.clog").touch()
        case "with folders only":
            (db / "manifest").mkdir(parents=True)
        case "dangling link":
            db.symlink_to(tmp_path / "nowhere")
    before = contents(settings.data_dir)
    for _ in range(2):
        with pytest.raises(MissingDatabaseError) as refused:
            async with open_keycairn(settings):
                pass
        assert str(db) in str(refused.value)
        assert trace in str(refused.value)
        assert "--new-database" in str(refused.value)
    assert contents(settings.data_dir) == before


async def test_a_database_that_lost_everything_is_not_begun_anew(tmp_path: Path) -> None:
    settings = await with_a_former_database(tmp_path, *TRACES)
    store = await open_store(settings, anew=True)  # with tables, and nothing in them
    await store.aclose()
    with pytest.raises(MissingDatabaseError):
        async with open_keycairn(settings):
            pass
    async with open_with_first_run(settings, new_database=True) as (kc, _):
        assert kc.vault.why_sealed is None


async def test_another_place_without_a_database_is_refused_too(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    async with open_keycairn(settings):
        pass
    with pytest.raises(MissingDatabaseError, match="nothing"):
        async with open_keycairn(replace(settings, database_url=f"surrealkv://{tmp_path}/nothing")):
            pass
    await works(settings)


async def test_going_on_without_a_root_key_makes_no_database_either(tmp_path: Path) -> None:
    settings = await with_a_former_database(tmp_path, *TRACES)
    before = contents(settings.data_dir)
    with pytest.raises(MissingDatabaseError):
        await begin_anew(settings)
    assert contents(settings.data_dir) == before


async def test_a_new_database_is_begun_on_purpose_and_nothing_of_the_former_is_lost(tmp_path: Path) -> None:
    settings = await with_a_former_database(tmp_path, *TRACES)
    former = contents(settings.data_dir)
    async with open_with_first_run(settings, new_database=True) as (kc, first_run):
        assert kc.vault.why_sealed is None
        assert first_run.token_file == settings.data_dir / "first-token"
        assert first_run.root_key_file is None, "the former one goes on"
        text = Secret(first_run.token_file.read_text().strip())
        assert (await kc.tokens.authenticate(text)).scopes == (Scope.ADMIN,)
        assert (await kc.audit.verify()).flaws == ()
    after = contents(settings.data_dir)
    assert after["root-key"] == former["root-key"]
    for name in ("first-token", "audit-head", "db.redo"):
        [kept] = [content for file, content in after.items() if file.startswith(f"{name}.former-")]
        assert kept == former[name]
    async with open_keycairn(settings) as kc:
        assert len(await kc.tokens.list()) == 1


async def test_the_former_database_put_back_is_as_it_was(tmp_path: Path) -> None:
    settings = await with_a_former_database(tmp_path, *TRACES)
    with pytest.raises(MissingDatabaseError):
        async with open_keycairn(settings):
            pass
    shutil.rmtree(settings.data_dir / "db", ignore_errors=True)
    shutil.move(tmp_path / "unmounted", settings.data_dir / "db")
    (settings.data_dir / "server.json").unlink()
    shutil.rmtree(settings.data_dir / "backups")
    await works(settings)


async def test_a_database_whose_root_key_is_gone_stays_sealed_and_gets_no_other(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    async with open_keycairn(settings):
        pass
    (settings.data_dir / "root-key").unlink()
    before = contents(settings.data_dir)
    async with open_with_first_run(settings) as (kc, first_run):
        assert kc.vault.why_sealed
        assert (first_run.root_key_file, first_run.token_file) == (None, None)
    assert contents(settings.data_dir).keys() == before.keys()


async def test_a_first_token_that_is_there_is_kept_aside(tmp_path: Path) -> None:
    memory = Settings(data_dir=tmp_path, database_url="mem://", env_file=None, external_plugins=False)
    (tmp_path / "first-token").write_text("kc_former")
    async with open_keycairn(memory):
        assert (tmp_path / "first-token").read_text() != "kc_former"
    [kept] = tmp_path.glob("first-token*")
    assert kept.read_text() == "kc_former"


async def test_a_data_folder_is_one_process_s_even_where_the_databases_differ(tmp_path: Path) -> None:
    first, second = (
        replace(settings_of(tmp_path / "data"), database_url=f"surrealkv://{tmp_path}/{name}") for name in "ab"
    )
    async with open_keycairn(first):
        with pytest.raises(StoreLockedError, match="data folder"):
            async with open_keycairn(second):
                pass


async def test_a_database_server_that_lost_everything_is_not_begun_anew_in_silence(tmp_path: Path) -> None:
    key = parse_root_key(Secret("base64:" + b64encode(os.urandom(32)).decode()))
    here = settings_of(tmp_path / "data")
    async with surreal_rpc() as server:
        unset = replace(here, database_url=server.url)
        async with open_keycairn(unset) as kc:
            assert kc.vault.why_sealed
        settings = replace(unset, root_key=key)
        for _ in range(2):  # a start without a root key is no database
            async with open_keycairn(settings) as kc:
                assert kc.vault.why_sealed is None
    token = (here.data_dir / "first-token").read_text()
    async with surreal_rpc() as other:
        empty = replace(settings, database_url=other.url)
        with pytest.raises(MissingDatabaseError):
            async with open_keycairn(empty):
                pass
        assert (here.data_dir / "first-token").read_text() == token
