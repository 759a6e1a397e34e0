"""An engine that fails, a full disk, files that are compacted: nothing acknowledged goes, nothing refused stays."""

import asyncio
import gc
import resource
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.samples import WORKSPACE, a_credential, a_model, an_event
from tests.torture.calls import Calls, Failure

from keycairn.adapters.redo_log import STEP, RedoLog
from keycairn.adapters.surreal import embedded_store, logged_engine, open_surreal, rebuilding
from keycairn.adapters.surreal.building import tree_size
from keycairn.adapters.surreal.embedded_store import EmbeddedStore
from keycairn.domain.change import AddCredential, AddModel, Append, RelinkModels, ReplaceCredential
from keycairn.domain.credential import Credential
from keycairn.domain.errors import CommitPendingError, StoreError, StoreFullError, StoreUnavailableError
from keycairn.domain.record import Record


async def opened(folder: Path, reserve: int | None = None) -> EmbeddedStore:
    store = await open_surreal(f"surrealkv://{folder}/db", reserve=reserve)
    assert isinstance(store, EmbeddedStore)
    return store


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EmbeddedStore]:
    monkeypatch.setattr(logged_engine, "PATIENCE", 0.05)
    monkeypatch.setattr(logged_engine, "PAUSE", 0.01)
    store = await opened(tmp_path)
    yield store
    await store.aclose()


class Failing:
    """A connection whose engine answers nothing that writes, once it has failed, until it `works` again."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.works = True
        self.slow = 0.0
        """Seconds after each transaction before its answer is given."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def query(self, text: str, variables: Mapping[str, Any]) -> list[Any]:
        if not self.works:
            raise StoreError
        found: list[Any] = await self._connection.query(text, variables)
        if self.slow and text.startswith("BEGIN"):
            await asyncio.sleep(self.slow)
        return found


def failing(store: EmbeddedStore) -> Failing:
    connection = Failing(store._engine.connection)
    store._engine.connection = connection  # type: ignore[assignment]  # stands in for it
    return connection


async def everything(store: EmbeddedStore) -> list[Record]:
    async with store.snapshot() as records:
        return [record async for record in records]


