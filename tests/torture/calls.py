"""What a process does to the files below a folder, call by call: it can end at one of them, or have some of them fail.

The calls are wrapped in the process under test, until it ends or `release` is called. What the engine does to its files
is not seen from here.
"""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

BY_PATH = ("rename", "replace", "unlink", "remove", "rmdir", "mkdir")
BY_DESCRIPTOR = ("fsync", "fdatasync", "pwrite", "ftruncate", "write")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Failure(Struct, frozen=True):
    """The calls of these names on a file whose path contains `file` fail with `error`.

    The first `after` of them do not; of the others, `times` do, all where it is negative.
    """

    calls: tuple[str, ...]
    error: str
    file: str = ""
    after: int = 0
    times: int = -1


class Calls:
    """Wraps the calls of this process that change files below `folder`, or see them to the disk.

    `stop_at` is the number of the call in which the process kills itself, before it is carried out; 0 for never. It
    counts while `counting`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self.counting = False
        self.stop_at = 0
        self.steps = 0
        self._failures: list[tuple[Failure, list[int]]] = []
        self._own = {name: getattr(os, name) for name in (*BY_PATH, *BY_DESCRIPTOR, "open")}
        for name, call in self._own.items():
            setattr(os, name, self._wrapped(name, call))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the process its own calls back."""
        for name, call in self._own.items():
            setattr(os, name, call)

    def fail(self, *failures: Failure) -> None:
        """Have calls fail from now on; none, where nothing is given."""
        self._failures = [(failure, [0]) for failure in failures]

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(first: Any, *args: Any, **named: Any) -> Any:
            if name != "open" or (args and isinstance(args[0], int) and args[0] & WRITES):
                self._before(name, self._path(first, named.get("dir_fd")))
            return call(first, *args, **named)

        return wrapped

    def _before(self, name: str, path: str) -> None:
        if not path.startswith(self._folder):
            return
        for failure, count in self._failures:
            if name in failure.calls and failure.file in path:
                count[0] += 1
                if failure.after < count[0] and (failure.times < 0 or count[0] <= failure.after + failure.times):
                    number = getattr(errno, failure.error)
                    raise OSError(number, os.strerror(number), path)
        if self.counting:
            self.steps += 1
            if self.steps == self.stop_at:
                os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def _path(given: Any, folder: int | None) -> str:
        try:
            if isinstance(given, int):
                return os.readlink(f"/proc/self/fd/{given}")  # noqa: PTH115  # what was not wrapped
            path = os.fspath(given)
            inside = "" if folder is None else os.readlink(f"/proc/self/fd/{folder}")  # noqa: PTH115  # as above
            return os.path.join(inside, path) if inside else os.path.abspath(path)  # noqa: PTH100, PTH118  # without the disk
        except OSError:
            return ""
