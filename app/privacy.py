"""Who else can get at the data folder and the database, and keeping them out."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.data_folder import ANCHOR_FILE, BACKUPS, DATABASE_FILE, FIRST_TOKEN_FILE, ROOT_KEY_FILE, SERVER_FILE
from keycairn.app.settings import Settings

OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""What group and others may do."""
SECRETS = (ROOT_KEY_FILE, FIRST_TOKEN_FILE, SERVER_FILE)
"""Names, with what may follow them, of files that are secret wherever they lie."""
_EMBEDDED = "surrealkv://"


class Exposure(Struct, frozen=True, kw_only=True):
    """A file or folder of ours that others than its owner can read or change."""

    path: Path
    found: str
    what_to_do: str
    why_left: str | None = None
    """Why we do not change it ourselves."""
    serious: bool = True
    """Not for what a group may do with a folder that is another user's: orchestrators share volumes like that."""


def exposures(settings: Settings) -> list[Exposure]:
    """Everything of ours that others can read or change, folders before what is in them.

    In a folder that only its owner can enter, the secrets alone are looked at.
    """
    return list(_exposures(settings))


def close_off(settings: Settings) -> list[Exposure]:
    """Take from others what they may do; what was found. What is not ours alone is left, and says why."""
    return [exposure if exposure.why_left else _closed_off(exposure) for exposure in exposures(settings)]


def _closed_off(exposure: Exposure) -> Exposure:
    try:
        exposure.path.chmod(_mode(exposure.path) & ~OTHERS)
    except OSError as error:
        return replace(exposure, why_left=error.strerror or "it cannot be changed")
    return exposure


def _exposures(settings: Settings) -> Iterator[Exposure]:
    data = settings.data_dir
    if not data.is_dir():
        return
    yield from _looked_at(data, shared=_has_other_things(data, settings))
    open_folder = _mode(data) & OTHERS
    own = sorted(entry for entry in data.iterdir() if _is_own(entry.name))
    for entry in own:
        if open_folder or entry.name.startswith(SECRETS):
            yield from _with_all_below(entry)
    database = _database_folder(settings)
    if database is not None and (open_folder or database.parent.resolve() != data.resolve()):
        yield from _with_all_below(database)


def _with_all_below(path: Path) -> Iterator[Exposure]:
    if path.is_symlink() and not path.is_dir():
        return
    if path.is_dir() and not _mode(path) & OTHERS:
        return  # what is in it is out of their reach
    yield from _looked_at(path)
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            for name in sorted([*folders, *files]):
                below = Path(folder, name)
                if not below.is_symlink():
                    yield from _looked_at(below)


def _looked_at(path: Path, *, shared: bool = False) -> Iterator[Exposure]:
    try:
        status = path.stat()
    except OSError:
        return
    mode = stat.S_IMODE(status.st_mode)
    if not mode & OTHERS:
        return
    why_left = None
    if status.st_uid != os.geteuid():
        why_left = "it belongs to another user"
    elif shared or mode & stat.S_ISVTX:
        why_left = "there are files of others in it"
    yield Exposure(
        path=path,
        found="others can change it" if mode & (stat.S_IWGRP | stat.S_IWOTH) else "others can read it",
        what_to_do=f"chmod {'700' if stat.S_ISDIR(status.st_mode) else '600'} {path}",
        why_left=why_left,
        serious=why_left is None or bool(mode & stat.S_IRWXO),
    )


def _has_other_things(folder: Path, settings: Settings) -> bool:
    database = _database_folder(settings)
    ours: Sequence[str] = () if database is None else (database.name, f"{database.name}.lock")
    return any(
        not _is_own(entry.name) and entry.name not in ours and not entry.name.startswith((".", "lost+found"))
        for entry in folder.iterdir()
    )


def _is_own(name: str) -> bool:
    return name in {BACKUPS, DATABASE_FILE} or name.startswith((*SECRETS, ANCHOR_FILE, "db."))


def _database_folder(settings: Settings) -> Path | None:
    if not settings.store_url.startswith(_EMBEDDED):
        return None
    folder = Path(settings.store_url.removeprefix(_EMBEDDED))
    return folder if folder.is_dir() else None


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
