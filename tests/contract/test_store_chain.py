"""What every store promises about the chain of audit events."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.samples import THEN, WORKSPACE, a_credential, an_event

from keycairn.domain.audit import Action, AuditEvent, EventFilter, Head
from keycairn.domain.change import Append, CreateCredential, MoveHead
from keycairn.domain.errors import HeadMovedError
from keycairn.ports.store import Store


def link(seq: int, **fields: object) -> AuditEvent:
    return an_event(seq=seq, mac=f"{seq:064x}", **fields)


async def test_no_event_no_head(store: Store) -> None:
    assert await store.head() is None
    assert list(await store.chain()) == []
    assert await store.event_count() == 0


async def test_the_chain_is_read_by_number_through_all_workspaces(store: Store) -> None:
    links = [link(seq, workspace="other" if seq % 3 == 0 else WORKSPACE) for seq in range(1, 12)]
    await store.commit(tuple(Append(event) for event in reversed(links)))
    seen: list[AuditEvent] = []
    while page := await store.chain(after=seen[-1].seq if seen else 0, limit=4):
        seen += page
    assert seen == links
    assert await store.event_count() == 11


async def test_an_event_without_a_link_is_counted_and_not_in_the_chain(store: Store) -> None:
    await store.commit((Append(an_event()), Append(link(1))))
    assert [event.seq for event in await store.chain()] == [1]
    assert await store.event_count() == 2


async def test_the_head_moves_only_from_where_it_is(store: Store) -> None:
    first, second, third = (Head(seq, f"{seq:064x}") for seq in (1, 2, 3))
    with pytest.raises(HeadMovedError):
        await store.commit((MoveHead(second, expected=first),))
    await store.commit((MoveHead(first, expected=None),))
    await store.commit((MoveHead(second, expected=first),))
    for wrong in (None, first, Head(2, third.mac)):
        with pytest.raises(HeadMovedError):
            await store.commit((CreateCredential(a_credential()), MoveHead(third, expected=wrong)))
    assert await store.head() == second
    assert list(await store.credentials(WORKSPACE)) == [], "nothing of a refused changeset is there"


async def test_events_are_filtered_by_all_that_is_asked_for(store: Store) -> None:
    plain = an_event(seq=1)
    later = an_event(
        seq=2, at=THEN + timedelta(hours=1), actor="token:x", target="model:m", action=Action.MODEL_CREATED
    )
    failed = an_event(seq=3, outcome="invalid_auth", at=THEN + timedelta(hours=2))
    await store.commit(tuple(map(Append, (plain, later, failed))))

    async def found(**wanted: object) -> list[AuditEvent]:
        return list(await store.events(WORKSPACE, matching=EventFilter(**wanted)))  # type: ignore[arg-type]  # test

    assert await found() == [plain, later, failed]
    assert await found(actor="token:x") == [later]
    assert await found(action=Action.MODEL_CREATED) == [later]
    assert await found(target="credential:x") == [plain, failed]
    assert await found(outcome="invalid_auth") == [failed]
    assert await found(since=later.at) == [later, failed], "since is included"
    assert await found(until=later.at) == [plain], "until is not"
    assert await found(actor="in-process", since=later.at, until=failed.at) == []
    assert await store.events(WORKSPACE, matching=EventFilter(outcome="done"), after=plain.seq) == [later]
    assert await store.events("theirs", matching=EventFilter(actor="in-process")) == []
    assert await found(actor="x' OR true; --") == await found(target="a\0b") == []


async def test_a_link_comes_back_exactly(store: Store) -> None:
    event = link(2**40, details={"count": 3})
    await store.commit((Append(event),))
    assert list(await store.chain(after=2**40 - 1)) == [event]
    assert list(await store.events(WORKSPACE)) == [event]
    assert replace(event, mac="") != event
