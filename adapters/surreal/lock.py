"""One process per embedded store. The engine itself lets two processes open one folder and lose each other's writes."""

import fcntl
import os
from pathlib import Path

from keycairn.domain.errors import StoreError, StoreLockedError


class FileLock:
    """An exclusive lock on `<path>.lock`, beside the store, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises StoreLockedError when another process holds it, StoreError when it cannot be made."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor: int | None = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"The database folder {path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if isinstance(error, BlockingIOError):
                raise StoreLockedError(str(path)) from error
            raise StoreError(f"The database folder {path} cannot be locked: {error.strerror}.") from error

    def release(self) -> None:
        """Let the lock go. Calling it again is a no-op. The file stays: removing it would race with the next holder."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
