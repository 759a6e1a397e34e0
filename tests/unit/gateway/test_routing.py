"""Whose turn it is among credentials with the same model."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.samples import THEN, a_credential, a_model

from keycairn.domain.model import Model
from keycairn.domain.routing import Serving, by_conversation, ordered, weighted_order


def serving(**fields: int) -> Serving:
    credential = a_credential()
    return Serving(a_model(name="m", credential=credential.id, **fields), credential)


def test_the_smallest_priority_goes_first_and_models_that_vanished_last() -> None:
    credentials = [a_credential() for _ in range(4)]
    rows = [
        a_model(name="m", credential=credentials[0].id, priority=0, missing_since=THEN),
        a_model(name="m", credential=credentials[1].id, priority=2),
        a_model(name="m", credential=credentials[2].id, priority=1),
        a_model(name="m", credential=credentials[3].id, priority=2),
    ]

    assert ordered(rows, None) == [rows[2], rows[1], rows[3], rows[0]]


def test_equals_share_in_proportion_to_their_weights() -> None:
    three, one, none = serving(weight=3), serving(), serving(weight=0)
    draw = Random(7).random  # noqa: S311  # a share of calls, the same in every run

    first = Counter(weighted_order([three, one, none], lambda _: draw())[0].credential.id for _ in range(4000))

    assert 2.7 < first[three.credential.id] / first[one.credential.id] < 3.3
    assert none.credential.id not in first


def test_conversations_share_in_proportion_to_the_weights_too() -> None:
    three, one = serving(weight=3), serving()
    first = Counter(weighted_order([three, one], by_conversation(b"%d" % n))[0].credential.id for n in range(4000))
    assert 2.7 < first[three.credential.id] / first[one.credential.id] < 3.3


def test_an_account_that_comes_takes_its_share_and_moves_nothing_else() -> None:
    before = [serving() for _ in range(4)]
    new = serving()
    moved = set()
    for n in range(400):
        draw = by_conversation(b"%d" % n)
        was, now = weighted_order(before, draw)[0], weighted_order([*before, new], draw)[0]
        if was is not now:
            moved.add(now.credential.id)
    assert moved == {new.credential.id}


def test_a_weight_of_nothing_still_serves_before_a_later_priority() -> None:
    reserve, later = serving(weight=0), serving(priority=1, weight=1000)

    assert weighted_order([later, reserve], lambda _: 0.999) == [reserve, later]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=6), st.randoms())
def test_a_draw_leaves_nobody_out_and_keeps_priorities(shares: list[tuple[int, int]], random: Random) -> None:
    candidates = [serving(priority=priority, weight=weight) for priority, weight in shares]

    order = weighted_order(candidates, lambda _: random.random())

    priorities = [_model(one).priority for one in order]
    assert priorities == sorted(priorities)
    assert Counter(one.credential.id for one in order) == Counter(one.credential.id for one in candidates)


def _model(one: Serving) -> Model:
    assert one.model is not None
    return one.model
