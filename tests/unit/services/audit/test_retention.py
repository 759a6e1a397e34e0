"""What is older than it has to be kept goes, and the chain still proves all that is left."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.fakes import NOON
from tests.house import House
from tests.samples import a_usage_key

from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.audit.chain import FlawKind
from keycairn.app.services.audit.retention import Keep, Removed, Retention
from keycairn.domain.audit import IN_PROCESS, SYSTEM, Action, AuditEvent, EventFilter, Head
from keycairn.domain.change import AddUsage, Changeset, PutToken
from keycairn.domain.ids import TokenId, key_of
from keycairn.domain.token import Scope, Token
from keycairn.domain.usage import Usage
from keycairn.ports.store import Finish

DAY = 24 * 3600.0


class Old:
    """A Keycairn with `old` events from `age` days ago, and one of today."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store: MemoryStore = store or MemoryStore()
        self.house = House(store=self.store)

    async def begin(self, old: int = 250, age: float = 30) -> Keycairn:
        self.kc = await self.house.open()
        await self.write(old - 1)
        self.house.clock.tick(age * DAY)
        await self.write(1)
        self.kc.retention = Retention(self.store, self.kc.journal, self.kc.audit, self.house.clock, pause=0)
        return self.kc

    async def write(self, events: int) -> None:
        for _ in range(events):
            await self.kc.journal.commit((self.kc.journal.event(IN_PROCESS, Action.CREDENTIAL_TESTED, "credential:x"),))

    async def numbers(self) -> list[int]:
        found: list[int] = []
        while page := await self.store.chain(after=found[-1] if found else 0):
            found += [event.seq for event in page]
        return found

    def events(self) -> dict[str, AuditEvent]:
        return self.store.state.tables["event"]  # type: ignore[return-value]  # by key

    def numbered(self, seq: int) -> str:
        return next(key_of(event.id) for event in self.events().values() if event.seq == seq)

    async def flaws(self) -> list[tuple[FlawKind, int, int]]:
        return [(flaw.kind, flaw.first, flaw.last) for flaw in (await self.kc.audit.verify()).flaws]


async def test_old_events_go_and_the_chain_stays_whole() -> None:
    old = Old()
    kc = await old.begin(250)
    assert await kc.retention.apply(Keep(events=10)) == Removed(events=250)
    assert await old.numbers() == [251, 252, 253, 254], "one of today, and three that tell what went"
    report = await kc.audit.verify()
    assert report.intact, report.flaws
    assert (report.events, report.head, report.anchor) == (4, 254, 254)
    assert report.pruned is not None
    assert (report.pruned.first, report.pruned.last) == (201, 250)
    assert await kc.audit.compare() is None


async def test_the_event_says_what_went() -> None:
    old = Old()
    kc = await old.begin(5)
    links = [Head(event.seq, event.mac) for event in await old.store.chain()]
    await kc.retention.apply(Keep(events=10))
    (event,) = await kc.audit.events(matching=EventFilter(action=Action.EVENTS_PRUNED))
    assert event.actor == SYSTEM.actor
    assert event.details == {
        "first": 1,
        "first_mac": links[0].mac,
        "last": 5,
        "mac": links[4].mac,
        "count": 5,
        "before": "2026-01-21",
    }


async def test_nothing_goes_by_default_of_the_service_or_before_its_time() -> None:
    old = Old()
    kc = await old.begin(5, age=30)
    assert await kc.retention.apply(Keep()) == Removed()
    assert await kc.retention.apply(Keep(events=30, usage=31, tokens=31)) == Removed()
    assert await old.numbers() == [1, 2, 3, 4, 5, 6]


async def test_the_newest_event_stays_whatever_its_age() -> None:
    old = Old()
    kc = await old.begin(5)
    old.house.clock.tick(1000 * DAY)
    await kc.retention.apply(Keep(events=1))
    assert 6 in await old.numbers()
    assert (await kc.audit.verify()).intact
    assert await kc.audit.compare() is None


async def test_a_clock_far_ahead_removes_nothing() -> None:
    old = Old()
    kc = await old.begin(5, age=0.01)
    old.house.clock.tick(5000 * DAY)
    assert await kc.retention.apply(Keep(events=100, usage=100, tokens=100)) == Removed()


