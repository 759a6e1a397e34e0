"""What the audit chain makes of an event, however many records it tells of."""

from time import thread_time

import msgspec
import pytest
from msgspec.structs import replace
from tests.samples import an_event

from keycairn.domain.audit import AuditEvent, Head, chained

MANY = 10_000


EVENT = an_event()


def about(names: list[str]) -> AuditEvent:
    return replace(EVENT, seq=2, proofs=dict.fromkeys(names, "0123456789abcdef"), state="0" * 64)


MODELS = [f"model:01K{number:023}" for number in range(MANY)]


@pytest.mark.parametrize(
    "names",
    [MODELS, MODELS[::-1], ["credential:A", *MODELS, "defaults:default"], [*MODELS, "credential:A"]],
    ids=["in order", "backwards", "almost in order", "in order but the last"],
)
def test_an_event_about_thousands_of_records_is_no_work(names: list[str]) -> None:
    event = about(names)
    before = thread_time()
    chained(event, Head(1, "ab"))
    assert thread_time() - before < 0.2  # of the processor; a tenth of a second on a machine that is very busy


def test_the_order_in_which_records_are_told_of_is_none_of_the_chain() -> None:
    names = ["model:b", "credential:\u00e9", "model:a", "model:", "credential:\U0001f600", "model:ab"]
    texts = {chained(about(names[turn:] + names[:turn]), Head(1, "ab")) for turn in range(len(names))}
    [text] = texts
    event = about(names)
    assert text.endswith(b"\n" + msgspec.json.encode([event.proofs, event.state], order="deterministic"))
