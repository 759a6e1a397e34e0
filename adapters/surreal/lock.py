"""One process per embedded store and data folder. The engine lets two open one store and lose each other's writes."""

import errno
import fcntl
import os
from pathlib import Path

from keycairn.domain.errors import DataFolderLockedError, StoreError, StoreLockedError, StoreMovedError

ATTEMPTS = 10
"""How often a lock is taken anew because its path led elsewhere in between."""
_NO_FOLDER_LOCKS = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})
"""How file systems such as NFS say that a folder cannot be locked; there the lock file alone has to do."""
_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class FolderLock:
    """A lock on a folder itself, held until `release` or the end of the process.

    It is on the folder's inode: nothing that can be removed or replaced carries it, and every path to the folder meets
    it. `shared` admits other shared holders. Raises DataFolderLockedError when another process holds it, StoreError
    when the folder cannot be used.
    """

    def __init__(self, folder: Path, *, shared: bool = False) -> None:
        self._path = str(folder)
        self._inode: tuple[int, int] | None = None
        try:
            self._descriptor = _locked(folder, os.O_RDONLY | os.O_DIRECTORY, shared=shared)
        except BlockingIOError as error:
            raise DataFolderLockedError(str(folder)) from error
        except OSError as error:
            raise StoreError(f"The folder {folder} cannot be used: {error.strerror}.") from error
        if self._descriptor is not None:
            locked = os.fstat(self._descriptor)
            self._inode = locked.st_dev, locked.st_ino

    def check(self) -> None:
        """Raise StoreMovedError when the path does not lead to the locked folder any more."""
        if self._inode is None:
            return
        try:
            found = os.stat(self._path)  # noqa: PTH116  # before each use of a store: a quarter of what a Path takes
        except OSError:
            raise StoreMovedError(self._path) from None
        if (found.st_dev, found.st_ino) != self._inode:
            raise StoreMovedError(self._path)

    def release(self) -> None:
        """Let the lock go. Calling it again is a no-op."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class StoreLock:
    """The lock on the folder of a store, which is made where it is missing, and on `<folder>.lock` beside it.

    The file is for earlier versions, which lock only it, and for file systems that cannot lock folders. It stays when
    the lock is released: removing it would race with the next holder.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises StoreLockedError when another process holds it, StoreError when it cannot be made."""
        self._file: int | None = None
        try:
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            self._file = _lock_file(Path(f"{folder}.lock"))
            self._lock = FolderLock(folder)
        except (BlockingIOError, DataFolderLockedError) as error:
            self._close_file()
            raise StoreLockedError(str(folder)) from error
        except OSError as error:
            self._close_file()
            raise StoreError(
                f"The database folder {folder} cannot be used: {error.strerror}. Nothing was changed."
            ) from error
        except StoreError:
            self._close_file()
            raise

    def check(self) -> None:
        """Raise StoreMovedError when the path does not lead to the locked folder any more."""
        self._lock.check()

    def release(self) -> None:
        """Let the lock go. Calling it again is a no-op."""
        self._lock.release()
        self._close_file()

    def _close_file(self) -> None:
        descriptor, self._file = self._file, None
        if descriptor is not None:
            os.close(descriptor)


def _lock_file(file: Path) -> int | None:
    try:
        return _locked(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, shared=False)
    except OSError as error:
        if error.errno in _NOT_WRITABLE:
            return None  # a folder made for us in one that is not ours
        raise


def _locked(path: Path, flags: int, *, shared: bool) -> int | None:
    """A descriptor of what `path` leads to, locked; None for a folder on a file system that locks none.

    Raises BlockingIOError when another process holds the lock.
    """
    for _ in range(ATTEMPTS):
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if flags & os.O_DIRECTORY and error.errno in _NO_FOLDER_LOCKS:
                return None
            raise
        if _leads_to(path, descriptor):
            return descriptor
        os.close(descriptor)  # replaced while it was being locked
    raise BlockingIOError(errno.EAGAIN, "it is replaced again and again")


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
