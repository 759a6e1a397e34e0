"""Going along a chain: what an event costs does not grow with what the events before it told."""

from statistics import median
from time import thread_time

from tests.samples import an_event

from keycairn.app.services.audit.chain import Walk
from keycairn.domain.audit import Action, AuditEvent, Head

ROUNDS = 30


def chain(sizes: list[int]) -> list[AuditEvent]:
    """A chain of events that tell of so many records each, all of them others, its MACs being the numbers."""
    told = 0
    events = []
    for seq, size in enumerate(sizes, 1):
        proofs = {f"model:M{number}": "d" for number in range(told, told + size)}
        told += size
        events.append(an_event(seq=seq, mac="m", proofs=proofs))
    return events


def cost_of_an_event(told_before: int) -> float:
    """The median, in milliseconds of the processor, behind events that told of so many records."""
    walk = Walk(lambda _: "m")
    first, *later = chain([told_before, *(10 for _ in range(ROUNDS))])
    walk.over([first])
    costs = []
    for event in later:
        before = thread_time()
        walk.over([event])
        costs.append(thread_time() - before)
    assert walk.seq == ROUNDS + 1
    assert not walk.flaws
    assert len(walk.certain) == told_before + ROUNDS * 10
    return median(costs) * 1000


def test_an_event_costs_the_same_however_many_records_were_told_of_before() -> None:
    few, many = cost_of_an_event(100), cost_of_an_event(100_000)
    assert many < 5 * few + 0.2


def test_what_events_say_is_kept_while_a_record_is_told_of_again() -> None:
    walk = Walk(lambda _: "m")
    refused = an_event(action=Action.RECORDS_REFUSED, seq=1, mac="m", proofs={"model:A": None, "model:B": None})
    walk.over([refused, an_event(seq=2, mac="m", proofs={"model:A": "d"})])
    walk.ends_at(Head(2, "m"))
    assert walk.refused == {"model:B"}
    assert walk.latest == {"model:A": "d", "model:B": None}
