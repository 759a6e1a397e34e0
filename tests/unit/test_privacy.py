"""The data folder is its owner's alone: what others may do is found, taken from them, and said."""

import os
import stat
from pathlib import Path

import pytest

from keycairn.app.privacy import close_off, exposures
from keycairn.app.settings import Settings


def a_data_folder(tmp_path: Path) -> Settings:
    """With every kind of file, all of it open to everybody."""
    data = tmp_path / "data"
    for name in ("root-key", "first-token", "audit-head", "server.json", "root-key.next", "db.lock"):
        data.mkdir(exist_ok=True)
        (data / name).write_text("x")
    for name in ("db/clog/0.clog", "db/manifest/0.manifest", "backups/one.backup.gz"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text("x")
    for path in (data, *data.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    return Settings(data_dir=data)


def open_ones(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


def test_an_open_folder_is_closed_with_everything_in_it_and_each_is_named(tmp_path: Path) -> None:
    settings = a_data_folder(tmp_path)
    open_before = open_ones(settings.data_dir)
    found = close_off(settings)
    assert {exposure.path for exposure in found} == set(open_before)
    assert all(exposure.found == "others can change it" and exposure.why_left is None for exposure in found)
    assert found[0].what_to_do == f"chmod 700 {settings.data_dir}"
    assert open_ones(settings.data_dir) == []
    (settings.data_dir / "db" / "clog").chmod(0o750)  # the engine's own way
    settings.data_dir.chmod(0o755)
    assert [exposure.path for exposure in exposures(settings)] == [settings.data_dir]
    settings.data_dir.chmod(0o700)
    assert stat.S_IMODE((settings.data_dir / "db").stat().st_mode) == 0o700
    assert stat.S_IMODE((settings.data_dir / "root-key").stat().st_mode) == 0o600
    assert close_off(settings) == exposures(settings) == []


def test_in_a_closed_folder_only_secrets_are_looked_at(tmp_path: Path) -> None:
    settings = a_data_folder(tmp_path)
    settings.data_dir.chmod(0o700)
    names = {exposure.path.name for exposure in exposures(settings)}
    assert names == {"root-key", "root-key.next", "first-token", "server.json"}


def test_a_database_elsewhere_is_closed_too(tmp_path: Path) -> None:
    settings = a_data_folder(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    (settings.data_dir / "db").rename(elsewhere)
    settings.data_dir.chmod(0o700)
    close_off(Settings(data_dir=settings.data_dir, database_url=f"surrealkv://{elsewhere}"))
    assert open_ones(elsewhere) == []


def test_a_folder_with_other_things_in_it_stays_as_it_is_and_only_our_files_are_closed(tmp_path: Path) -> None:
    settings = a_data_folder(tmp_path)
    theirs = settings.data_dir / "website"
    theirs.mkdir()
    theirs.chmod(0o755)
    (settings.data_dir / "run.sh").write_text("x")
    (settings.data_dir / "run.sh").chmod(0o755)
    found = close_off(settings)
    assert found[0].path == settings.data_dir
    assert found[0].why_left == "there are files of others in it"
    assert set(open_ones(settings.data_dir)) == {settings.data_dir, theirs, settings.data_dir / "run.sh"}
    assert [exposure.path for exposure in exposures(settings)] == [settings.data_dir]


def test_a_folder_of_everybody_such_as_tmp_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    [exposure] = close_off(Settings(data_dir=tmp_path))
    assert exposure.why_left
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_is_told_and_left(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    os.chown(tmp_path, 12345, 12345)
    for mode, serious in ((0o2770, False), (0o777, True)):
        tmp_path.chmod(mode)
        [exposure] = close_off(settings)
        assert (exposure.why_left, exposure.serious) == ("it belongs to another user", serious)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == mode


def test_nothing_is_changed_through_a_link(tmp_path: Path) -> None:
    settings = a_data_folder(tmp_path)
    target = tmp_path / "theirs"
    target.write_text("x")
    target.chmod(0o644)
    (settings.data_dir / "root-key").unlink()
    (settings.data_dir / "root-key").symlink_to(target)
    (settings.data_dir / "db" / "link").symlink_to(target)
    close_off(settings)
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


def test_a_folder_that_is_not_there_exposes_nothing(tmp_path: Path) -> None:
    assert close_off(Settings(data_dir=tmp_path / "none")) == []
