"""The tables of what was tortured: a run that does a part leaves what others did."""

from tests.torture.report import tables


def row(group: str, name: str, done: int, broken: int = 0, seed: int = 1) -> dict[str, object]:
    return {"group": group, "name": name, "promise": "p", "done": done, "broken": ["x"] * broken, "seed": seed}


def test_what_a_former_run_did_stays_and_what_is_run_again_takes_its_place() -> None:
    former = tables({"a": row("kills", "one", 1000), "b": row("kills", "two", 5), "c": row("disks", "one", 7)}, "")
    assert "**kills**: 1,005, promises broken: 0 (seed 1)" in former
    assert tables({}, former) == former
    later = tables({"b": row("kills", "two", 6, broken=1, seed=2), "d": row("steps", "one", 3)}, former)
    assert "**kills**: 1,006, promises broken: 1 (seed 1, 2)" in later
    assert "| one | p | 1,000 | 0 |" in later
    assert "| two | p | 6 | 1 |" in later
    assert "**disks**: 7, promises broken: 0 (seed 1)" in later
    assert "**steps**: 3, promises broken: 0 (seed 1)" in later