class Interrupted(MemoryStore):
    """Does something once a commit of a certain number is made."""

    left = 0

    def after(self, commits: int, then: Callable[[], object]) -> None:
        self.left, self.then = commits, then

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        await super().commit(changes, finish)
        self.left -= 1
        if self.left == 0:
            self.then()


@pytest.mark.parametrize("days", [-4000, -25, -1, 1, 25, 4000])
@pytest.mark.parametrize("commits", [1, 2, 3])
async def test_a_clock_that_is_set_while_it_removes_takes_nothing_that_is_young(days: float, commits: int) -> None:
    store = Interrupted()
    old = Old(store)
    kc = await old.begin(250, age=30)
    young = (await old.numbers())[-1]
    store.after(commits, lambda: old.house.clock.tick(days * DAY))
    assert (await kc.retention.apply(Keep(events=10))).events == 250
    for _ in range(3):  # nor does whoever looks again, under whichever clock
        await kc.retention.apply(Keep(events=10))
        assert (await kc.audit.verify()).intact
    kept = await old.numbers()
    assert kept[0] == young or days > 10, "it was written thirty days behind the others, and is kept for ten"
    assert kept == [*range(kept[0], kept[-1] + 1)]
    old.house.clock.tick(-days * DAY)
    await old.write(1)
    assert (await kc.audit.verify()).intact


async def test_removing_goes_on_year_after_year_and_drops_its_own_notes_too() -> None:
    old = Old()
    kc = await old.begin(120)
    for _ in range(6):
        await kc.retention.apply(Keep(events=10))
        assert (await kc.audit.verify()).intact
        old.house.clock.tick(20 * DAY)
        await old.write(150)
    assert len(await old.numbers()) < 320
    assert (await kc.audit.verify()).intact


async def test_an_event_of_the_past_behind_a_young_one_waits_for_it() -> None:
    """The clock was set back: only the beginning of the chain goes, in its order."""
    old = Old()
    kc = await old.begin(3)
    old.house.clock.tick(-29 * DAY)
    await old.write(2)
    old.house.clock.tick(29 * DAY)
    await old.write(1)
    await kc.retention.apply(Keep(events=10))
    assert (await old.numbers())[:3] == [4, 5, 6]


def one_more_gone(old: Old) -> None:
    del old.events()[old.numbered(251)]


def the_next_edited(old: Old) -> None:
    key = old.numbered(251)
    old.events()[key] = replace(old.events()[key], actor="someone-else")


def the_note_gone(old: Old) -> None:
    del old.events()[old.numbered(254)]


def the_note_edited(old: Old) -> None:
    key = old.numbered(254)
    event = old.events()[key]
    old.events()[key] = replace(event, details={**event.details, "last": 251})


def a_forged_note_for_more(old: Old) -> None:
    """Who cannot make MACs takes one event more away, and tells of it in what is now the first."""
    gone, note = old.events().pop(old.numbered(251)), old.events()[old.numbered(254)]
    first = old.numbered(252)
    forged = {**note.details, "last": 251, "mac": gone.mac}
    old.events()[first] = replace(old.events()[first], action=Action.EVENTS_PRUNED, details=forged)


@pytest.mark.parametrize(
    ("harm", "flaws"),
    [
        (one_more_gone, [(FlawKind.MISSING, 251, 251)]),
        (the_next_edited, [(FlawKind.ALTERED, 251, 251)]),
        (the_note_gone, [(FlawKind.MISSING, 201, 250), (FlawKind.MISSING, 254, 254)]),
        (the_note_edited, [(FlawKind.ALTERED, 254, 254)]),
        (a_forged_note_for_more, [(FlawKind.MISSING, 251, 251)]),
    ],
)
async def test_harm_behind_what_went_is_found(
    harm: Callable[[Old], None], flaws: list[tuple[FlawKind, int, int]]
) -> None:
    old = Old()
    kc = await old.begin(250)
    await kc.retention.apply(Keep(events=10))
    harm(old)
    found = await old.flaws()
    assert all(flaw in found for flaw in flaws), found


@pytest.mark.parametrize("seq", [1, 2, 5])
async def test_events_that_go_without_the_note_are_missing(seq: int) -> None:
    old = Old()
    await old.begin(10)
    for number in range(1, seq + 1):
        del old.events()[old.numbered(number)]
    assert await old.flaws() == [(FlawKind.MISSING, 1, seq)]


