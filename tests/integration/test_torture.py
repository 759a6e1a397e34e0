"""A slice of each torture; `make torture` runs all of it."""

from pathlib import Path

import pytest
from tests.nights import by_day
from tests.servers.surreal_server import needs_binary
from tests.torture import moments
from tests.torture.damage import FILES, Damages
from tests.torture.disks import OPERATIONS, FullDisks, Operation
from tests.torture.failures import WORKING, FailingDisks
from tests.torture.kills import KINDS, Killer, Work
from tests.torture.leftovers import CASES, Leftovers
from tests.torture.readonly import READ_ONLY, ReadOnly
from tests.torture.restores import Restores
from tests.torture.schedules import Schedules
from tests.torture.servers import SERVERS, ServerKills
from tests.torture.steps import WALKS, Steps, Walk

pytestmark = pytest.mark.timeout(400)
"""Seconds; on a machine with nothing else to do each takes a few."""


@pytest.mark.parametrize("kind", by_day(KINDS, one_in=12), ids=lambda kind: kind.__name__)
def test_a_killed_process_loses_nothing_and_leaves_nothing_half_done(kind: type[Work], tmp_path: Path) -> None:
    Killer(kind, tmp_path).run(1)


def test_a_killed_restore_is_whole_or_not_there(tmp_path: Path) -> None:
    Restores(tmp_path).run(1)


@pytest.mark.parametrize("operation", by_day(OPERATIONS, one_in=16), ids=lambda operation: operation.name)
def test_a_full_disk_refuses_or_accepts_and_never_halves(operation: Operation, tmp_path: Path) -> None:
    FullDisks(operation, tmp_path, first=1).run(2)


@pytest.mark.parametrize("files", by_day(FILES, one_in=14))
def test_a_damaged_file_is_noticed_or_harmless(files: str, tmp_path: Path) -> None:
    damages = Damages(files, tmp_path, killed=True)
    damages.run(2)
    assert sum(damages.seen.values()) == 2


@needs_binary
@pytest.mark.night
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.__name__)
def test_a_killed_server_loses_nothing_and_what_one_lost_is_put_back(kind: type[ServerKills], tmp_path: Path) -> None:
    kind(tmp_path).run(1)


def test_changes_that_meet_do_what_they_do_one_after_the_other(tmp_path: Path) -> None:
    schedules = Schedules(tmp_path)
    schedules.run(100)
    assert schedules.seen["done"] > 100


@pytest.mark.parametrize("walk", by_day(WALKS, one_in=16), ids=lambda walk: walk.name)
def test_an_operation_killed_at_one_of_its_calls_is_whole_or_not_there(walk: Walk, tmp_path: Path) -> None:
    first = moments(walk.name).randrange(8)
    steps = Steps(walk, tmp_path, first=first)
    steps.run(first + 1)
    assert steps.seen["killed"] == 1


@pytest.mark.parametrize("operation", by_day(WORKING, one_in=12), ids=lambda operation: operation.name)
def test_calls_that_fail_refuse_or_accept_and_never_halve(operation: Operation, tmp_path: Path) -> None:
    FailingDisks(operation, tmp_path).run(2)


def test_a_data_folder_whose_parts_do_not_go_together_is_told_or_harmless(tmp_path: Path) -> None:
    first = moments("left-overs").randrange(len(CASES))
    Leftovers(tmp_path, first=first).run(first + 2)


@pytest.mark.parametrize("way", by_day(READ_ONLY, one_in=6))
def test_a_disk_that_cannot_be_written_refuses_and_goes_on(way: str) -> None:
    read_only = ReadOnly(way, first=READ_ONLY.index(way) % 2)
    read_only.run(read_only.done + 1)
    if any(what.startswith("not tried") for what in read_only.seen):
        pytest.skip("nothing can be mounted here: that needs root")


def test_rows_that_were_torn_from_their_indexes_are_seen_again(tmp_path: Path) -> None:
    """At this page the engine's log ends behind the rows of a transaction and before its last index entries."""
    [operation] = [one for one in OPERATIONS if one.name == "import of 100 rows"]
    FullDisks(operation, tmp_path, first=34).run(35)
