"""Spools in files that have no name."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Any

from keycairn.domain.errors import SpoolError

THREADS = 4
"""Reads and writes at one time. They have threads of their own, so that a slow disk holds up nothing else."""


class FileSpools:
    """A `keycairn.ports.spool.Spools` in `folder`.

    Its files are unlinked from the beginning and readable by this user alone (mode 0600): the system removes them when
    they are closed, whatever ends the process.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="spool")

    def open(self) -> "FileSpool":
        """See `Spools.open`."""
        return FileSpool(self._folder, self._threads)

    def close(self) -> None:
        """See `Spools.close`."""
        self._threads.shutdown()


class FileSpool:
    """A `keycairn.ports.spool.Spool`. All that touches the file, its end too, happens in a thread, under the lock."""

    def __init__(self, folder: Path, threads: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._threads = threads
        self._lock = Lock()
        self._file: IO[bytes] | None = None
        self._used = self._closed = False

    async def write(self, at: int, data: bytes) -> None:
        """See `Spool.write`."""
        self._used = True
        await self._run(self._write, at, data)

    async def read(self, at: int, size: int) -> bytes:
        """See `Spool.read`."""
        data: bytes = await self._run(self._read, at, size)
        return data

    def close(self) -> None:
        """See `Spool.close`."""
        if self._closed:
            return
        self._closed = True
        if self._used:
            try:
                self._threads.submit(self._end)
            except RuntimeError:  # the threads have ended, so nothing is under way
                self._end()

    async def _run(self, function: Any, *arguments: Any) -> Any:
        if self._closed:
            raise SpoolError
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        except OSError:
            raise SpoolError from None

    def _write(self, at: int, data: bytes) -> None:
        with self._lock:
            if self._closed:
                return
            if self._file is None:
                self._file = TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  # as long as the call
            left = memoryview(data)
            while left:
                written = os.pwrite(self._file.fileno(), left, at)
                left, at = left[written:], at + written

    def _read(self, at: int, size: int) -> bytes:
        with self._lock:
            if self._file is None or self._closed:
                raise OSError
            data = os.pread(self._file.fileno(), size, at)
        if len(data) != size:
            raise OSError
        return data

    def _end(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
