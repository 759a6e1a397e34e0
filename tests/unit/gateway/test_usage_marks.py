"""Limits of use hold where rows of usage are taken out of the database: the audit log tells what was used."""

from datetime import timedelta

import pytest
from tests.house import House

from keycairn.app.gateway.accounting import Accounting
from keycairn.app.gateway.limits import Limiter, Subject
from keycairn.app.gateway.usage_marks import UsageMarks
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.audit import AuditCounters
from keycairn.domain.audit import Action
from keycairn.domain.change import AddUsage, DropUsage
from keycairn.domain.limits import Limits
from keycairn.domain.usage import Usage, UsageKey

TOKEN, CREDENTIAL = "token:one", "credential:one"


class Process:
    """A process that counts what is used, until it ends."""

    def __init__(self, kc: Keycairn) -> None:
        self.kc = kc
        self.marks = UsageMarks(kc.store, AuditCounters(kc.journal, kc.clock))
        self.books = Accounting(kc.store, self.marks)

    def key(self, days_ago: int = 0) -> UsageKey:
        day = self.kc.clock.now().date() - timedelta(days=days_ago)
        return UsageKey(day=day, workspace="default", token=TOKEN, credential=CREDENTIAL, model="model:a")

    async def use(self, tokens: int, nanos: int = 0) -> None:
        self.books.add(self.key(), Usage(requests=1, input_tokens=tokens, nanos=nanos), 12)
        await self.books.flush()
        await self.marks.flush()

    async def allows(self, subject: Subject) -> bool:
        async def family(id: str, _workspace: str) -> frozenset[str]:
            return frozenset({id})

        limiter = Limiter(self.books.between, self.kc.clock, family)
        await limiter.prepare(subject)
        return limiter.refusal(subject) is None


@pytest.fixture
async def kc() -> Keycairn:
    return await House().open()


SUBJECTS = {
    "tokens of a token": Subject("token", TOKEN, "default", Limits(tokens_per_day=100)),
    "money of a token": Subject("token", TOKEN, "default", Limits(micros_per_day=5)),
    "a month's money of a token": Subject("token", TOKEN, "default", Limits(micros_per_month=5)),
    "tokens of a credential": Subject("credential", CREDENTIAL, "default", Limits(tokens_per_day=100)),
}


@pytest.mark.parametrize("gone", ["all", "part", "none"])
async def test_what_was_used_up_stays_so_whatever_rows_are_left(kc: Keycairn, gone: str) -> None:
    before = Process(kc)
    for _ in range(2):
        await before.use(60, 3000)
    if gone != "none":
        await kc.store.commit((DropUsage(before.key()),))
    if gone == "part":
        await kc.store.commit((AddUsage(before.key(), Usage(requests=1, input_tokens=60, nanos=3000)),))
    for what, subject in SUBJECTS.items():
        assert not await Process(kc).allows(subject), what
    sums = await Process(kc).books.between("default", before.key().day, before.key().day)
    assert sum(one.input_tokens for one in sums.values()) == 120, "nothing counts twice"


async def test_what_is_left_of_a_limit_is_left(kc: Keycairn) -> None:
    before = Process(kc)
    await before.use(60, 3000)
    await kc.store.commit((DropUsage(before.key()),))
    after = Process(kc)
    for what, subject in SUBJECTS.items():
        assert await after.allows(subject), what
    await after.use(60, 3000)
    for what, subject in SUBJECTS.items():
        assert not await after.allows(subject), what


async def test_an_event_tells_several_sums_and_is_written_only_where_something_was_used(kc: Keycairn) -> None:
    process = Process(kc)
    events = len(await kc.audit.events())
    await process.use(0)
    assert len(await kc.audit.events()) == events
    await process.use(7)
    [*_, last] = await kc.audit.events()
    assert (last.action, last.details) == (
        Action.USAGE_COUNTED,
        {"used": [f"{process.key().day} {TOKEN} {CREDENTIAL} 7 0"]},
    )
    assert (await kc.audit.verify()).flaws == ()
