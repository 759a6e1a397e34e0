"""Snapshots of a database that another instance writes to all the time."""

from collections.abc import AsyncIterator

import pytest
from tests.samples import a_credential, a_keyset, a_model, an_event
from tests.servers.surreal_rpc import surreal_rpc

from keycairn.adapters.surreal import open_surreal
from keycairn.adapters.surreal import snapshot as reading
from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.domain.audit import Head
from keycairn.domain.change import AddCredential, Append, Changeset
from keycairn.domain.errors import ConflictError
from keycairn.domain.ids import CredentialId, EventId
from keycairn.domain.record import Record
from keycairn.ports.store import Store

EVENTS = 2 * reading.PAGE + 1


def mac(seq: int) -> str:
    return f"{seq:064x}"


def linked(seq: int, key: str) -> Changeset:
    """A credential and its event, as the journal commits them."""
    return (
        AddCredential(a_credential(id=CredentialId(f"credential:{key}"))),
        Append(an_event(id=EventId(f"event:{key}"), seq=seq, mac=mac(seq))),
    )


async def commit_linked(store: Store, seq: int, key: str) -> None:
    await store.commit(linked(seq, key), lambda draft: draft.put(Head(seq, mac(seq))))


def filled(*, head: int = EVENTS) -> list[Record]:
    credential = a_credential()
    return [
        a_keyset(),
        credential,
        a_model(credential=credential.id),
        *[an_event(id=EventId(f"event:m{n:06}"), seq=n, mac=mac(n)) for n in range(1, EVENTS + 1)],
        Head(head, mac(head)),
    ]


async def disturbed(one: Store, other: Store, changes: Changeset) -> None:
    """Read all of `one` while `other` commits, after the first record."""
    waiting = [changes]
    async with one.snapshot() as snapshot:
        async for _ in snapshot:
            if waiting:
                await other.commit(waiting.pop())


@pytest.fixture
async def instances() -> AsyncIterator[tuple[Store, Store]]:
    """Two of them, on one database."""
    async with surreal_rpc() as server:
        one, other = await open_surreal(server.url), await open_surreal(server.url)
        yield one, other
        await one.aclose()
        await other.aclose()


async def test_commits_between_any_two_pages_neither_stop_nor_tear_a_snapshot(instances: tuple[Store, Store]) -> None:
    one, other = instances
    records = filled()
    await one.restore(records)

    found: list[Record] = []
    seq = EVENTS
    async with one.snapshot() as snapshot:
        async for record in snapshot:
            if len(found) % 100 == 0:
                seq += 1
                # before, among and behind what there is, so that pages read later hold some of them
                await commit_linked(other, seq, f"{'amz'[seq % 3]}-{seq}")
            found.append(record)

    assert seq > EVENTS + 5
    assert found == records


async def test_each_of_the_moments_there_were_is_a_whole_one(instances: tuple[Store, Store]) -> None:
    one, other = instances
    for seq in range(1, 4):
        await commit_linked(other, seq, f"a{seq}")
        async with one.snapshot() as snapshot:
            keys = [getattr(record, "id", f"head:{getattr(record, 'seq', '')}") async for record in snapshot]
        wanted = [f"{kind}:a{n}" for kind in ("credential", "event") for n in range(1, seq + 1)]
        assert keys == [*wanted, f"head:{seq}"]


async def test_an_event_outside_of_the_chain_is_noticed(instances: tuple[Store, Store]) -> None:
    one, other = instances
    await one.restore(filled())
    with pytest.raises(ConflictError):
        await disturbed(one, other, (Append(an_event(id=EventId("event:z"))),))


async def test_what_a_damaged_log_holds_beyond_its_head_is_in_the_snapshot(instances: tuple[Store, Store]) -> None:
    one, other = instances
    records = filled(head=EVENTS - 1)
    await one.restore(records)

    async with one.snapshot() as snapshot:
        assert [record async for record in snapshot] == records
    with pytest.raises(ConflictError):
        await disturbed(one, other, (AddCredential(a_credential(id=CredentialId("credential:z"))),))


@pytest.mark.parametrize(("rows", "at_once"), [(reading.AT_ONCE - 1, True), (reading.AT_ONCE, False)])
async def test_no_more_is_read_at_once_than_memory_is_meant_for(rows: int, at_once: bool) -> None:  # noqa: FBT001  # a case
    async def read(text: str, **variables: object) -> list[object]:
        if "$limit" not in text:
            return []  # there is no head to stumble over
        assert text.count("LIMIT $limit") == 7
        assert variables["limit"] == reading.AT_ONCE
        return [7, [], [], [{}] * rows, [], [], [], [], [], 7]

    moment = await reading.read_moment(read, EngineDialect(2))
    assert (moment is not None) == at_once
    assert moment is None or (moment.youngest, moment.events, len(moment.rows["model"])) == (7, 7, rows)
