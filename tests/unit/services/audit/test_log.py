"""The audit chain: whatever happens to the events is noticed."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from tests.fakes import FakeIds
from tests.house import House
from tests.samples import an_event

from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.audit.chain import FlawKind
from keycairn.domain.audit import IN_PROCESS, Action, AuditEvent, Head
from keycairn.domain.change import Append
from keycairn.domain.errors import InvalidInputError, SealedError
from keycairn.domain.ids import key_of
from keycairn.domain.token import Scope


async def busy(events: int = 6) -> tuple[House, Keycairn, MemoryStore]:
    """A Keycairn with that many events."""
    house = House()
    kc = await house.open()
    for number in range(events - 1):
        await kc.tokens.create(f"t{number}", (Scope.INVOKE,))
    assert isinstance(house.store, MemoryStore)
    return house, kc, house.store


def events_of(store: MemoryStore) -> dict[str, AuditEvent]:
    return store.state.tables["event"]  # type: ignore[return-value]  # by key


async def test_every_change_adds_one_link_and_the_chain_holds() -> None:
    _, kc, store = await busy()
    report = await kc.audit.verify()
    assert report.intact
    assert (report.events, report.head, report.anchor) == (6, 6, 6)
    assert [event.seq for event in await store.chain()] == [1, 2, 3, 4, 5, 6]
    assert await store.acknowledged() == await store.head()


async def test_a_hundred_writers_make_one_chain() -> None:
    _, kc, store = await busy(1)
    await asyncio.gather(*(kc.tokens.create(f"t{number}", (Scope.INVOKE,)) for number in range(100)))
    assert (await kc.audit.verify()).intact
    assert len(await store.chain()) == 101


async def test_two_processes_on_one_database_make_one_chain() -> None:
    house, kc, store = await busy(1)
    other = House(store=store, ids=house.ids)
    theirs = await other.open()
    await asyncio.gather(
        *(each.tokens.create(f"t{number}", (Scope.INVOKE,)) for number in range(20) for each in (kc, theirs))
    )
    assert [event.seq for event in await store.chain()] == list(range(1, 42))
    assert (await kc.audit.verify()).intact


def edited(store: MemoryStore) -> None:
    event = next(event for event in events_of(store).values() if event.seq == 3)
    events_of(store)[key_of(event.id)] = replace(event, actor="someone-else")


def renumbered(store: MemoryStore) -> None:
    for event in list(events_of(store).values()):
        if event.seq in {3, 4}:
            events_of(store)[key_of(event.id)] = replace(event, seq=7 - event.seq)


def removed(store: MemoryStore) -> None:
    del events_of(store)[next(key_of(event.id) for event in events_of(store).values() if event.seq == 3)]


def truncated(store: MemoryStore) -> None:
    for event in list(events_of(store).values()):
        if event.seq > 4:
            del events_of(store)[key_of(event.id)]


def truncated_with_its_head(store: MemoryStore) -> None:
    truncated(store)
    last = max(events_of(store).values(), key=lambda event: event.seq)
    store.state.put(Head(last.seq, last.mac, last.state))


def slipped_in(store: MemoryStore) -> None:
    event = next(iter(events_of(store).values()))
    stranger = replace(event, id="event:STRANGER", seq=0, mac="")
    events_of(store)[key_of(stranger.id)] = stranger


def forged_at_the_end(store: MemoryStore) -> None:
    last = max(events_of(store).values(), key=lambda event: event.seq)
    forged = replace(last, id="event:FORGED", seq=7, mac="f" * 64)
    events_of(store)[key_of(forged.id)] = forged
    store.state.put(Head(7, forged.mac))


def wiped(store: MemoryStore) -> None:
    events_of(store).clear()
    store.state.tables["head"].clear()


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (edited, {FlawKind.ALTERED}),
        (renumbered, {FlawKind.ALTERED}),
        (removed, {FlawKind.MISSING}),
        (truncated, {FlawKind.MISSING, FlawKind.LOST}),
        (truncated_with_its_head, {FlawKind.LOST, FlawKind.ROLLED_BACK}),
        (slipped_in, {FlawKind.FOREIGN}),
        (forged_at_the_end, {FlawKind.ALTERED}),
        (wiped, {FlawKind.LOST, FlawKind.ROLLED_BACK}),
    ],
)
async def test_harm_is_noticed(harm: Callable[[MemoryStore], None], kinds: set[FlawKind]) -> None:
    _, kc, store = await busy()
    harm(store)
    report = await kc.audit.verify()
    assert not report.intact
    assert {flaw.kind for flaw in report.flaws} == kinds
    assert all(flaw.detail.endswith(".") for flaw in report.flaws)


async def test_an_event_that_was_moved_to_another_workspace_is_noticed() -> None:
    _, kc, store = await busy()
    event = next(event for event in events_of(store).values() if event.seq == 2)
    events_of(store)[key_of(event.id)] = replace(event, workspace="hidden")
    assert [(flaw.kind, flaw.first) for flaw in (await kc.audit.verify()).flaws] == [(FlawKind.ALTERED, 2)]


async def test_a_database_that_is_older_than_what_was_acknowledged_is_found_at_the_start_and_stays_on_record() -> None:
    house, _, store = await busy()
    truncated_with_its_head(store)
    again = House(store=store, ids=house.ids)
    flaw = await again.keycairn.audit.compare()
    assert flaw is not None
    assert (flaw.kind, flaw.first, flaw.last) == (FlawKind.LOST, 5, 6)
    assert store.acknowledged_head is not None
    assert store.acknowledged_head.seq == 6, "the proof is still there"

    kc = await again.open()
    await kc.audit.record(flaw)
    assert await kc.audit.compare() is None, "said once"
    lost = [found.detail for found in (await kc.audit.verify()).flaws if found.kind is FlawKind.LOST]
    assert "2 records" in lost[0], "the tokens that the log knows nothing of"
    assert "5 to 6" in lost[1], "and on record for good"


async def test_a_database_ahead_of_the_anchor_was_cut_off_between_two_steps_and_lost_nothing() -> None:
    _, kc, store = await busy()
    fourth = next(event for event in events_of(store).values() if event.seq == 4)
    store.acknowledged_head = Head(4, fourth.mac)
    assert await kc.audit.compare() is None


async def test_another_history_of_the_same_length_is_noticed() -> None:
    _, kc, store = await busy()
    store.acknowledged_head = Head(6, "e" * 64)
    flaw = await kc.audit.compare()
    assert flaw is not None
    assert flaw.kind is FlawKind.ALTERED


async def test_after_a_lost_keyset_the_new_chain_is_checked_and_the_old_one_called_unproven() -> None:
    _, kc, store = await busy()
    for event in list(events_of(store).values()):
        events_of(store)[key_of(event.id)] = replace(event, mac="0" * 64)  # as under a key that is gone
    last = max(events_of(store).values(), key=lambda event: event.seq)
    store.state.put(Head(last.seq, last.mac, last.state))
    kc.journal.follow(await store.head())
    await kc.journal.commit((kc.journal.event(IN_PROCESS, Action.KEYSET_CREATED, "install"),))
    await kc.tokens.create("after", (Scope.INVOKE,))
    flaws = (await kc.audit.verify()).flaws
    assert [(flaw.kind, flaw.first, flaw.last) for flaw in flaws] == [(FlawKind.UNPROVEN, 1, 6)]


async def test_a_sealed_keycairn_changes_nothing() -> None:
    house = House()
    kc = await house.open(None)
    with pytest.raises(SealedError, match="root key"):
        await kc.journal.commit((kc.journal.event(IN_PROCESS, Action.TOKEN_CREATED, "token:x"),))
    assert await house.store.event_count() == 0


async def test_a_refused_change_leaves_no_event_and_moves_no_head() -> None:
    _, kc, store = await busy()
    before = await store.head()
    with pytest.raises(InvalidInputError):
        await kc.journal.commit((kc.journal.event(IN_PROCESS, Action.TOKEN_CREATED, "nul\0"),))
    assert (await store.head(), await store.event_count()) == (before, 6)


async def test_a_caller_that_goes_away_leaves_a_whole_chain() -> None:
    _, kc, _ = await busy(1)
    for _ in range(20):
        task = asyncio.create_task(kc.tokens.create("t", (Scope.INVOKE,)))
        await asyncio.sleep(0)
        task.cancel()
    await kc.tokens.create("last", (Scope.INVOKE,))
    assert (await kc.audit.verify()).intact


async def test_an_event_given_to_the_store_past_the_journal_is_foreign() -> None:
    _, kc, store = await busy()
    await store.commit((Append(an_event()),))
    assert [flaw.kind for flaw in (await kc.audit.verify()).flaws] == [FlawKind.FOREIGN]


async def test_who_follows_the_log_misses_nothing_when_the_clock_is_set_back() -> None:
    """After a restart on the day before, ids sort before those of the events that were read already."""
    house = House(ids=FakeIds())
    house.ids.count = 1_000
    kc = await house.open()
    await kc.tokens.create("before", (Scope.INVOKE,))
    read = await kc.audit.events()

    again = House(store=house.store, ids=FakeIds())
    kc = await again.open()
    again.clock.tick(-86_400)
    for name in ("one", "two", "three"):
        await kc.tokens.create(name, (Scope.INVOKE,))

    followed = await kc.audit.events(after=read[-1].seq)
    assert [event.action for event in followed] == [Action.TOKEN_CREATED] * 3
    assert all(event.id < read[0].id for event in followed)
    assert [*read, *followed] == list(await kc.audit.events())


async def test_the_watch_finds_what_was_damaged_while_the_service_runs_and_says_it_once() -> None:
    _, kc, store = await busy()
    await kc.audit_watch.look()
    assert not kc.audit_watch.flaws
    events = events_of(store)
    key = next(key for key, event in events.items() if event.seq == 3)
    events[key] = replace(events[key], actor="somebody")
    with capture_logs() as logs:
        await kc.audit_watch.look()
        await kc.audit_watch.look()
    [flaw] = kc.audit_watch.flaws
    assert flaw.kind is FlawKind.ALTERED
    [line] = [log for log in logs if log["log_level"] == "error"]
    assert line["found"] == ["Event 3 was changed, or is not in its place."]


async def test_the_watch_looks_again_and_again() -> None:
    _, kc, store = await busy()
    task = asyncio.create_task(kc.audit_watch.run(shared=True, first=0.0))
    events = events_of(store)
    key = next(key for key, event in events.items() if event.seq == 2)
    events[key] = replace(events[key], actor="somebody")
    for _ in range(200):
        await asyncio.sleep(0.01)
        if kc.audit_watch.flaws:
            break
    task.cancel()
    assert kc.audit_watch.flaws
