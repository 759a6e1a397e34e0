"""From a database URL to a store that is migrated, whole and ready."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from keycairn.adapters.former_anchor import forget_former, former_head
from keycairn.adapters.redo_log import RedoLog
from keycairn.adapters.surreal.building import (
    NewDatabase,
    discard_draft,
    is_missing,
    no_room_told,
    redo_log_of,
    take_place,
)
from keycairn.adapters.surreal.dialect import dialect_of
from keycairn.adapters.surreal.embedded import MEMORY, SCHEME, EmbeddedConnection
from keycairn.adapters.surreal.embedded_store import EmbeddedStore
from keycairn.adapters.surreal.migrating import Query, migrate, unburden
from keycairn.adapters.surreal.place import place_of
from keycairn.adapters.surreal.remote import RemoteConnection
from keycairn.adapters.surreal.restoring import NONE, PATIENCE, Claim
from keycairn.adapters.surreal.room import Room
from keycairn.adapters.surreal.server_log import ServerLog
from keycairn.adapters.surreal.statements import LEDGER, Transaction
from keycairn.adapters.surreal.store import SurrealStore
from keycairn.domain.errors import (
    ConnectionLostError,
    DamagedAnchorError,
    MissingDatabaseError,
    RedoLogError,
    SettingsError,
    StoreUnavailableError,
)
from keycairn.domain.secret import Secret

SERVER_LOG = "server.redo"
"""The name of a server's redo log, in the data folder."""

Fill = Callable[[EmbeddedStore], Awaitable[None]]
"""Puts into a new database what it begins with."""


async def open_surreal(  # noqa: PLR0913  # what an operator can say of a database
    url: str,
    *,
    namespace: str = "keycairn",
    database: str = "keycairn",
    user: str | None = None,
    password: Secret | None = None,
    deadline: float = 10.0,
    authorities: str = "",
    anchor_file: Path | None = None,
    reserve: int | None = None,
    anew: bool = False,
    accept: bool = False,
    fill: Fill | None = None,
    worker: int = 0,
) -> SurrealStore | EmbeddedStore:
    """The store at `url`: `ws://`, `wss://`, `surrealkv://<path>` or `mem://`.

    `deadline` is how long, in seconds, a server may take to connect or to answer; `authorities`, in PEM, are
    the only ones that `wss://` believes, else the system's are. `anchor_file` is where a
    Keycairn without a redo log kept the head of the audit chain; a server's redo log is in the same folder, None keeps
    none. `reserve` is how many bytes of the disk stay free. Where an embedded database is gone, `anew` makes a
    new one; where its redo log is not its own, or is further, `accept` goes on with the database. What
    `fill` puts into a new embedded database on the disk is in it from the first moment on. Of several processes with
    one data folder each `worker` has a server's redo log of its own. Raises
    SettingsError for another kind of URL, StoreLockedError, RedoLogError, StoreError when the folder cannot be opened
    or was written by a newer Keycairn, RestoringError while another process restores, StoreUnavailableError when a
    server cannot be reached.
    """
    if url.startswith(("ws://", "wss://")):
        remote = RemoteConnection(
            url,
            namespace=namespace,
            database=database,
            user=user,
            password=password,
            deadline=deadline,
            authorities=authorities,
        )
        return await _open_server(remote, anchor_file, worker)
    if url != MEMORY and not (url.startswith(SCHEME) and url != SCHEME):
        raise SettingsError("The database URL must be surrealkv://<path>, mem://, ws://<host> or wss://<host>.")
    connection = EmbeddedConnection.locked(url, namespace=namespace, database=database)
    return await _open_embedded(
        connection,
        (namespace, database),
        anchor_file,
        Room.of(connection.folder, reserve),
        anew=anew,
        accept=accept,
        fill=fill,
    )


def missing_store(url: str) -> Path | None:
    """The folder that `url` names, where it is one and no database is in it. Raises StoreError."""
    folder = Path(url.removeprefix(SCHEME))
    return folder if url.startswith(SCHEME) and is_missing(place_of(folder)) else None


async def _open_server(connection: RemoteConnection, anchor_file: Path | None, worker: int) -> SurrealStore:
    log: ServerLog | None = None
    store: SurrealStore | None = None
    joins = False
    try:
        dialect = dialect_of(await connection.version())
        await _prepared(connection.query)
        if anchor_file is None:
            log = ServerLog(None)
        else:
            file = anchor_file.with_name(SERVER_LOG if worker == 0 else f"server-{worker}.redo")
            joins = worker > 0 and not file.exists()
            log = ServerLog(file, former_head=former_head(anchor_file))
            forget_former(anchor_file)
        store = SurrealStore(connection, dialect, log)
        await store.start()
        if joins:  # the first worker has compared what is stored with what was acknowledged
            await store.vouch()
    except BaseException:
        if store is not None:
            await store.aclose()
            raise
        if log is not None:
            log.close()
        await connection.close()
        raise
    return store


