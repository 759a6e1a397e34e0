"""Backups of a running store."""

import asyncio
import re
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import structlog
from msgspec import Struct

from keycairn import __version__
from keycairn.app.services.audit import Journal
from keycairn.app.services.backups.file import PART, placed
from keycairn.app.services.backups.format import BackupHeader, Packer, Trailer
from keycairn.domain.audit import IN_PROCESS, SYSTEM, Action, Caller, Details
from keycairn.domain.errors import BackupFileError, ConflictError, KeycairnError
from keycairn.domain.record import Record
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store

ATTEMPTS = 10
"""How often a snapshot is begun anew when other instances write meanwhile."""
PIECE = 200
"""Records packed at a time; calls under way go on in between."""
SOONEST = timedelta(minutes=5)
"""After a backup failed the next is tried no sooner than this."""
_NAME = re.compile(r"keycairn-(\d{8}T\d{6}Z)\.backup\.gz(\.part)?", re.ASCII)
_STAMP = "%Y%m%dT%H%M%SZ"

_log = structlog.get_logger()


class Saved(Struct, frozen=True, kw_only=True):
    """A backup that was written and proven. `size` in bytes."""

    file: str
    size: int
    records: int
    counts: dict[str, int]


class Kept(Struct, frozen=True):
    """A backup of the backup folder, and when it was begun."""

    file: Path
    taken: datetime


class Schedule(Struct, frozen=True, kw_only=True):
    """Where backups go by themselves, how often, and how many are kept."""

    folder: Path
    every: timedelta = timedelta(hours=24)
    keep: int = 7


class Backups:
    """Takes everything that is stored, as it is at one moment, secrets sealed as they are.

    `folder` is where backups go that nobody gives a name for; None where there is none, as for a store in memory.
    `pause` is the first one, in seconds, when other instances write meanwhile.
    """

    def __init__(
        self, store: Store, journal: Journal, clock: Clock, folder: Path | None = None, *, pause: float = 0.1
    ) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._folder = folder
        self._pause = pause

    async def write(self, stream: BinaryIO) -> Trailer:
        """Write a backup to a file. Raises ConflictError when other instances write all the time."""
        for attempt in range(ATTEMPTS):
            stream.seek(0)
            stream.truncate()
            try:
                return await self._write(stream)
            except ConflictError:
                await asyncio.sleep(self._pause * 2 ** min(attempt, 5))
        raise ConflictError("Others wrote to the database all the time. Nothing was kept; try again when it is calmer.")

    async def spool(self, *, by: Caller = IN_PROCESS, handover: bool = False) -> BinaryIO:
        """A backup in a file without a name, from its start, for sending: a slow receiver must not hold up writers.

        Recorded before anything is handed out, with the purpose of a `handover`. Raises SealedError as any change does.
        """
        await self._record(by, handover=handover)
        if self._folder:
            _make(self._folder)
        stream: BinaryIO | None = None
        try:
            stream = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # the caller closes it
            await self.write(stream)
            stream.seek(0)
        except BaseException as error:
            if stream:
                stream.close()
            if isinstance(error, OSError):
                raise BackupFileError(f"A backup cannot be prepared: {error.strerror}.") from None
            raise
        return stream

    async def save(self, *, by: Caller = IN_PROCESS, file: Path | None = None) -> Saved:
        """Write a backup to `file`, or to a new file of the backup folder. Raises BackupFileError or SealedError."""
        target = file or self._next(self._clock.now())
        await self._record(by)
        return await self.save_unrecorded(target)

    async def save_unrecorded(self, file: Path | None = None) -> Saved:
        """As `save`, when nothing can be recorded because the root key is lost."""
        file = file or self._next(self._clock.now())
        async with placed(file) as stream:
            trailer = await self.write(stream)
            size = stream.tell()
        return Saved(file=str(file), size=size, records=trailer.records, counts=dict(trailer.counts))

    async def keep(self, schedule: Schedule) -> None:
        """Write a backup whenever the youngest is old enough, and drop the oldest; until cancelled."""
        while True:
            wait = SOONEST
            try:
                wait = self.due_in(schedule)
                if wait <= timedelta(0):
                    saved = await self.rotate(schedule)
                    _log.info("backup written", file=saved.file, records=saved.records)
                    continue
            except KeycairnError as error:
                _log.error("the scheduled backup failed", detail=str(error))  # its text says it all
                wait = SOONEST
            await asyncio.sleep(min(wait, timedelta(hours=1)).total_seconds())

    def kept(self) -> list[Kept]:
        """The backups of the folder, oldest first; none where there is no folder. Raises BackupFileError."""
        files = _backups(self._folder) if self._folder else []
        return [Kept(file, taken) for file in files if (taken := _taken(file))]

    def due_in(self, schedule: Schedule) -> timedelta:
        """How long until the next scheduled backup; zero or less when it is due."""
        now = self._clock.now()
        times = [taken for file in _backups(schedule.folder) if (taken := _taken(file)) and taken <= now]
        return max(times) + schedule.every - now if times else timedelta(0)

    async def rotate(self, schedule: Schedule) -> Saved:
        """Write one scheduled backup; then remove the oldest ones beyond the number kept, and what was cut off."""
        _make(schedule.folder)
        before = _backups(schedule.folder)
        saved = await self.save(by=SYSTEM, file=_named(schedule.folder, self._clock.now()))
        _drop([*before[: max(0, len(before) + 1 - schedule.keep)], *_cut_off(schedule.folder)])
        return saved

    async def _write(self, stream: BinaryIO) -> Trailer:
        keyset = await self._store.keyset()
        packer = Packer(
            BackupHeader(created=self._clock.now(), version=__version__, install_id=keyset.install_id if keyset else "")
        )
        piece: list[Record] = []
        async with self._store.snapshot() as records:
            async for record in records:
                piece.append(record)
                if len(piece) == PIECE:
                    stream.write(await asyncio.to_thread(packer.pack, piece))
                    piece = []
        stream.write(await asyncio.to_thread(packer.pack, piece) + packer.finish())
        return packer.trailer

    async def _record(self, by: Caller, *, handover: bool = False) -> None:
        details: Details = {"for": "another root key"} if handover else {}
        await self._journal.commit((self._journal.event(by, Action.STORE_BACKED_UP, "database", details=details),))

    def _next(self, now: datetime) -> Path:
        if self._folder is None:
            raise BackupFileError("There is no folder for backups. Set KEYCAIRN_BACKUP_DIR.")
        _make(self._folder)
        return _named(self._folder, now)


def _named(folder: Path, now: datetime) -> Path:
    return folder / f"keycairn-{now.strftime(_STAMP)}.backup.gz"


def _taken(file: Path) -> datetime | None:
    """When a file of ours was begun, by its name; None for the files of others."""
    match = _NAME.fullmatch(file.name)
    try:
        return datetime.strptime(f"{match[1]}+0000", f"{_STAMP}%z") if match else None
    except ValueError:
        return None


def _ours(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if _taken(file)) if folder.exists() else []
    except OSError as error:
        raise BackupFileError(f"{folder} cannot be read: {error.strerror}.") from None


def _backups(folder: Path) -> list[Path]:
    """The scheduled backups, oldest first."""
    return [file for file in _ours(folder) if not file.name.endswith(PART)]


def _cut_off(folder: Path) -> list[Path]:
    return [file for file in _ours(folder) if file.name.endswith(PART)]


def _drop(files: list[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise BackupFileError(f"{file} cannot be removed: {error.strerror}.") from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackupFileError(f"{folder} cannot be made: {error.strerror}.") from None
