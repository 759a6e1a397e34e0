"""What every anchor promises, and what only a file can do wrong."""

from pathlib import Path

import pytest

from keycairn.adapters.anchor import FileAnchor, MemoryAnchor
from keycairn.domain.audit import Head
from keycairn.domain.errors import DamagedAnchorError, StoreError
from keycairn.ports.anchor import Anchor


@pytest.fixture(params=["memory", "file"])
def anchor(request: pytest.FixtureRequest, tmp_path: Path) -> Anchor:
    return MemoryAnchor() if request.param == "memory" else FileAnchor(tmp_path / "audit-head")


def test_it_remembers_the_last_head(anchor: Anchor) -> None:
    assert anchor.load() is None
    for head in (Head(1, "a" * 64), Head(2**60, "0f" * 32), Head(7, "b" * 64)):
        anchor.save(head)
        assert anchor.load() == head


def test_a_file_outlives_the_object_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "audit-head"
    FileAnchor(file).save(Head(12, "c" * 64))
    assert FileAnchor(file).load() == Head(12, "c" * 64)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"12", b"12 " + b"c" * 64, b"0 " + b"c" * 64 + b"\n", b"12 " + b"C" * 64 + b"\n", b"\xff\n", b"12  c\n"],
)
def test_what_was_not_written_by_us_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "audit-head").write_bytes(content)
    with pytest.raises(DamagedAnchorError, match="audit-head is damaged"):
        FileAnchor(tmp_path / "audit-head").load()


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        FileAnchor(tmp_path / "gone" / "audit-head").save(Head(1, "a" * 64))
