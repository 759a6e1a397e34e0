"""What is done to a database that no service has open."""

from pathlib import Path

from msgspec.structs import replace

from keycairn.app.data_folder import former_root_keys, root_key_of, use_root_key
from keycairn.app.first_run import FirstRun, way_in
from keycairn.app.services.backups import Progress, Restore, Restored, right_key
from keycairn.app.settings import Settings
from keycairn.app.wiring import (
    keyset_opener,
    locked_data_folder,
    open_store,
    open_with_first_run,
    provider_registry,
)
from keycairn.domain.audit import IN_PROCESS, Action, Details
from keycairn.domain.errors import SettingsError
from keycairn.domain.rootkey import RootKey


async def restore_backup(
    settings: Settings, file: Path, progress: Progress = lambda *_: None, *, given: RootKey | None = None
) -> tuple[Restored, FirstRun]:
    """Put a backup into the empty database of `settings`, and prove record by record that it is there.

    Gives what is there, and what was made on the way: an admin token where the data folder has none that is good.

    With a root key at hand, one must open the backup: the one that is `given`, else the one that is set or a former one
    of the data folder; the one that does is that of the data folder from then on, where none is set otherwise. Without
    any, the secrets are restored unseen. Raises DamagedBackupError, BackupFileError, BackupKeyError, StoreNotEmptyError
    or StoreLockedError, and the database is as it was; RestoreMismatchError when it does not hold what was written.
    """
    if settings.in_memory:
        raise SettingsError("KEYCAIRN_DATABASE_URL is mem://, which ends with this command. Name a lasting database.")
    opener, registry, present = keyset_opener(), provider_registry(settings), root_key_of(settings)
    restore = Restore(file, progress)
    at_hand = [given] if given else [present, *former_root_keys(settings.data_dir)] if present else []
    candidates = [key for key in at_hand if key is not None]
    contents = await restore.examine(opener, *candidates)
    root_key = await right_key(opener, contents, *candidates) if candidates else None
    with locked_data_folder(settings):
        store = await open_store(settings, anew=True)
        try:
            await restore.into(store)
        finally:
            await store.aclose()
        store = await open_store(settings)  # anew: what the disk has, not what memory remembers
        try:
            restored = await restore.compare(store, contents, opener, registry, root_key)
        finally:
            await store.aclose()
    if root_key is None:
        return restored, FirstRun()
    if root_key != present and settings.root_key is None:
        use_root_key(settings.data_dir, root_key)
    return restored, await _record(replace(settings, root_key=root_key), restored)


async def accept_database(settings: Settings) -> None:
    """Go on with the database that is there, although its redo log says that it is another or an older one.

    Where the root key is at hand, the records that are there count as well, as far as the proof of each holds: those
    put back from an older state too, and those the audit log does not know of. What is missing is written into the
    audit log by this or the next start. Raises StoreLockedError or StoreError.
    """
    with locked_data_folder(settings):
        store = await open_store(settings, accept=True)
        await store.aclose()
    if root_key_of(settings) is not None:
        async with open_with_first_run(settings, accept=True):
            pass


async def _record(settings: Settings, restored: Restored) -> FirstRun:
    async with open_with_first_run(settings, beside=False) as (keycairn, first_run):
        details: Details = {"records": restored.records, "from": restored.install_id}
        event = keycairn.journal.event(IN_PROCESS, Action.STORE_RESTORED, "database", details=details)
        await keycairn.journal.commit((*await keycairn.key_rotations.rest(), event))
        token_file = first_run.token_file or await way_in(keycairn, settings)
    return replace(first_run, token_file=token_file)
