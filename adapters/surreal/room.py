"""How much of the disk a store leaves free, so that what makes room can always be written."""

import os
from pathlib import Path

from keycairn.domain.errors import StoreFullError

RESERVE = 16 * 2**20
"""Bytes that stay free when something new is stored; a twentieth of a small disk, where that is less."""
LAST = 4
"""Changes and deletions of what is there may use all but this part of the reserve."""
GROWTH = 6
"""How many bytes of the disk an entry of one byte may take, in the log, the database and its indexes."""


class Room:
    """The disk below a folder. `reserve` is in bytes."""

    def __init__(self, folder: Path, reserve: int | None = None) -> None:
        self._folder = folder
        self._reserve = RESERVE if reserve is None else reserve

    @classmethod
    def of(cls, database: Path | None, reserve: int | None) -> "Room | None":
        """The disk a database lies on, None for one in memory."""
        return None if database is None else cls(database.parent, reserve)

    def check(self, size: int, *, grows: bool) -> None:
        """Raise StoreFullError where there is no room for an entry of `size` bytes.

        `grows` tells whether it adds records; what only changes or removes some may use most of the reserve.
        """
        try:
            disk = os.statvfs(self._folder)
        except OSError as error:
            raise StoreFullError(str(self._folder), (error.strerror or "the disk does not answer").lower()) from None
        if disk.f_flag & os.ST_RDONLY:
            raise StoreFullError(str(self._folder), "the disk is read-only")
        reserve = self.least_of(self._reserve, disk.f_blocks * disk.f_frsize)
        if disk.f_bavail * disk.f_frsize < GROWTH * size + (reserve if grows else reserve // LAST):
            raise StoreFullError(str(self._folder))

    @staticmethod
    def least_of(reserve: int, disk: int) -> int:
        """The reserve on a disk of so many bytes."""
        return min(reserve, disk // 20)
