"""Which folder an embedded database lies in, of the one that an operator named."""

from pathlib import Path

from keycairn.adapters.redo_log import sync_folder
from keycairn.domain.errors import StoreError

PARTS = ("manifest", "clog", "vlog", "sstables", "discard_stats")
"""What the engine keeps in its folder. Other things in it are not ours."""


def place_of(folder: Path) -> Path:
    """Where the database of a folder that an operator named lies: where a link leads, and inside of a mount point.

    A mount point cannot have anything beside it that can be renamed into it. Raises StoreError.
    """
    try:
        place = folder.resolve()
    except (OSError, RuntimeError):  # the second is what Python 3.11 makes of a link that leads to itself
        raise StoreError(f"The database folder {folder} cannot be found: its links lead nowhere.") from None
    if not place.is_mount():
        return place
    inside = place / "db"
    try:
        if any((place / part).exists() for part in PARTS):
            inside.mkdir(mode=0o700, exist_ok=True)
            for part in PARTS:  # an earlier version kept them in the mount point itself
                if (place / part).exists():
                    (place / part).replace(inside / part)
            sync_folder(place)
    except OSError as error:
        raise StoreError(f"The database in {place} cannot be moved to {inside}: {error.strerror}.") from None
    return inside
