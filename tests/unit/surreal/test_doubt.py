"""What may be on the disk or not is not there for this process, and what is not proven stays so."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.samples import WORKSPACE, a_credential, a_model, an_event
from tests.torture.calls import Calls, Failure

from keycairn.adapters.surreal import open_surreal
from keycairn.adapters.surreal.embedded_store import EmbeddedStore
from keycairn.domain.change import AddCredential, AddModel, Append
from keycairn.domain.errors import DamagedAnchorError, OutcomeUnknownError, StoreError

BAD_DISK = Failure(("fdatasync",), "EIO", ".redo")


async def opened(folder: Path) -> EmbeddedStore:
    store = await open_surreal(f"surrealkv://{folder}/db")
    assert isinstance(store, EmbeddedStore)
    return store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = await opened(tmp_path)
    await store.commit((AddCredential(a_credential()), *(AddModel(a_model()) for _ in range(800))))
    yield store
    await store.aclose()


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Calls]:
    with Calls(tmp_path) as wrapped:
        yield wrapped


async def doubtful(store: EmbeddedStore, calls: Calls) -> None:
    """A commit of which nobody knows whether the disk has it."""
    calls.fail(BAD_DISK)
    with pytest.raises(OutcomeUnknownError):
        await store.commit((Append(an_event()),))
    with pytest.raises(StoreError, match="Nothing was written"):
        await store.commit((Append(an_event()),))
    with pytest.raises(StoreError):
        await store.ping()
    calls.fail()


async def goes_on(store: EmbeddedStore, folder: Path) -> None:
    """What was doubtful is not there, here and after a start; what comes next is."""
    await store.ping()
    event = an_event()
    await store.commit((Append(event),))
    assert list(await store.events(WORKSPACE)) == [event]
    await store.aclose()
    again = await opened(folder)
    assert list(await again.events(WORKSPACE)) == [event]
    await again.aclose()


async def test_a_doubtful_change_is_void_when_the_disk_works_again(
    store: EmbeddedStore, calls: Calls, tmp_path: Path
) -> None:
    await doubtful(store, calls)
    await goes_on(store, tmp_path)


async def test_a_doubtful_change_is_not_found_by_an_engine_that_is_opened_anew(
    store: EmbeddedStore, calls: Calls, tmp_path: Path
) -> None:
    await doubtful(store, calls)
    await store._engine._recover(StoreError("the engine failed"))
    assert list(await store.events(WORKSPACE)) == []
    await goes_on(store, tmp_path)


async def test_a_doubtful_change_does_not_get_into_a_compacted_database(
    store: EmbeddedStore, calls: Calls, tmp_path: Path
) -> None:
    compaction = asyncio.create_task(store.compact())
    while not store._engine.pinned:  # noqa: ASYNC110  # nothing tells it
        await asyncio.sleep(0)
    await doubtful(store, calls)
    await compaction
    assert list(await store.events(WORKSPACE)) == []
    await goes_on(store, tmp_path)


async def test_two_compactions_at_once_do_not_meet(store: EmbeddedStore) -> None:
    await asyncio.gather(store.compact(), store.compact())
    assert len(await store.models(WORKSPACE, limit=None)) == 800


async def test_a_compaction_proves_nothing_and_vouching_meanwhile_does(store: EmbeddedStore, tmp_path: Path) -> None:
    await store.aclose()
    (tmp_path / "db.redo").write_bytes(b"x" * 9000)
    again = await opened(tmp_path)
    await again.compact()
    with pytest.raises(DamagedAnchorError):
        await again.acknowledged()
    await asyncio.gather(again.compact(), again.vouch())
    assert await again.acknowledged() == await again.head()
    await again.aclose()