async def test_nothing_of_a_chain_that_was_tampered_with_goes() -> None:
    old = Old()
    kc = await old.begin(10)
    del old.events()[old.numbered(3)]
    assert await kc.retention.apply(Keep(events=10)) == Removed()
    assert await old.flaws() == [(FlawKind.MISSING, 3, 3)]


async def test_what_strangers_caused_goes_as_well() -> None:
    old = Old()
    kc = await old.begin(1, age=0)
    for number in range(40):
        kc.audit_counters.note(
            replace(IN_PROCESS, actor="anonymous", source=f"192.0.2.{number}"), Action.ACCESS_REFUSED, "api"
        )
    await kc.audit_counters.flush()
    old.house.clock.tick(20 * DAY)
    await old.write(1)
    await kc.retention.apply(Keep(events=10))
    assert not await kc.audit.events(matching=EventFilter(action=Action.ACCESS_REFUSED))


async def test_a_history_from_before_a_lost_keyset_goes_too() -> None:
    old = Old()
    kc = await old.begin(150)
    for key, event in list(old.events().items()):
        old.events()[key] = replace(event, mac="0" * 64)  # as under a key that is gone
    old.store.state.put(Head(151, "0" * 64))
    kc.journal.follow(Head(151, "0" * 64))
    await kc.journal.commit((kc.journal.event(IN_PROCESS, Action.KEYSET_CREATED, "install"),))
    await kc.retention.apply(Keep(events=10))
    assert (await old.numbers())[0] == 151
    assert await old.flaws() == [(FlawKind.UNPROVEN, 1, 151)]
    old.house.clock.tick(40 * DAY)
    await old.write(1)
    await kc.retention.apply(Keep(events=10))
    assert await old.flaws() == []


async def test_sums_of_old_days_go() -> None:
    old = Old()
    kc = await old.begin(1)
    today = old.house.clock.now().date()
    keys = [a_usage_key(today - timedelta(days=age), model=f"m{n}") for n in range(60) for age in (0, 9, 10, 11, 500)]
    await old.store.commit(tuple(AddUsage(key, Usage(requests=1)) for key in keys))
    assert await kc.retention.apply(Keep(usage=10)) == Removed(usage=120)
    left = await old.store.usage("default", since=today - timedelta(days=900), until=today)
    assert {(today - key.day).days for key in left} == {0, 9, 10}
    events = await kc.audit.events(matching=EventFilter(action=Action.USAGE_PRUNED))
    assert sum(int(str(event.details["count"])) for event in events) == 120


async def tokens_left(*tokens: Token) -> set[str]:
    old = Old()
    kc = await old.begin(1, age=30)
    now = old.house.clock.now()
    aged = [
        replace(
            token,
            created=now - timedelta(days=900),
            revoked=now - timedelta(days=20) if token.name.startswith("revoked") else None,
            expires=now - timedelta(days=20) if token.name.startswith("expired") else token.expires,
        )
        for token in tokens
    ]
    await old.store.commit(tuple(map(PutToken, aged)))
    await kc.retention.apply(Keep(tokens=10))
    return {token.name for token in await old.store.all_tokens()}


def token(key: str, name: str, **fields: object) -> Token:
    plain = Token(id=TokenId(f"token:{key}"), name=name, scopes=(Scope.INVOKE,), mac="ab" * 32, created=NOON)
    return replace(plain, **fields)


async def test_tokens_go_once_they_have_been_of_no_use_long_enough() -> None:
    assert await tokens_left(token("A", "revoked"), token("B", "expired"), token("C", "works")) == {"works"}


async def test_the_last_token_stays_so_that_no_start_makes_a_first_one() -> None:
    assert await tokens_left(token("A", "revoked 1"), token("B", "revoked 2")) == {"revoked 2"}
    assert await tokens_left(token("A", "revoked", workspace="theirs"), token("B", "works")) == {"works"}


async def test_a_token_stays_while_one_made_with_it_does() -> None:
    maker, middle = token("A", "revoked maker"), token("B", "revoked middle", maker=TokenId("token:A"))
    child, last = token("C", "child", maker=TokenId("token:B")), token("D", "works")
    assert await tokens_left(maker, middle, child, last) == {"revoked maker", "revoked middle", "child", "works"}
    assert await tokens_left(maker, middle, last) == {"works"}
