"""The redo log finds what was appended, and nothing that was not."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.torture.calls import Calls, Failure

from keycairn.adapters.redo_log import STEP, RedoLog
from keycairn.domain.audit import Head
from keycairn.domain.errors import DamagedAnchorError, StoreError, StoreFullError, UncertainEntryError

START = 2048
FRAME = 32


def head(seq: int) -> Head:
    return Head(seq, f"{seq:064x}")


def filled(file: Path, *bodies: bytes) -> RedoLog:
    log = RedoLog.create(file, store="s", safe=7, head=head(1))
    for number, body in enumerate(bodies):
        log.append(body, head(2 + number))
    return log


def reopened(file: Path) -> RedoLog:
    log = RedoLog.open(file)
    assert log is not None
    return log


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: a full disk for one file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_a_file_there_is_no_log(tmp_path: Path) -> None:
    assert RedoLog.open(tmp_path / "x.redo") is None


def test_what_was_appended_is_there_in_order_after_a_restart(tmp_path: Path) -> None:
    bodies = [b"", b"one\ntwo", bytes(range(256)) * 30]
    filled(tmp_path / "x.redo", *bodies).close()
    log = reopened(tmp_path / "x.redo")
    assert [(entry.number, entry.head, entry.body) for entry in log.entries()] == [
        (8 + index, head(2 + index), body) for index, body in enumerate(bodies)
    ]
    assert (log.header.store, log.last, log.head, log.torn) == ("s", 10, head(4), False)
    log.append(b"more", None)
    assert (log.last, log.head) == (11, head(4)), "an entry that moves no head keeps the last one"
    assert (tmp_path / "x.redo").stat().st_mode & 0o777 == 0o600


def test_shortening_forgets_the_entries_and_keeps_what_was_reached(tmp_path: Path) -> None:
    log = filled(tmp_path / "x.redo", b"old" * 100, b"old" * 100)
    log.shorten(safe=log.last, head=log.head)
    assert (list(log.entries()), log.last, log.head, log.used) == ([], 9, head(3), 0)
    log.append(b"new", head(4))
    log.close()
    again = reopened(tmp_path / "x.redo")
    assert [(entry.number, entry.body) for entry in again.entries()] == [(10, b"new")], "no old entry comes back"
    assert not again.torn or again.head == head(4)


def test_it_grows_by_steps_and_shrinks_when_it_is_shortened(tmp_path: Path) -> None:
    log = RedoLog.create(tmp_path / "x.redo", store="s")
    for _ in range(5):
        log.append(b"x" * (STEP // 2), None)
    assert (tmp_path / "x.redo").stat().st_size == START + 3 * STEP
    log.shorten(safe=log.last, head=None)
    assert (tmp_path / "x.redo").stat().st_size == START + STEP
    assert list(reopened(tmp_path / "x.redo").entries()) == []


@settings(deadline=None)
@given(cut=st.integers(min_value=0, max_value=4 * FRAME + 400), extra=st.binary(max_size=20))
def test_a_torn_tail_is_dropped_and_what_is_before_it_stays(
    tmp_path_factory: pytest.TempPathFactory, cut: int, extra: bytes
) -> None:
    file = tmp_path_factory.mktemp("redo") / "x.redo"
    log = filled(file, b"a" * 100, b"b" * 100, b"c" * 100)
    ends = [START]
    for entry in log.entries():
        ends.append(ends[-1] + FRAME + len(entry.payload))
    log.close()
    with file.open("r+b") as stream:
        stream.seek(START + cut)
        stream.write(extra)
        stream.truncate()
    torn = reopened(file)
    whole = [end for end in ends[1:] if end <= START + cut]
    assert len(list(torn.entries())) >= len(whole)
    assert torn.last in {7 + len(whole), 7 + len(whole) + 1}
    before = torn.last
    torn.append(b"next", None)
    torn.close()
    assert reopened(file).last == before + 1


def test_damage_before_a_whole_entry_is_no_torn_tail(tmp_path: Path) -> None:
    file = tmp_path / "x.redo"
    filled(file, b"a" * 100, b"b" * 100, b"c" * 100).close()
    with file.open("r+b") as stream:
        stream.seek(START + FRAME + 10)
        stream.write(b"!")
    with pytest.raises(DamagedAnchorError, match=r"x\.redo"):
        RedoLog.open(file)


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"garbage" * 1000])
def test_a_file_that_is_no_redo_log_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.redo").write_bytes(content)
    with pytest.raises(DamagedAnchorError):
        RedoLog.open(tmp_path / "x.redo")


def test_a_header_that_was_cut_off_while_it_was_written_leaves_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "x.redo"
    log = filled(file, b"a")
    log.shorten(safe=8, head=head(2))
    log.close()
    with file.open("r+b") as stream:
        stream.seek(1024 + 40)
        stream.write(b"\0" * 200)
    assert [entry.body for entry in reopened(file).entries()] == [b"a"]


def test_without_room_nothing_is_appended_and_later_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.redo"
    log = filled(file, b"a")
    with files_at_most(START + STEP):
        for _ in range(3):
            with pytest.raises(StoreFullError, match="Nothing was written"):
                log.append(b"x" * STEP, None)
        log.append(b"b", None)
    log.append(b"x" * STEP, None)
    log.close()
    assert [entry.body[:1] for entry in reopened(file).entries()] == [b"a", b"b", b"x"]


def test_what_could_not_be_synced_does_not_turn_up_later(tmp_path: Path) -> None:
    file = tmp_path / "x.redo"
    log = filled(file, b"a")
    with files_at_most(log._end + FRAME + 10), pytest.raises(StoreFullError):
        log.append(b"half" * 100, None)
    assert log.torn
    log.close()
    assert [entry.body for entry in reopened(file).entries()] == [b"a"]


def test_what_can_neither_be_written_nor_taken_back_is_said_to_be_unknown(tmp_path: Path) -> None:
    log = filled(tmp_path / "x.redo", b"a")
    with files_at_most(log._end + 10), pytest.raises(UncertainEntryError):
        log.append(b"half" * 100, None)


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Calls]:
    with Calls(tmp_path) as wrapped:
        yield wrapped


SYNC = ("fdatasync",)
WRITING = ("pwrite",)
TRUNCATING = ("ftruncate",)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("name", [SYNC, WRITING])
def test_an_entry_that_failed_once_was_refused_and_does_not_come_back(
    tmp_path: Path, calls: Calls, name: tuple[str, ...], error: str
) -> None:
    log = filled(tmp_path / "x.redo", b"a")
    calls.fail(Failure(name, error, times=1))
    with pytest.raises(StoreError, match="Nothing was written") as caught:
        log.append(b"b" * 100, None)
    assert isinstance(caught.value, StoreFullError) == (error == "ENOSPC")
    assert not log.uncertain
    log.append(b"c", None)
    log.close()
    assert [entry.body for entry in reopened(tmp_path / "x.redo").entries()] == [b"a", b"c"]


def uncertain(log: RedoLog) -> bool:
    return log.uncertain


def test_an_uncertain_entry_does_not_count_and_nothing_follows_until_it_is_void(tmp_path: Path, calls: Calls) -> None:
    log = filled(tmp_path / "x.redo", b"a")
    calls.fail(Failure(SYNC, "EIO"))
    with pytest.raises(UncertainEntryError):
        log.append(b"b" * 100, None)
    assert uncertain(log)
    assert [entry.body for entry in log.entries()] == [b"a"], "in this process it is not there"
    for _ in range(2):
        with pytest.raises(StoreError, match="Nothing was written") as caught:
            log.append(b"c", None)
        assert not isinstance(caught.value, UncertainEntryError), "of this one it is known"
    calls.fail()
    log.append(b"d", None)
    assert not uncertain(log)
    log.close()
    assert [entry.body for entry in reopened(tmp_path / "x.redo").entries()] == [b"a", b"d"]


def test_what_is_written_to_the_file_but_unknown_to_the_disk_is_found_by_a_start_or_not(
    tmp_path: Path, calls: Calls
) -> None:
    log = filled(tmp_path / "x.redo", b"a")
    calls.fail(Failure(SYNC, "EIO"), Failure(WRITING, "EIO", after=1))
    with pytest.raises(UncertainEntryError):
        log.append(b"b", None)
    log.close()
    assert [entry.body for entry in reopened(tmp_path / "x.redo").entries()] == [b"a", b"b"], (
        "which is why it is unknown"
    )


@pytest.mark.parametrize("name", [SYNC, WRITING, TRUNCATING])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_follows_a_header_that_failed_is_found_by_a_start(
    tmp_path: Path, calls: Calls, name: tuple[str, ...], times: int
) -> None:
    file = tmp_path / "x.redo"
    log = filled(file, b"a", b"x" * 3 * STEP)
    calls.fail(Failure(name, "EIO", times=times))
    shortened = True
    try:
        log.shorten(safe=log.last, head=log.head)
    except StoreError:
        shortened = False
    appended = []
    for number in range(4):
        try:
            log.append(b"%d" % number, None)
            appended.append(b"%d" % number)
        except StoreError:
            assert log.uncertain
    assert appended
    log.close()
    found = [entry.body for entry in reopened(file).entries()]
    assert found == ([] if shortened else [b"a", b"x" * 3 * STEP]) + appended


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    log = filled(tmp_path / "x.redo")
    descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    log.close()
    log.close()
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == descriptors - 1
