"""The redo log: what was acknowledged, on the disk before the database sees it.

One file. Two headers, of which the younger whole one holds, say which store the log belongs to, up to which number the
database is known to be safe on the disk, and where the audit chain stood then. Behind them follow the entries, one for
each changeset, numbered without a gap. Shortening the log is writing one header: what lies behind it counts no more.
The bytes of both are in `redo_log_format.py`.

An entry that is not whole is a torn tail where nothing whole follows: it was never acknowledged. Where something whole
follows, the file was damaged.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from msgspec.structs import replace

from keycairn.adapters.disk import disk_error
from keycairn.adapters.redo_log_format import (
    FRAME_BYTES,
    HEADER_BYTES,
    MARK,
    START,
    Entry,
    Header,
    entry_in,
    framed,
    fresh_salt,
    header_bytes,
    header_in,
    number_and_size,
)
from keycairn.domain.audit import Head
from keycairn.domain.errors import DamagedAnchorError, StoreError, StoreLockedError, UncertainEntryError

STEP = 4 * 2**20
"""Bytes by which the file grows; the room of one step is there before it is needed."""


class RedoLog:
    """The log of one store, for one process. Not to be used from two threads at once.

    `last` is the number of the last changeset, `head` the audit chain's after it.
    """

    def __init__(self, file: Path, descriptor: int, header: Header, slot: int) -> None:
        self._file = file
        self._descriptor = descriptor
        self._slot = slot
        self.header: Header = header
        self.last: int = header.safe
        self.head = header.head
        self._end = START
        self._size = os.fstat(descriptor).st_size
        self.torn: bool = False
        """Whether the end of the file was not whole when it was opened, or an append has failed since."""
        self._doubtful: list[tuple[int, int]] = []

    @classmethod
    def create(
        cls,
        file: Path,
        *,
        store: str,
        safe: int = 0,
        head: Head | None = None,
        proves: bool = True,
        whole: int = 0,
    ) -> "RedoLog":
        """A new, empty log; a file of that name is replaced. Raises StoreFullError or StoreError."""
        header = Header(store=store, generation=1, safe=safe, salt=fresh_salt(), head=head, proves=proves, whole=whole)
        draft = file.with_name(file.name + ".new")
        try:
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _write(descriptor, header_bytes(header) + bytes(HEADER_BYTES), 0)
                _write(descriptor, bytes(STEP), START)
                os.fsync(descriptor)
                draft.replace(file)
                sync_folder(file.parent)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise _refusal(file, error) from None
        return cls(file, descriptor, header, 0)

    @classmethod
    def open(cls, file: Path) -> "RedoLog | None":
        """The log in `file`, None without the file. Raises DamagedAnchorError when it cannot be read as one."""
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{file} cannot be opened: {error.strerror}.") from None
        try:
            slots = [header_in(os.pread(descriptor, HEADER_BYTES, slot * HEADER_BYTES)) for slot in (0, 1)]
            headers = [(header, slot) for slot, header in enumerate(slots) if header is not None]
            if not headers:
                _damaged(file)
            log = cls(file, descriptor, *max(headers, key=lambda pair: pair[0].generation))
            while (entry := log._read(log._end, log.last + 1)) is not None:
                log._took(entry)
            log.torn = log._anything_behind()
            if log.torn and log._anything_whole_behind():
                _damaged(file)
        except BaseException:
            os.close(descriptor)
            raise
        return log

    def entries(self) -> Iterator[Entry]:
        """The entries that count, in order: not one that could not be taken back."""
        position, number = START, self.header.safe
        while position < self._end and (entry := self._read(position, number + 1)) is not None:
            yield entry
            position, number = position + FRAME_BYTES + len(entry.payload), entry.number

    @property
    def used(self) -> int:
        """Bytes of entries since the log was shortened."""
        return self._end - START

    @property
    def uncertain(self) -> bool:
        """Whether something could neither be written nor taken back, so that a start may find it or not."""
        return bool(self._doubtful)

    @property
    def file(self) -> Path:
        """Where the log lies."""
        return self._file

    def make_room(self, size: int) -> None:
        """See to it that an entry of `size` bytes fits. Raises StoreFullError; nothing counts as changed then."""
        needed = self._end + FRAME_BYTES + size
        try:
            while self._size < needed:
                _write(self._descriptor, bytes(STEP), self._size)
                self._size += STEP
                os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise _refusal(self._file, error) from None

    def append(self, body: bytes, head: Head | None, *, sync: bool = True) -> None:
        """Add an entry and see it to the disk: the point of no return. Without `sync` the next entry takes it along.

        Raises StoreFullError or StoreError when it is not there, and will not be after a restart either;
        UncertainEntryError when that is not known.
        """
        try:
            self.settle()
        except UncertainEntryError as error:
            raise StoreError(f"{error} Nothing was written.") from None
        entry = Entry(self.last + 1, head, body)
        payload = entry.payload
        self.make_room(len(payload))
        frame = framed(entry.number, payload, self.header.salt)
        try:
            _write(self._descriptor, frame, self._end)
            if sync:
                os.fdatasync(self._descriptor)
        except OSError as error:
            self.torn = True
            self._take_back(error, self._end, FRAME_BYTES)
        self._took(entry)

    def shorten(self, *, safe: int, head: Head | None, proves: bool | None = None) -> None:
        """Forget all entries, doubtful ones too: the database holds everything up to `safe` on the disk.

        Raises StoreError: the entries count as before.
        """
        header = replace(
            self.header,
            generation=self.header.generation + 1,
            safe=safe,
            salt=fresh_salt(),
            head=head,
            proves=self.header.proves if proves is None else proves,
        )
        slot = 1 - self._slot
        try:
            _write(self._descriptor, header_bytes(header), slot * HEADER_BYTES)
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._take_back(error, slot * HEADER_BYTES, HEADER_BYTES)  # or what follows would be lost to a start
        self.header, self._slot = header, slot
        self.last, self.head, self._end, self.torn = safe, head, START, False
        self._doubtful.clear()
        if self._size > START + 2 * STEP:
            with suppress(OSError):  # it only takes more of the disk than it needs
                os.ftruncate(self._descriptor, START + STEP)
                self._size = START + STEP

    def settle(self) -> None:
        """Take back what could not be taken back so far. Raises UncertainEntryError as long as that is so."""
        try:
            for position, size in self._doubtful:
                _write(self._descriptor, bytes(size), position)
            if self._doubtful:
                os.fdatasync(self._descriptor)
        except OSError:
            raise UncertainEntryError(self._file) from None
        self._doubtful.clear()

    def lock(self) -> None:
        """Keep other processes from it as long as it is open. Raises StoreLockedError where one has it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise StoreLockedError(str(self._file)) from None

    def close(self) -> None:
        """Let the file go. Calling it again is a no-op."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _took(self, entry: Entry) -> None:
        self.last = entry.number
        self.head = entry.head or self.head
        self._end += FRAME_BYTES + len(entry.payload)

    def _take_back(self, why: OSError, position: int, size: int) -> NoReturn:
        """Make sure that what could not be written does not turn up later; raises what the caller is told."""
        self._doubtful.append((position, size))
        self.settle()
        raise _refusal(self._file, why) from None

    def _read(self, position: int, number: int | None) -> Entry | None:
        """The whole entry at `position`, with that number where one is given; None where there is none."""
        frame = os.pread(self._descriptor, FRAME_BYTES, position)
        found, size = number_and_size(frame) or (-1, 0)
        if found < 0 or number not in {None, found} or size > self._size - position:
            return None
        return entry_in(frame, os.pread(self._descriptor, size, position + FRAME_BYTES), self.header.salt)

    def _anything_behind(self) -> bool:
        position = self._end
        while piece := os.pread(self._descriptor, STEP, position):
            if piece != bytes(len(piece)):  # the fastest way to ask
                return True
            position += len(piece)
        return False

    def _anything_whole_behind(self) -> bool:
        rest = os.pread(self._descriptor, self._size, self._end)
        at = rest.find(MARK, 1)
        while at >= 0:
            entry = self._read(self._end + at, None)
            if entry is not None and entry.number > self.last:
                return True
            at = rest.find(MARK, at + 1)
        return False


def _write(descriptor: int, data: bytes, position: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, position)
        data, position = data[written:], position + written


def sync_folder(folder: Path) -> None:
    """See the names in a folder to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _damaged(file: Path) -> NoReturn:
    raise DamagedAnchorError(str(file))


def _refusal(file: Path, error: OSError) -> StoreError:
    return disk_error(error, file.parent, f"Nothing was written to {file}")
