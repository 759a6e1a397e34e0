"""Backups as files: written aside, proven, then put in their place."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from keycairn.app.services.backups.format import BackupHeader, Trailer, unpack
from keycairn.domain.errors import BackupFileError, DamagedBackupError
from keycairn.domain.keyset import Keyset
from keycairn.domain.record import Record

PART = ".part"
"""Ends the name of a file that is not finished."""
_CHUNK = 64 * 1024

Progress = Callable[[int], None]
"""Told how many bytes or records are done."""


def _silent(_: int) -> None:
    pass


class Contents(Struct, frozen=True, kw_only=True):
    """What a whole backup says about itself. `size` is that of the file, in bytes."""

    header: BackupHeader
    trailer: Trailer
    keyset: Keyset | None
    size: int


def examine(file: Path, progress: Progress = _silent) -> Contents:
    """Read all of a backup and prove it whole. `progress` gets bytes. Raises DamagedBackupError or BackupFileError."""
    with _readable(file) as stream:
        return examine_stream(stream, progress)


def examine_stream(stream: BinaryIO, progress: Progress = _silent) -> Contents:
    """As `examine`, from where `stream` stands."""
    start = stream.tell()
    header: BackupHeader | None = None
    trailer: Trailer | None = None
    keyset: Keyset | None = None
    for item in unpack(_chunks(stream, progress)):
        match item:
            case BackupHeader():
                header = item
            case Trailer():
                trailer = item
            case Keyset():
                keyset = item
    if header is None or trailer is None:
        raise DamagedBackupError("it is not a Keycairn backup")
    return Contents(header=header, trailer=trailer, keyset=keyset, size=stream.tell() - start)


def records_in(file: Path) -> Iterator[Record]:
    """The records of a backup, one at a time. Raises as `examine`; examine it first: the proof comes last."""
    with _readable(file) as stream:
        for item in unpack(_chunks(stream, _silent)):
            if not isinstance(item, BackupHeader | Trailer):
                yield item


@asynccontextmanager
async def placed(file: Path) -> AsyncIterator[BinaryIO]:
    """A file to write that only its owner can read; at the end it is proven a whole backup and put in its place.

    Where anything fails, what stood in its place is still there. Raises BackupFileError or DamagedBackupError.
    """
    part = file.with_name(file.name + PART)
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                os.fchmod(stream.fileno(), 0o600)
                yield stream
                await asyncio.to_thread(_prove, stream)
            part.replace(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(file.parent)
    except OSError as error:
        raise BackupFileError(f"{file} cannot be written: {error.strerror}.") from None


def _prove(stream: BinaryIO) -> None:
    """See to it that the file is on the disk, and whole there."""
    stream.flush()
    os.fsync(stream.fileno())
    stream.seek(0)
    examine_stream(stream)


@contextmanager
def _readable(file: Path) -> Iterator[BinaryIO]:
    try:
        with file.open("rb") as stream:
            yield stream
    except OSError as error:
        raise BackupFileError(f"{file} cannot be read: {error.strerror}.") from None


def _chunks(stream: BinaryIO, progress: Progress) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        progress(len(chunk))
        yield chunk


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
