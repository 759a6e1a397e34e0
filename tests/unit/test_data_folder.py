"""Files of the data folder are written whole or not at all, and none is lost."""

import os
import stat
from pathlib import Path

import pytest

from keycairn.app.data_folder import (
    keep_first_token,
    put_aside,
    staged,
    staged_root_key,
    stored_root_key,
    write_private,
)
from keycairn.domain.errors import DataFolderError


def test_a_file_is_replaced_whole_and_private_whatever_lay_there(tmp_path: Path) -> None:
    file = tmp_path / "root-key"
    file.write_text("former, and longer than the next")
    file.chmod(0o666)
    (tmp_path / "root-key.writing").write_text("left over")
    write_private(file, "next")
    assert file.read_text() == "next"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["root-key"]


def test_a_link_in_the_way_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    for name in ("root-key", "root-key.writing"):
        (tmp_path / name).symlink_to(tmp_path / "theirs")
    write_private(tmp_path / "root-key", "ours")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "root-key").is_symlink()


def test_what_cannot_be_written_is_a_sentence_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "root-key").mkdir()
    (tmp_path / "root-key" / "full").touch()
    with pytest.raises(DataFolderError, match="root-key cannot be written: "):
        write_private(tmp_path / "root-key", "x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["root-key"]
    with pytest.raises(DataFolderError):
        write_private(tmp_path / "none" / "root-key", "x")


def test_a_new_database_never_gets_a_root_key_that_somebody_left_there(tmp_path: Path) -> None:
    first = staged_root_key(tmp_path)
    assert staged_root_key(tmp_path).material != first.material
    staged(tmp_path / "root-key").write_text("base64:nonsense")
    again = staged_root_key(tmp_path)
    waiting = stored_root_key(staged(tmp_path / "root-key"))
    assert waiting is not None
    assert waiting.material == again.material, "the one that is used waits for its database"


def test_files_put_aside_never_replace_each_other(tmp_path: Path) -> None:
    file = tmp_path / "first-token"
    for number in range(5):
        staged(file).write_text(str(number))
        assert keep_first_token(tmp_path) == file
    aside = {entry.read_text() for entry in tmp_path.glob("first-token.former-*")}
    assert (file.read_text(), aside) == ("4", {"0", "1", "2", "3"})
    os.remove(file)  # noqa: PTH107
    assert put_aside(file) is None
