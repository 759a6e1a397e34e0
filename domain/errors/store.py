"""The database, the redo log beside it, and their files."""

from keycairn.domain.errors.root import KeycairnError


class StoreError(KeycairnError):
    """The database refused or failed."""

    code = "store_error"
    remedy = "Try again; if it stays, see the service's log and `keycairn doctor`."

    def __init__(self, message: str = "The database could not do this. Nothing was written.") -> None:
        super().__init__(message)


class StoreUnavailableError(StoreError):
    """The database cannot be reached, or was closed."""

    code = "store_unavailable"
    remedy = "Try again shortly; see that the database runs and can be reached."

    def __init__(self, message: str = "The database cannot be reached. Try again shortly.") -> None:
        super().__init__(message)


class OutcomeUnknownError(StoreUnavailableError):
    """The database went away around a change: it may be there or not. `event` is the audit event that tells."""

    code = "outcome_unknown"
    remedy = "Read again before repeating; the named audit event is there if the change was made."

    def __init__(self, event: str | None = None) -> None:
        tell = f" The audit event {event} will be there if it was." if event else ""
        super().__init__(
            "The database broke off during a write, and it is unknown whether it was carried out. "
            "Read again before repeating it." + tell
        )
        self.event = event


class ConnectionLostError(StoreError):
    """The connection broke after the request was handed over: it may have been carried out or not."""

    remedy = "Read again before repeating."


class RetryableConflictError(StoreError):
    """Another writer was faster; the same transaction may succeed when it is run again."""

    remedy = "Repeat."


class StoreLockedError(StoreError):
    """Another process holds the embedded database."""

    code = "store_locked"
    remedy = "Stop the other process, or use its HTTP API."

    def __init__(self, path: str) -> None:
        super().__init__(f"Another Keycairn process is using the database at {path}. Stop it, or use its HTTP API.")


class DataFolderLockedError(StoreLockedError):
    """Another process holds the data folder."""

    remedy = "Stop the other process, or use its HTTP API."

    def __init__(self, path: str) -> None:
        StoreError.__init__(
            self, f"Another Keycairn process is using the data folder {path}. Stop it, or use its HTTP API."
        )


class StoreFullError(StoreError):
    """There is no room for a change on the disk. Nothing of it was kept."""

    code = "store_full"
    remedy = "Make room on the disk; reading goes on meanwhile."

    def __init__(self, where: str, why: str = "the disk is full") -> None:
        super().__init__(f"Nothing was written: {why} at {where}. Reading goes on; make room, and writing does too.")


class CommitPendingError(StoreError):
    """A change is kept for good, but the database has not taken it in yet. `event` is the audit event to look for."""

    code = "commit_pending"
    remedy = "Do not repeat it; read again shortly."

    def __init__(self, event: str | None) -> None:
        where = f" Its audit event is {event}." if event else ""
        super().__init__(
            "The change is kept and will be there, but the database cannot show it yet. Read again before repeating it."
            + where
        )
        self.event = event


class UnreadableRecordError(StoreError):
    """A stored record is not one that Keycairn wrote. `kind` and `key` name it; `why` is a short clause, no value."""

    code = "unreadable_record"
    remedy = "See `keycairn doctor`; restore a backup, or discard the record."

    def __init__(self, kind: str, key: str, why: str) -> None:
        super().__init__(f"The stored {kind} {key} cannot be read: {why}.")
        self.kind: str = kind
        self.key: str = key
        self.why: str = why


class RefusedRecordError(UnreadableRecordError):
    """A stored record is not as it was left: its proof does not hold, or the audit log knows a later one."""

    code = "refused_record"
    remedy = "See `keycairn doctor`; somebody else wrote to the database. Restore a backup, or discard the record."

    def __init__(self, kind: str, key: str, why: str) -> None:
        StoreError.__init__(self, f"The stored {kind} {key} is refused: {why}.")
        self.kind: str = kind
        self.key: str = key
        self.why: str = why


class RecordsUnknownError(StoreError):
    """The records are not those that were left, and the audit log that would tell which ones are has gaps."""

    code = "records_unknown"
    remedy = "Restore a backup, or accept what is there with `keycairn doctor --accept-database`."

    def __init__(self) -> None:
        super().__init__(
            "The records in the database are not those that were left, and the audit log that would tell which has "
            "gaps: somebody else wrote to it, or it is damaged. Restore a backup. To go on with what is there, stop "
            "the service and use: keycairn doctor --accept-database"
        )


class RedoLogError(StoreError):
    """The redo log and the database do not belong together, or what lies between them is gone. Nothing was changed."""

    code = "redo_log"
    remedy = "Bring the database and the data folder that belong together; else `keycairn doctor --accept-database`."


class UncertainEntryError(StoreError):
    """Something could neither be written nor taken back, so that a restart may find it or not."""

    code = "redo_log_uncertain"
    remedy = "See to the disk and start again, which settles what was kept."

    def __init__(self, file: object) -> None:
        super().__init__(f"{file} cannot be written, and it is unknown how much of it reached the disk.")


class StoreMovedError(StoreUnavailableError):
    """The folder of the embedded database was moved or replaced while it is open."""

    code = "store_moved"
    remedy = "Put the folder back, or stop the service and start it on the folder that is meant."

    def __init__(self, path: str) -> None:
        super().__init__(
            f"The folder {path} was moved or replaced while Keycairn uses it. Nothing was written. "
            "Put it back, or stop Keycairn and start it on the folder that is meant."
        )


class DamagedAnchorError(StoreError):
    """The file with the head of the audit chain is not what was written."""

    code = "anchor_damaged"
    remedy = "Check the disk; `keycairn doctor` tells whether the audit log is whole."

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} is damaged, so it cannot prove that the database has lost nothing.")
