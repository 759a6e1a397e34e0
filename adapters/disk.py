"""What the errors of a disk mean: that it is full, or that it cannot be used."""

import errno
import tempfile
from pathlib import Path

from keycairn.domain.errors import StoreError, StoreFullError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No room: on the disk, in somebody's quota, or under a limit on the size of files."""


def disk_error(error: OSError, where: Path, said: str) -> StoreError:
    """StoreFullError where there is no room at `where`; for anything else a StoreError that says `said` and why."""
    why = error.strerror or type(error).__name__
    return StoreFullError(str(where), why.lower()) if error.errno in FULL else StoreError(f"{said}: {why}.")


def is_full(folder: Path, size: int) -> bool:
    """Whether `size` more bytes find no place in `folder`. It is tried: what is left of a quota cannot be asked for."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(size))
            file.flush()
    except OSError as error:
        return error.errno in FULL
    return False
