"""The services that run on this machine for this user, wherever their data folders are."""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from keycairn.app.cli.running import RunningServer, running
from keycairn.app.cli.where import user_folder

LONGEST_PATH = 4096
"""Bytes of a file that names a data folder."""


def note(data_dir: Path) -> None:
    """Leave word that a service uses a data folder. What cannot be written is left: the folder's own word remains."""
    file = _file(data_dir)
    if file is None:
        return
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(str(data_dir.resolve()))


def forget(data_dir: Path) -> None:
    """Take back what `note` left."""
    file = _file(data_dir)
    if file is not None:
        with suppress(OSError):
            file.unlink(missing_ok=True)


async def found() -> list[tuple[Path, RunningServer]]:
    """The data folders in use with their services, each of which has proven itself."""
    folder = _folder()
    services: list[tuple[Path, RunningServer]] = []
    for file in sorted(folder.glob("*")) if folder else []:
        data_dir = _noted(file)
        if data_dir is not None:
            server, _ = await running(data_dir)
            if server is not None:
                services.append((data_dir, server))
    return services


def _noted(file: Path) -> Path | None:
    try:
        with file.open("rb") as stream:
            if os.fstat(stream.fileno()).st_uid != os.geteuid():
                return None
            text = os.fsdecode(stream.read(LONGEST_PATH))
    except OSError:
        return None
    return Path(text) if text.startswith("/") and "\0" not in text else None


def _folder() -> Path | None:
    folder = user_folder("XDG_STATE_HOME", ".local/state")
    return folder / "services" if folder else None


def _file(data_dir: Path) -> Path | None:
    folder = _folder()
    return folder / sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16] if folder else None
