"""A whole new database beside the one in use: built, seen to the disk, and put in its place by renaming.

It lies in a folder `<database>.ready` that appears by one rename when everything in it is on the disk: the database
and a redo log of its own. From then on it is the database; whoever opens the store brings it into place first. What is
in the database's folder is exchanged, and the folder stays: it is what is locked, and people may have made it a link.
"""

import os
import shutil
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from keycairn.adapters.disk import disk_error, is_full
from keycairn.adapters.redo_log import RedoLog, sync_folder
from keycairn.adapters.surreal.changesets import replay
from keycairn.adapters.surreal.embedded import SCHEME, EmbeddedConnection
from keycairn.adapters.surreal.migrating import migrate, unburden
from keycairn.adapters.surreal.place import PARTS
from keycairn.adapters.surreal.records import row_of
from keycairn.adapters.surreal.statements import Transaction
from keycairn.domain.audit import Head
from keycairn.domain.errors import StoreError, StoreFullError
from keycairn.domain.record import Record, kind_of

BATCH = 50
"""Records in one transaction."""
LITTLE_ROOM = 8 * 2**20
"""Bytes; what the engine could not write where that much found no place met a full disk."""


def redo_log_of(database: Path) -> Path:
    """Where the redo log of a database lies."""
    return database.with_name(database.name + ".redo")


class NewDatabase:
    """A database that is being built beside `database`. A left-over of an earlier one is removed."""

    def __init__(self, database: Path, connection: EmbeddedConnection) -> None:
        self._database = database
        self._connection = connection
        self._head: Head | None = None

    @classmethod
    async def begin(cls, database: Path, names: tuple[str, str]) -> "NewDatabase":
        """An empty one, its tables made. `names` are those of namespace and database. Raises StoreError."""
        draft = _draft(database)
        try:
            _remove(draft)
            draft.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise disk_error(error, database.parent, f"{draft} cannot be made") from None
        try:
            connection = await EmbeddedConnection.open(f"{SCHEME}{draft / 'db'}", namespace=names[0], database=names[1])
        except BaseException:
            _remove_quietly(draft)
            raise
        new = cls(database, connection)
        try:
            await migrate(connection.query)
            await unburden(connection.query)
        except BaseException:
            await new.abandon()
            raise
        return new

    async def fill(self, records: AsyncIterable[Record]) -> None:
        """Store `records`. Raises StoreError, or what they raise."""
        batch: list[Record] = []
        async for record in records:
            if batch and (len(batch) == BATCH or kind_of(batch[0]) != kind_of(record)):
                await self._insert(batch)
                batch = []
            batch.append(record)
            if isinstance(record, Head):
                self._head = record
        if batch:
            await self._insert(batch)

    async def replay(self, log: RedoLog) -> None:
        """Take in what the log of the present database holds."""
        await replay(log, self._connection.query)
        self._head = log.head

    @property
    def connection(self) -> EmbeddedConnection:
        """To it."""
        return self._connection

    def ends_at(self, head: Head | None) -> None:
        """Note where the audit chain ends, after something else than `fill` or `run` wrote to it."""
        self._head = head

    async def finish(self, *, store: str, number: int, proves: bool = True) -> None:
        """See all of it to the disk, as the content of `store` up to the changeset `number`; `proves` is as a header's.

        Raises StoreError.
        """
        ledger = Transaction()
        ledger.ledger(store, number)
        await self._connection.query(ledger.text, ledger.variables)
        await self._connection.close()
        draft = _draft(self._database)
        try:
            (draft / "db.lock").unlink(missing_ok=True)
            whole = tree_size(draft / "db")
            redo = draft / "redo"
            RedoLog.create(redo, store=store, safe=number, head=self._head, proves=proves, whole=whole).close()
            sync_tree(draft)
            draft.replace(_ready(self._database))
            sync_folder(self._database.parent)
        except OSError as error:
            _remove_quietly(draft)
            raise disk_error(error, self._database.parent, f"{draft} cannot be completed") from None

    async def abandon(self) -> None:
        """Remove it. What cannot be removed is removed before another one is built, and by a start."""
        await self._connection.close()
        _remove_quietly(_draft(self._database))

    async def _insert(self, batch: list[Record]) -> None:
        text = f"INSERT INTO {kind_of(batch[0])} $rows RETURN NONE"  # our own tables
        with no_room_told(self._database.parent):
            await self._connection.query(text, {"rows": [row_of(record) for record in batch]})


@contextmanager
def no_room_told(folder: Path) -> Iterator[None]:
    """A context from which StoreFullError is raised where the engine failed and `folder` is full: it does not say."""
    try:
        yield
    except StoreFullError:
        raise
    except StoreError as error:
        if is_full(folder, LITTLE_ROOM):
            raise StoreFullError(str(folder)) from error
        raise


def is_missing(database: Path) -> bool:
    """Whether no database is there: no file of the engine with a byte in it, and none that is ready.

    A build that was cut off leaves nothing that counts. Raises StoreError for a folder that cannot be looked into.
    """
    try:
        return not _ready(database).exists() and not any(_filled(database / part) for part in PARTS)
    except OSError as error:
        raise StoreError(f"The database folder {database} cannot be read: {error.strerror}.") from error


def take_place(database: Path) -> None:
    """Bring a new database that is ready into place. It may be repeated after a kill anywhere in it.

    Nobody else may have either open. Raises StoreError.
    """
    ready = _ready(database)
    new, former = ready / "parts", ready / "former"
    try:
        if not ready.exists():
            return
        if (ready / "redo").exists():
            (ready / "redo").replace(redo_log_of(database))
            sync_folder(database.parent)
        database.mkdir(mode=0o700, exist_ok=True)
        if (ready / "db").exists():
            former.mkdir(exist_ok=True)
            for name in {*PARTS, *(part.name for part in (ready / "db").iterdir())}:
                if (database / name).exists():
                    (database / name).replace(former / f"{name}-{token_hex(4)}")
            sync_folder(database)
            (ready / "db").replace(new)  # from here on, what is in place is the new one
            sync_folder(ready)
        if new.exists():
            for part in sorted(new.iterdir()):
                part.replace(database / part.name)
            sync_folder(database)
        _remove(ready)
        sync_folder(database.parent)
    except OSError as error:
        raise disk_error(error, database.parent, f"{ready} cannot be put in the place of {database}") from None


def discard_draft(database: Path) -> None:
    """Remove what a build that was cut off left. The store must be locked. Raises StoreError."""
    try:
        _remove(_draft(database))
    except OSError as error:
        raise StoreError(f"{_draft(database)} cannot be removed: {error.strerror}.") from None


def sync_tree(folder: Path) -> None:
    """See every file below `folder` to the disk, and the folders themselves. Raises OSError."""
    for parent, _, files in os.walk(folder):
        for file in files:
            try:
                descriptor = os.open(Path(parent) / file, os.O_RDONLY)
            except FileNotFoundError:
                continue  # the engine removed it meanwhile
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(parent))


def tree_size(folder: Path) -> int:
    """Bytes in the files below `folder`."""
    size = 0
    for parent, _, files in os.walk(folder):
        for file in files:
            with suppress(FileNotFoundError):  # the engine may remove it meanwhile
                size += (Path(parent) / file).stat().st_size
    return size


def _filled(part: Path) -> bool:
    return any(file.is_file() and file.stat().st_size for file in part.rglob("*"))


def _draft(database: Path) -> Path:
    return database.with_name(database.name + ".new")


def _ready(database: Path) -> Path:
    return database.with_name(database.name + ".ready")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _remove_quietly(folder: Path) -> None:
    with suppress(OSError):
        _remove(folder)
