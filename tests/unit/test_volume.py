"""Status tells where no volume keeps the data folder."""

from pathlib import Path

import pytest

from keycairn.app.volume import is_kept

LAYER = "1 0 0:30 / / rw,relatime - overlay overlay rw,lowerdir=/a\n"
DISK = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"


@pytest.mark.parametrize(
    ("mounts", "folder", "kept"),
    [
        (DISK, "/data", True),
        (LAYER, "/data", False),
        (LAYER + "2 1 8:1 /volumes/v /data rw - ext4 /dev/sda1 rw\n", "/data", True),
        (LAYER + "2 1 8:1 /volumes/v /data rw - ext4 /dev/sda1 rw\n", "/data/of/keycairn", True),
        (LAYER + "2 1 8:1 /volumes/v /data rw - ext4 /dev/sda1 rw\n", "/database", False),
        (LAYER + "2 1 8:1 /v /my\\040data rw - xfs /dev/sda1 rw\n", "/my data", True),
        (DISK + "2 1 0:40 / /run rw,nosuid shared:5 - tmpfs tmpfs rw\n", "/run/keycairn", False),
        (DISK + "2 1 0:40 / /data rw - tmpfs tmpfs rw\n3 1 8:2 / /data rw - btrfs /dev/sdb rw\n", "/data", True),
        ("", "/data", True),
        ("nonsense\n\n - \n", "/data", True),
    ],
)
def test_a_folder_is_kept_where_a_disk_or_volume_is_mounted_under_it(
    tmp_path: Path, mounts: str, folder: str, *, kept: bool
) -> None:
    file = tmp_path / "mountinfo"
    file.write_text(mounts)
    assert is_kept(Path(folder), file) is kept


def test_where_the_system_does_not_tell_nobody_is_alarmed(tmp_path: Path) -> None:
    assert is_kept(tmp_path, tmp_path / "no-such-file")
