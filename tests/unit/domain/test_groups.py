"""Groups answer as a mapping of sets would, and a copy of them never changes the original."""

import random

import pytest

from keycairn.domain.groups import Groups

KEYS, ITEMS = "abc", "123456"


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_as_a_mapping_of_sets_through_any_copies(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # a test's dice
    groups: Groups[str, str] = Groups()
    wanted: dict[str, set[str]] = {key: set() for key in KEYS}
    for _ in range(200):
        before, was = groups, {key: set(groups.of(key)) for key in KEYS}
        if chance.random() < 0.3:
            groups = groups.copy()
        key, items = chance.choice(KEYS), chance.sample(ITEMS, chance.randrange(1, 4))
        if chance.random() < 0.5:
            groups.add(key, *items)
            wanted[key] |= set(items)
        else:
            groups.discard(key, *items)
            wanted[key] -= set(items)
        assert {key: set(groups.of(key)) for key in KEYS} == wanted
        assert groups is before or {key: set(before.of(key)) for key in KEYS} == was


def test_a_large_group_is_not_made_anew_for_each_change() -> None:
    groups: Groups[str, str] = Groups()
    groups.add("a", "1", "2", "3")
    group = groups.of("a")
    groups.add("a", "4")
    groups.discard("a", "1")
    assert groups.of("a") is group
    copy = groups.copy()
    copy.add("a", "5")
    taken = copy.of("a")
    copy.add("a", "6")
    assert copy.of("a") is taken
    assert sorted(group) == ["2", "3", "4"]
