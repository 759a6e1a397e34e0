"""The head of the audit chain in a small file."""

import os
import re
from pathlib import Path

from keycairn.domain.audit import Head
from keycairn.domain.errors import DamagedAnchorError, StoreError

_LINE = re.compile(r"([1-9][0-9]{0,18}) ([0-9a-f]{64})\n", re.ASCII)


class FileAnchor:
    """A `keycairn.ports.anchor.Anchor`: one line, the number and the MAC.

    The file is replaced whole but not synced to the disk, which would cost as much as the commit itself: after a power
    failure it may be older than the database, which proves less but never accuses wrongly.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._next = file.with_suffix(".next")

    def load(self) -> Head | None:
        """See `Anchor.load`."""
        try:
            match = _LINE.fullmatch(self._file.read_text("ascii"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            match = None
        if match is None:
            raise DamagedAnchorError(str(self._file))
        return Head(int(match[1]), match[2])

    def save(self, head: Head) -> None:
        """See `Anchor.save`."""
        try:
            descriptor = os.open(self._next, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.write(descriptor, f"{head.seq} {head.mac}\n".encode())
            finally:
                os.close(descriptor)
            self._next.replace(self._file)
        except OSError as error:
            raise StoreError(f"{self._file} cannot be written: {error.strerror}.") from None

    def forget(self) -> None:
        """See `Anchor.forget`."""
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self._file} cannot be removed: {error.strerror}.") from None


class MemoryAnchor:
    """A `keycairn.ports.anchor.Anchor` for a database that ends with the process as well."""

    def __init__(self) -> None:
        self._head: Head | None = None

    def load(self) -> Head | None:
        """See `Anchor.load`."""
        return self._head

    def save(self, head: Head) -> None:
        """See `Anchor.save`."""
        self._head = head

    def forget(self) -> None:
        """See `Anchor.forget`."""
        self._head = None
