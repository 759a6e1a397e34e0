"""What every store promises about records that are removed because they were kept long enough."""

from datetime import date, timedelta

from keycairn.domain.audit import Head
from keycairn.domain.change import AddUsage, Append, DropEvent, DropToken, DropUsage, PutToken, RecordUse
from keycairn.domain.record import record_key
from keycairn.domain.usage import Usage
from keycairn.ports.store import Store
from keycairn.testing.stores.samples import THEN, WORKSPACE, a_token, a_usage_key, an_event
from keycairn.testing.stores.suite import StoreSuite, with_store

DAY = date(2026, 1, 2)


class RetentionConformance(StoreSuite):
    @with_store
    async def test_events_go_in_the_changeset_that_tells_of_it(self, store: Store) -> None:
        old, young, theirs = an_event(seq=1), an_event(seq=3), an_event(seq=2, workspace="theirs")
        await store.commit(tuple(map(Append, (old, theirs, young))))
        teller = an_event(seq=4)
        await store.commit(
            (DropEvent(old.id), DropEvent(theirs.id), Append(teller)), lambda draft: draft.put(Head(4, "a"))
        )
        assert list(await store.chain()) == [young, teller]
        assert list(await store.events("theirs")) == []
        assert await store.event_count() == 2
        assert await store.acknowledged() == Head(4, "a")

    @with_store
    async def test_sums_of_days_before_one_are_found_in_all_workspaces_and_removed(self, store: Store) -> None:
        old = [
            a_usage_key(DAY - timedelta(days=age), workspace=place) for age in (1, 400) for place in (WORKSPACE, "b")
        ]
        kept = a_usage_key(DAY)
        await store.commit(tuple(AddUsage(key, Usage(requests=1)) for key in (*old, kept)))
        assert len(await store.usage_before(DAY, limit=3)) == 3
        assert sorted(map(repr, await store.usage_before(DAY))) == sorted(map(repr, old))
        await store.commit((*map(DropUsage, old), Append(an_event())))
        assert list(await store.usage_before(DAY + timedelta(days=1))) == [kept]
        assert await store.usage("b", since=date.min, until=date.max) == {}

    @with_store
    async def test_tokens_of_all_workspaces_are_listed_and_removed(self, store: Store) -> None:
        tokens = [a_token(revoked=THEN), a_token(workspace="b"), a_token()]
        await store.commit(tuple(map(PutToken, tokens)))
        assert list(await store.all_tokens()) == tokens
        await store.commit((DropToken(tokens[0].id), RecordUse(tokens[0].id, THEN)))
        assert list(await store.all_tokens()) == tokens[1:]
        assert await store.token(tokens[0].id) is None

    @with_store
    async def test_removing_what_is_gone_or_never_was_is_a_no_op(self, store: Store) -> None:
        event, token, key = an_event(seq=1), a_token(), a_usage_key(DAY)
        before = await store.revision()
        for _ in range(2):
            await store.commit((DropEvent(event.id), DropToken(token.id), DropUsage(key)))
        assert await store.event_count() == 0
        assert await store.revision() > before

    @with_store
    async def test_what_was_removed_can_be_stored_again_and_is_in_no_snapshot_meanwhile(self, store: Store) -> None:
        event, token, key = an_event(seq=1), a_token(), a_usage_key(DAY)
        put = (Append(event), PutToken(token), AddUsage(key, Usage(requests=2)))
        await store.commit(put)
        await store.commit((DropEvent(event.id), DropToken(token.id), DropUsage(key)))
        async with store.snapshot() as records:
            assert [record async for record in records] == []
        await store.commit(put)
        async with store.snapshot() as records:
            keys = [record_key(record) async for record in records]
        assert len(keys) == 3
        assert await store.usage(WORKSPACE, since=DAY, until=DAY) == {key: Usage(requests=2)}

    @with_store
    async def test_what_one_changeset_adds_and_removes_is_not_there(self, store: Store) -> None:
        key = a_usage_key(DAY)
        await store.commit((AddUsage(key, Usage(requests=2)), DropUsage(key)))
        assert await store.usage(WORKSPACE, since=DAY, until=DAY) == {}
        await store.commit((DropUsage(key), AddUsage(key, Usage(requests=1))))
        assert await store.usage(WORKSPACE, since=DAY, until=DAY) == {key: Usage(requests=1)}
