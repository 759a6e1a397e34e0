"""Backups: the file format, taking one, restoring one, and handing one over under another root key."""

from keycairn.app.services.backups.backups import Backups, Kept, Schedule
from keycairn.app.services.backups.file import examine, placed, records_in
from keycairn.app.services.backups.rekeyed import RekeyedBackup
from keycairn.app.services.backups.restore import Progress, Restore, Restored, right_key

__all__ = [
    "Backups",
    "Kept",
    "Progress",
    "RekeyedBackup",
    "Restore",
    "Restored",
    "Schedule",
    "examine",
    "placed",
    "records_in",
    "right_key",
]
