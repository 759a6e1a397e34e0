"""The head that a Keycairn without a redo log left beside its database."""

from pathlib import Path

import pytest

from keycairn.adapters.former_anchor import forget_former, former_head
from keycairn.domain.audit import Head
from keycairn.domain.errors import DamagedAnchorError


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert former_head(None) is None
    assert former_head(tmp_path / "audit-head") is None


def test_it_is_read_and_then_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "audit-head"
    file.write_text(f"12 {'c' * 64}\n")
    assert former_head(file) == Head(12, "c" * 64)
    for _ in range(2):
        forget_former(file)
    assert former_head(file) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"12", b"12 " + b"c" * 64, b"0 " + b"c" * 64 + b"\n", b"12 " + b"C" * 64 + b"\n", b"\xff\n", b"12  c\n"],
)
def test_what_was_not_written_by_us_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "audit-head").write_bytes(content)
    with pytest.raises(DamagedAnchorError, match="audit-head is damaged"):
        former_head(tmp_path / "audit-head")
