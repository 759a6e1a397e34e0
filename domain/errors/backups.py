"""Backups and what is restored from them."""

from keycairn.domain.errors.root import KeycairnError
from keycairn.domain.errors.store import StoreError


class StoreNotEmptyError(StoreError):
    """Something is stored already where a backup was to be restored."""

    code = "store_not_empty"
    remedy = "Restore into another data folder or database, or move the present data away."

    def __init__(self) -> None:
        super().__init__(
            "The database is not empty, and a backup is restored into an empty one only. Nothing was changed. "
            "Give another KEYCAIRN_DATA_DIR or KEYCAIRN_DATABASE_URL, or move the present data away first."
        )


class RestoringError(StoreError):
    """A restore writes into the database, or was cut off within the last minute."""

    code = "store_restoring"
    remedy = "Wait until the restore is done, or a minute where it was cut off."

    def __init__(self) -> None:
        super().__init__(
            "A backup is being restored into this database. Wait until that is done; if it was cut off, "
            "the database is empty again in a minute."
        )


class DamagedBackupError(KeycairnError):
    """A file is not a backup, or not a whole one. `why` is a short clause."""

    code = "backup_damaged"
    remedy = "Take another copy of the backup."

    def __init__(self, why: str) -> None:
        super().__init__(f"The backup cannot be used: {why}. Nothing was changed; take another copy of it.")


class BackupFileError(KeycairnError):
    """A backup's file or folder cannot be read or written. The message names it and says why."""

    code = "backup_file"
    remedy = "Mend the path or its permissions, as the sentence says."


class RestoreMismatchError(KeycairnError):
    """Read back after a restore, the database holds something else than the backup."""

    code = "restore_mismatch"
    remedy = "Do not use this database; check the disk and restore again."

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The database does not hold what was restored into it: {what} differs. Do not use it. "
            "Remove it, check the disk, and restore again."
        )
