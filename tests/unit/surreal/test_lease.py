"""Leases hold by each process's own clock, and are known to be over by that of whoever waits for it."""

from tests.fakes import FakeClock

from keycairn.adapters.surreal.lease import EVERY, FORGOTTEN_AFTER, LASTS, Lease, LeaseRow


class Table:
    """What the database has, and which revision took something away last."""

    def __init__(self) -> None:
        self.rows: dict[str, LeaseRow] = {}
        self.taken = 0

    def renew(self, lease: Lease, seen: int, *, answers: bool = True) -> bool:
        """A renewal, granted as the database grants it; whether the lease is known."""
        asked = lease.asking()
        before = self.rows.get(lease.name)
        granted = asked[0] if seen >= self.taken else before.granted if before else 0
        self.rows[lease.name] = LeaseRow(lease.name, seen, granted)
        return answers and lease.observe(self.rows.values(), asked)


def leases(clock: FakeClock, table: Table, number: int) -> list[Lease]:
    made = [Lease(clock.monotonic) for _ in range(number)]
    for lease in made:
        table.renew(lease, 0)
    return made


def test_a_renewal_counts_from_before_it_was_sent() -> None:
    clock, table = FakeClock(), Table()
    lease = Lease(clock.monotonic)
    held = [lease.is_held]
    asked = lease.asking()
    clock.tick(LASTS / 2)  # the answer is slow
    lease.observe([LeaseRow(lease.name, 0, asked[0])], asked)
    held.append(lease.is_held)
    clock.tick(LASTS / 2)
    held.append(lease.is_held)
    assert table.renew(lease, 0)
    held.append(lease.is_held)
    assert held == [False, True, False, True]


def test_whoever_has_not_seen_what_was_taken_is_granted_nothing_until_it_has() -> None:
    clock, table = FakeClock(), Table()
    [lease] = leases(clock, table, 1)
    clock.tick(EVERY)
    table.taken = 7
    table.renew(lease, 6)
    clock.tick(LASTS - EVERY)
    assert not lease.is_held, "the renewal before holds until its own end only"
    table.renew(lease, 7)
    assert lease.is_held


def test_an_answer_that_never_came_extends_nothing() -> None:
    clock, table = FakeClock(), Table()
    [lease] = leases(clock, table, 1)
    clock.tick(EVERY)
    table.renew(lease, 0, answers=False)
    clock.tick(LASTS - EVERY)
    assert not lease.is_held


def test_an_instance_that_stands_still_may_serve_no_longer_when_its_lease_has_passed_here() -> None:
    clock, table = FakeClock(), Table()
    one, still = leases(clock, table, 2)
    one.observe(table.rows.values())
    row = table.rows[still.name]
    assert one.may_serve(row)
    clock.tick(LASTS)
    assert not one.may_serve(row)
    assert not still.is_held
    table.renew(still, 0)
    assert one.may_serve(table.rows[still.name]), "it is back"


def test_a_row_that_is_gone_is_told_and_its_instance_begins_anew_as_the_youngest() -> None:
    clock, table = FakeClock(), Table()
    one, other = leases(clock, table, 2)
    name = one.name
    clock.tick(FORGOTTEN_AFTER + 1)
    table.renew(other, 0)
    other.observe(table.rows.values())
    assert other.forgotten == {name: table.rows[name].granted}
    del table.rows[name]
    assert not one.observe(table.rows.values(), one.asking())
    one.rename()
    assert one.name > other.name
    assert not one.is_held


def test_at_every_moment_one_instance_leads_at_the_most_and_the_oldest_that_lives_in_the_end() -> None:
    clock, table = FakeClock(), Table()
    instances = leases(clock, table, 3)
    for turn in range(60):
        for number, lease in enumerate(instances):
            if not (number == 0 and turn >= 20):  # the first one stands still from then on
                table.renew(lease, 0)
        assert sum(lease.leads for lease in instances) <= 1
        clock.tick(EVERY / 2)
        if turn == 19:
            assert instances[0].leads
    assert instances[1].leads
    late = Lease(clock.monotonic)
    late.name = "0"  # a clock that is behind makes it the oldest of all
    for _ in range(20):
        for lease in (late, *instances[1:]):
            table.renew(lease, 0)
            assert sum(each.leads for each in (late, *instances)) <= 1
        clock.tick(EVERY / 2)
    assert late.leads