async def _prepared(query: Query) -> None:
    """Define the tables, and remove what a restore left behind that was cut off."""
    try:
        await migrate(query)
        claim = Claim(query)
        if await claim.take_over(patience=PATIENCE):
            await claim.give_up()
    except ConnectionLostError:
        raise StoreUnavailableError from None


async def _open_embedded(
    connection: EmbeddedConnection,
    names: tuple[str, str],
    anchor_file: Path | None,
    room: Room | None,
    *,
    anew: bool,
    accept: bool,
    fill: Fill | None,
) -> EmbeddedStore:
    folder = connection.folder
    log: RedoLog | None = None
    try:
        if folder is not None:
            await _there(folder, names, anew=anew, fill=fill)
        await connection.resume()
        dialect = dialect_of(await connection.version())
        await migrate(connection.query)
        await unburden(connection.query)
        claim = Claim(connection.query)
        if await claim.take_over(patience=NONE):
            await claim.give_up()  # a restore by a Keycairn that did not build beside was cut off
        if folder is not None:
            log = await _matched(connection, redo_log_of(folder), anchor_file, accept=accept)
        store = EmbeddedStore(connection, dialect, names=names, log=log, room=room)
        await store.roll_forward()
        await store.load()
        await store.checkpoint()
        forget_former(anchor_file)
    except BaseException:
        if log is not None:
            log.close()
        await connection.close()
        raise
    return store


async def _there(folder: Path, names: tuple[str, str], *, anew: bool, fill: Fill | None) -> None:
    """See to it that there is a database in `folder`. Raises MissingDatabaseError where there was one and is none."""
    take_place(folder)
    discard_draft(folder)
    if not is_missing(folder):
        return
    redo = redo_log_of(folder)
    if redo.exists():  # a glance at the start
        if not anew:
            raise MissingDatabaseError(str(folder), str(redo))
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        redo.replace(redo.with_name(f"{redo.name}.former-{stamp}"))  # as above
    with no_room_told(folder.parent):
        await _build(folder, names, fill)
    take_place(folder)


async def _build(folder: Path, names: tuple[str, str], fill: Fill | None) -> None:
    """Make a new database ready."""
    new = await NewDatabase.begin(folder, names)
    try:
        if fill is not None:
            dialect = dialect_of(await new.connection.version())
            store = EmbeddedStore(new.connection, dialect, names=names, log=None, room=None)
            await store.load()
            await fill(store)
            new.ends_at(await store.head())
        await new.finish(store=token_hex(16), number=0)
    except BaseException:
        await new.abandon()
        raise


async def _matched(connection: EmbeddedConnection, file: Path, former_anchor: Path | None, *, accept: bool) -> RedoLog:
    """The redo log that belongs to the database; a new one where there never was one.

    Where it cannot prove what was acknowledged (it is gone, damaged, or older than the database), a new one takes its
    place that says so: its `proves` is False. Raises RedoLogError when the database is not the log's, or is older.
    """
    found = (await connection.query("SELECT * FROM $id", {"id": LEDGER}))[-1]
    store, number = _noted(found[0]) if found else (None, 0)
    try:
        log = RedoLog.open(file)
    except DamagedAnchorError:
        if store is None:
            raise
        return RedoLog.create(file, store=store, safe=number, proves=False)
    if accept and log is not None and (log.header.store != store or number < log.header.safe):
        head = log.head
        log.close()
        log = RedoLog.create(file, store=store or token_hex(16), safe=number, head=head)
    elif store is None and log is not None and log.last > 0:
        log.close()
        raise _not_ours(file)
    if store is None:
        head = former_head(former_anchor) if log is None else None
        log = log or RedoLog.create(file, store=token_hex(16), head=head)
        first = Transaction()
        first.ledger(log.header.store, log.last)
        await connection.query(first.text, first.variables)
        return log
    if log is None:
        return RedoLog.create(file, store=store, safe=number, proves=False)
    if log.header.store != store:
        log.close()
        raise _not_ours(file)
    if number < log.header.safe:
        log.close()
        raise RedoLogError(
            f"The database is older than its redo log {file}: it ends at change {number}, and the log begins behind "
            f"change {log.header.safe}, so changes that were acknowledged are missing. Put the newer database back, or "
            "restore a backup. To go on with what is there, use: keycairn doctor --accept-database"
        )
    if number > log.last:
        log.shorten(safe=number, head=None, proves=False)
    return log


def _noted(ledger: Mapping[str, object]) -> tuple[str, int]:
    """The store and the changeset that the ledger names; a store that is nobody's where somebody else wrote it."""
    store, number = ledger.get("store"), ledger.get("number")
    return (store, number) if isinstance(store, str) and isinstance(number, int) else ("", 0)


def _not_ours(file: Path) -> RedoLogError:
    return RedoLogError(
        f"The redo log {file} belongs to another database than the one beside it, or that one is damaged. Put the "
        "right one back, or restore a backup. To go on with the database that is there, use: "
        "keycairn doctor --accept-database"
    )
