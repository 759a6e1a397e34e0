"""A slice of each torture; `make torture` runs all of it."""

from pathlib import Path

import pytest
from tests.torture.damage import FILES, Damages
from tests.torture.disks import OPERATIONS, FullDisks, Operation
from tests.torture.kills import KINDS, Killer, Work
from tests.torture.restores import Restores
from tests.torture.schedules import Schedules

pytestmark = pytest.mark.timeout(400)
"""Seconds; on a machine with nothing else to do each takes a few."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_killed_process_loses_nothing_and_leaves_nothing_half_done(kind: type[Work], tmp_path: Path) -> None:
    Killer(kind, tmp_path).run(1)


def test_a_killed_restore_is_whole_or_not_there(tmp_path: Path) -> None:
    Restores(tmp_path).run(1)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_full_disk_refuses_or_accepts_and_never_halves(operation: Operation, tmp_path: Path) -> None:
    FullDisks(operation, tmp_path, first=1).run(2)


@pytest.mark.parametrize("files", FILES)
def test_a_damaged_file_is_noticed_or_harmless(files: str, tmp_path: Path) -> None:
    damages = Damages(files, tmp_path, killed=True)
    damages.run(3)
    assert sum(damages.seen.values()) == 3


def test_changes_that_meet_do_what_they_do_one_after_the_other(tmp_path: Path) -> None:
    schedules = Schedules(tmp_path)
    schedules.run(100)
    assert schedules.seen["done"] > 100
