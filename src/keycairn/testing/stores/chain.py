"""What every store promises about the chain of audit events."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from keycairn.domain.audit import Action, AuditEvent, EventFilter, Head
from keycairn.domain.change import AddCredential, Append, ExpectCredential
from keycairn.domain.draft import Draft
from keycairn.domain.errors import DuplicateError, StaleVersionError
from keycairn.domain.ids import EventId
from keycairn.domain.state import CURRENT
from keycairn.ports.store import Store
from keycairn.testing.stores.samples import THEN, WORKSPACE, a_credential, an_event
from keycairn.testing.stores.suite import StoreSuite, with_store


def link(seq: int, **fields: object) -> AuditEvent:
    """An event with a place in the chain."""
    return an_event(seq=seq, mac=f"{seq:064x}", **fields)


class ChainConformance(StoreSuite):
    @with_store
    async def test_no_event_no_head(self, store: Store) -> None:
        assert await store.head() is None
        assert list(await store.chain()) == []
        assert await store.event_count() == 0

    @with_store
    async def test_the_chain_is_read_by_number_through_all_workspaces(self, store: Store) -> None:
        links = [link(seq, workspace="other" if seq % 3 == 0 else WORKSPACE) for seq in range(1, 12)]
        await store.commit(tuple(Append(event) for event in reversed(links)))
        seen: list[AuditEvent] = []
        while page := await store.chain(after=seen[-1].seq if seen else 0, limit=4):
            seen += page
            assert len(seen) <= len(links), "a page begins after the last record of the one before"
        assert seen == links
        assert await store.event_count() == 11

    @with_store
    async def test_an_event_without_a_link_is_counted_and_not_in_the_chain(self, store: Store) -> None:
        await store.commit((Append(an_event()), Append(link(1))))
        assert [event.seq for event in await store.chain()] == [1]
        assert await store.event_count() == 2

    @with_store
    async def test_what_finishes_a_commit_sees_it_whole_and_adds_to_it(self, store: Store) -> None:
        event = an_event()
        seen: list[tuple[Head | None, list[AuditEvent]]] = []

        def finish(draft: Draft) -> None:
            head = draft.get(Head, CURRENT)
            seen.append((head, list(draft.appended)))
            number = head.seq + 1 if head else 1
            for appended in draft.appended:
                draft.put(replace(appended, seq=number, mac=f"{number:064x}"))
            draft.put(Head(number, f"{number:064x}"))

        await store.commit((Append(event),), finish)
        assert seen == [(None, [event])]
        assert await store.head() == Head(1, f"{1:064x}")
        assert list(await store.chain()) == [replace(event, seq=1, mac=f"{1:064x}")]

        await store.commit((Append(an_event()),), finish)
        assert seen[-1][0] == Head(1, f"{1:064x}")
        assert [found.seq for found in await store.chain()] == [1, 2]

    @with_store
    async def test_a_refused_changeset_is_not_finished(self, store: Store) -> None:
        gone = a_credential()
        with pytest.raises(StaleVersionError):
            await store.commit(
                (Append(an_event()), ExpectCredential(WORKSPACE, gone.id)), lambda draft: draft.put(Head(1, "a" * 64))
            )
        assert (await store.head(), await store.event_count()) == (None, 0)

    @with_store
    async def test_what_raises_while_it_finishes_ends_the_commit(self, store: Store) -> None:
        def finish(_: Draft) -> None:
            raise StaleVersionError

        with pytest.raises(StaleVersionError):
            await store.commit((AddCredential(a_credential()), Append(an_event())), finish)
        assert (list(await store.credentials(WORKSPACE)), await store.event_count()) == ([], 0)

    @with_store
    async def test_the_last_acknowledged_head_is_remembered_apart(self, store: Store) -> None:
        assert await store.acknowledged() is None
        await store.commit((Append(link(1)),), lambda draft: draft.put(Head(1, f"{1:064x}")))
        assert await store.acknowledged() == Head(1, f"{1:064x}")
        await store.vouch()
        assert await store.acknowledged() == Head(1, f"{1:064x}")

    @with_store
    async def test_events_are_filtered_by_all_that_is_asked_for(self, store: Store) -> None:
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

    @with_store
    async def test_a_link_comes_back_exactly(self, store: Store) -> None:
        event = link(2**40, details={"count": 3})
        await store.commit((Append(event),))
        assert list(await store.chain(after=2**40 - 1)) == [event]
        assert list(await store.events(WORKSPACE)) == [event]
        assert replace(event, mac="") != event

    @pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
    @with_store
    async def test_an_event_is_refused_again_whatever_came_before_and_after_it(
        self, store: Store, order: tuple[int, ...]
    ) -> None:
        events = [an_event(id=EventId(f"event:E{number}"), seq=number) for number in order]
        for event in events:
            await store.commit((Append(event),))
        for event in events:
            with pytest.raises(DuplicateError):
                await store.commit((Append(event),))
            with pytest.raises(DuplicateError):
                await store.commit((Append(an_event(id=EventId("event:E9"), seq=9)), Append(event)))
        assert len(await store.events(WORKSPACE)) == len(events)
        await store.commit((Append(an_event(id=EventId("event:E9"), seq=9)),))
