"""A restore that was cut off, and one that others meet."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from surrealdb import RecordID
from tests.samples import a_credential, a_model, an_event
from tests.servers.surreal_rpc import surreal_rpc

from keycairn.adapters.surreal import SurrealStore, open_surreal
from keycairn.adapters.surreal.embedded_store import EmbeddedStore
from keycairn.adapters.surreal.restoring import Claim
from keycairn.domain.change import AddCredential
from keycairn.domain.errors import RestoringError, StoreUnavailableError
from keycairn.domain.record import KINDS, Record, kind_of, record_key
from keycairn.ports.store import Store


def some_records(count: int = 300) -> list[Record]:
    ranks = list(KINDS)
    records: list[Record] = [make() for make in (a_credential, a_model, an_event) for _ in range(count)]
    return sorted(records, key=lambda record: (ranks.index(kind_of(record)), record_key(record)))


async def stored(store: Store) -> Sequence[Record]:
    async with store.snapshot() as records:
        return [record async for record in records]


async def cut_off(store: SurrealStore | EmbeddedStore, records: Sequence[Record]) -> Claim:
    """Restore as far as a killed process may have come."""
    connection = store._engine.connection if isinstance(store, EmbeddedStore) else store._session._connection
    claim = Claim(connection.query)
    await claim.take()
    await claim.fill(records)
    return claim


async def test_a_restore_that_was_cut_off_leaves_an_empty_store(tmp_path: Path) -> None:
    url, records = f"surrealkv://{tmp_path}/db", some_records()
    store = await open_surreal(url)
    await cut_off(store, records[:700])
    await store.aclose()

    for _ in range(2):
        store = await open_surreal(url)
        assert await stored(store) == []
        await store.aclose()

    store = await open_surreal(url)
    await store.restore(records)
    await store.aclose()
    store = await open_surreal(url)
    assert await stored(store) == records
    await store.commit((AddCredential(a_credential()),))
    await store.aclose()


async def test_the_tidying_may_be_cut_off_too(tmp_path: Path) -> None:
    url, records = f"surrealkv://{tmp_path}/db", some_records()
    store = await open_surreal(url)
    claim = await cut_off(store, records)
    step = claim._step()
    for record in records[:200]:
        step.add("DELETE {id} RETURN NONE", id=RecordID(kind_of(record), record_key(record)))
    await claim._run(step)
    await store.aclose()

    store = await open_surreal(url)
    assert await stored(store) == []
    await store.aclose()


async def test_nobody_meddles_with_a_restore_of_another_process() -> None:
    async with surreal_rpc() as server:
        present, restoring = await open_surreal(server.url), await open_surreal(server.url)
        claim = await cut_off(restoring, some_records())

        with pytest.raises(RestoringError):
            await open_surreal(server.url)
        with pytest.raises(RestoringError):
            await present.commit((AddCredential(a_credential()),))
        with pytest.raises(RestoringError):
            await present.restore(some_records())

        await claim.release()
        await present.commit((AddCredential(a_credential()),))
        later = await open_surreal(server.url)
        assert len(await stored(later)) == 901
        for store in (present, restoring, later):
            await store.aclose()


async def test_a_marker_nobody_renews_is_taken_over_and_its_owner_can_do_nothing_more() -> None:
    async with surreal_rpc() as server:
        slow = await open_surreal(server.url)
        records = some_records()
        claim = await cut_off(slow, records[:300])
        assert isinstance(slow, SurrealStore)
        await slow._session._connection.query(
            "UPDATE restoring SET at = $then", {"then": datetime(2026, 1, 1, tzinfo=UTC)}
        )

        store = await open_surreal(server.url)
        assert await stored(store) == []
        with pytest.raises(RestoringError):
            await claim.fill(records[300:])
        assert await stored(store) == []
        for each in (slow, store):
            await each.aclose()


@pytest.mark.parametrize("place", ["drop_before", "drop_after"])
async def test_a_connection_lost_at_the_last_step_is_asked_about(place: str) -> None:
    async with surreal_rpc() as server:
        store = await open_surreal(server.url)
        records = some_records(10)

        def then_break() -> Iterator[Record]:
            yield from records
            setattr(server, place, "DELETE $v")

        if place == "drop_after":
            await store.restore(then_break())
            assert await stored(store) == records
        else:
            with pytest.raises(StoreUnavailableError):
                await store.restore(then_break())
            assert await stored(store) == []
        await store.aclose()