async def test_what_was_accepted_while_the_engine_failed_is_there_at_once_and_after_it_is_back(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    engine = failing(store)
    credential, event = a_credential(), an_event()
    engine.works = False
    with pytest.raises(StoreUnavailableError):  # its event cannot be looked for
        await store.commit((AddCredential(a_credential()), Append(an_event())))
    engine.works = True
    await until_ready(store)

    whole = store._engine.accept

    async def then_fail(draft: Any) -> None:
        await whole(draft)
        engine.works = False

    store._engine.accept = then_fail  # type: ignore[method-assign]  # fails between the log and the engine
    with pytest.raises(CommitPendingError) as caught:
        await store.commit((AddCredential(credential), Append(event)))
    assert caught.value.event == event.id
    store._engine.accept = whole  # type: ignore[method-assign]

    assert await store.credential(WORKSPACE, credential.id) == credential, "reads go on, and show it"
    with pytest.raises(StoreUnavailableError, match="tries again"):
        await store.ping()
    with pytest.raises(StoreUnavailableError, match="Nothing was written"):
        await store.commit((AddCredential(a_credential()),))

    engine.works = True
    await until_ready(store)
    assert list(await store.events(WORKSPACE)) == [event]
    await store.aclose()
    again = await opened(tmp_path)
    assert list(await again.credentials(WORKSPACE)) == [credential]
    await again.aclose()


async def until_ready(store: EmbeddedStore) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await store.ping()
            except StoreError:
                await asyncio.sleep(0.01)
            else:
                return


async def test_a_process_that_dies_between_log_and_engine_loses_nothing(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    a, b = a_credential(), a_credential()
    models = [a_model(name=f"m{n}", credential=a.id) for n in range(50)]
    await store.commit((AddCredential(a), AddCredential(b), *map(AddModel, models)))
    engine = failing(store)
    whole = store._engine.accept

    async def then_fail(draft: Any) -> None:
        await whole(draft)
        engine.works = False

    store._engine.accept = then_fail  # type: ignore[method-assign]
    store._engine._reopen = never  # type: ignore[method-assign]  # the process is gone before the engine is back
    with pytest.raises(CommitPendingError):
        await asyncio.wait_for(store.commit((RelinkModels(WORKSPACE, a.id, b.id), Append(an_event()))), 20)
    assert store._engine.redo is not None
    store._engine.redo.close()
    if store._engine._recovery:
        store._engine._recovery.cancel()
    await store._engine.connection.close()

    again = await opened(tmp_path)
    assert len(await again.models(WORKSPACE, credential=b.id)) == 50
    assert len(await again.events(WORKSPACE)) == 1
    await again.aclose()


async def never() -> None:
    await asyncio.Event().wait()


async def test_a_full_disk_refuses_what_grows_and_lets_changes_and_reads_go_on(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    credential = a_credential()
    await store.commit((AddCredential(credential),))
    assert store._engine.room is not None
    store._engine.room._reserve = 2**60
    store._engine.room.least_of = lambda reserve, disk: reserve  # type: ignore[method-assign]  # a disk that has less than that
    before = await everything(store)
    with pytest.raises(StoreFullError, match="Reading goes on"):
        await store.commit((AddCredential(a_credential()), Append(an_event())))
    with pytest.raises(StoreFullError):
        await store.ping()
    assert await everything(store) == before
    await store.aclose()
    again = await opened(tmp_path)
    assert await everything(again) == before
    await again.aclose()


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EFBIG"])
async def test_a_log_that_finds_no_room_is_told_and_readiness_tells_until_there_is(error: str, tmp_path: Path) -> None:
    """A quota is not seen from what is free on the disk."""
    with Calls(tmp_path) as calls:
        store = await opened(tmp_path)
        before = await everything(store)
        large = a_credential(extra={"ballast": "x" * STEP})
        calls.fail(Failure(("pwrite",), error, ".redo"))
        with pytest.raises(StoreFullError, match="Reading goes on"):
            await store.commit((AddCredential(large), Append(an_event())))
        assert await everything(store) == before
        with pytest.raises(StoreFullError):
            await store.ping()
        calls.fail()
        await store.ping()
        await store.commit((AddCredential(large), Append(an_event())))
        await store.aclose()


async def test_going_over_to_compacted_files_looks_for_no_garbage(store: EmbeddedStore) -> None:
    """Looking through everything in memory holds the loop for as long as there are records."""
    await store.commit((AddCredential(a_credential()), Append(an_event())))
    looked: list[int] = []

    def look(phase: str, told: dict[str, int]) -> None:
        looked.append(told["generation"])

    gc.callbacks.append(look)
    try:
        await store.compact()
    finally:
        gc.callbacks.remove(look)
    assert 2 not in looked


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT"])
async def test_what_is_built_beside_on_a_full_disk_says_so_and_changes_nothing(error: str, tmp_path: Path) -> None:
    with Calls(tmp_path) as calls:
        store = await opened(tmp_path)
        await store.commit((AddCredential(a_credential()), Append(an_event())))
        before = await everything(store)
        for failing_calls in (("mkdir",), ("pwrite",), ("fsync",), ("rename", "replace")):
            calls.fail(Failure(failing_calls, error, "db.new"))
            with pytest.raises(StoreFullError, match="Reading goes on"):
                await store.compact()
            assert await everything(store) == before
            await store.ping()
        calls.fail()
        await store.compact()
        assert await everything(store) == before
        await store.aclose()


async def test_a_file_that_may_not_grow_is_survived(store: EmbeddedStore, tmp_path: Path) -> None:
    """The redo log has its room already; the engine's file hits the limit in the middle of a commit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    there: list[Credential] = []
    limit = 5 * 2**20
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        for _ in range(4000):
            credential = a_credential(extra={"ballast": "x" * 20_000})
            try:
                await store.commit((AddCredential(credential), Append(an_event())))
            except CommitPendingError:
                there.append(credential)
                break
            there.append(credential)
        assert len(there) > 20
        with pytest.raises(StoreError):
            await store.commit((AddCredential(a_credential()),))
        assert {one.id for one in await store.credentials(WORKSPACE)} == {one.id for one in there}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await until_ready(store)
    assert await store.event_count() == len(there)
    await store.aclose()
    again = await opened(tmp_path)
    assert {one.id for one in await again.credentials(WORKSPACE)} == {one.id for one in there}
    await again.aclose()


async def test_compacting_keeps_everything_and_what_is_committed_meanwhile(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    one, other = a_credential(), a_credential()
    await store.commit((AddCredential(one), AddCredential(other)))
    version = 1
    for _ in range(300):
        version += 1
        await store.commit((ReplaceCredential(replace(one, version=version), version - 1), Append(an_event())))
    folder = tmp_path / "db"
    before = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    async def go_on() -> int:
        done = 0
        while not compacting.done():
            await store.commit((ReplaceCredential(replace(other, version=done + 2), done + 1), Append(an_event())))
            done += 1
        return done

    compacting = asyncio.create_task(store.compact())
    meanwhile = await go_on()
    await compacting
    assert meanwhile > 0
    expected = await everything(store)
    await store.aclose()
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < before
    again = await opened(tmp_path)
    assert await everything(again) == expected
    found = await again.credential(WORKSPACE, other.id)
    assert found is not None
    assert found.version == meanwhile + 1
    await again.aclose()


async def test_edits_are_measured_against_what_is_whole_through_any_number_of_starts(tmp_path: Path) -> None:
    """Each start must not take the size it finds for that of what is kept, or the files grow with every start."""
    sizes = set()
    one = a_credential()
    version = 1
    for start in range(3):
        store = await opened(tmp_path)
        if start == 0:
            await store.commit((AddCredential(one),))
            await store.compact()
        for _ in range(50):
            version += 1
            await store.commit((ReplaceCredential(replace(one, version=version), version - 1),))
        await store.checkpoint()
        await store.aclose()
        log = RedoLog.open(tmp_path / "db.redo")
        assert log is not None
        sizes.add(log.header.whole)
        log.close()
    [whole] = sizes
    assert 0 < whole < tree_size(tmp_path / "db")


@pytest.mark.night
async def test_edits_of_one_record_grow_the_folder_to_a_bound_while_it_serves(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "COMPACT_AT", 1)
    monkeypatch.setattr(embedded_store, "SHORTEN_AT", 20_000)
    one = a_credential()
    await store.commit((AddCredential(one),))
    most = 0
    for version in range(2, 1500):
        await store.commit((ReplaceCredential(replace(one, version=version), version - 1),))
        most = max(most, tree_size(tmp_path / "db"))
    assert most < 1500 * 1000, "far below what so many edits take"
    assert (await store.credential(WORKSPACE, one.id)) == replace(one, version=1499)


async def test_a_new_database_that_is_ready_is_taken_at_the_next_start(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.commit((AddCredential(a_credential()),))

    async def killed() -> None:
        raise asyncio.CancelledError

    store._engine._reopen = killed  # type: ignore[method-assign]  # between the renames
    with pytest.raises(asyncio.CancelledError):
        await store.compact()
    expected = await everything(store)
    assert (tmp_path / "db.ready").exists()
    assert store._engine.redo is not None
    store._engine.redo.close()
    await store._engine.connection.close()
    again = await opened(tmp_path)
    assert await everything(again) == expected
    assert not (tmp_path / "db.ready").exists()
    await again.aclose()


async def test_no_read_sees_what_is_being_made_anew(store: EmbeddedStore) -> None:
    first, second = an_event(seq=1), an_event(seq=2)
    await store.commit((Append(first),))
    engine = failing(store)
    engine.works = False
    with suppress(StoreUnavailableError, CommitPendingError):
        await store.commit((AddCredential(a_credential()),))
    engine.works, engine.slow = True, 0.05
    seen: list[int] = []
    while len(seen) < 60:
        try:
            seen.append(len(await store.chain()))
        except StoreUnavailableError:
            seen.append(1)
        await asyncio.sleep(0.005)
    assert set(seen) == {1}
    await store.commit((Append(second),))
