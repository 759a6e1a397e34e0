"""Backups over HTTP."""

from collections.abc import AsyncIterator
from typing import Annotated, BinaryIO

from litestar import Controller, get
from litestar.background_tasks import BackgroundTask
from litestar.params import QueryParameter
from litestar.response import Stream

from keycairn.app.api.inputs import TheCaller, TheKeycairn
from keycairn.app.keycairn import Keycairn
from keycairn.domain.audit import Caller
from keycairn.domain.token import Scope

KEEPER = {"scope": Scope.ADMIN, "installation": True}
MEDIA_TYPE = "application/gzip"
_PIECE = 64 * 1024

RekeyedBackup = Annotated[
    bool,
    QueryParameter(description="Put on record that it is taken to be sealed anew for another root key, by its owner."),
]


class BackupController(Controller):
    """Take everything along, sealed as it is."""

    path = "/api/backup"
    tags = ("Backup",)

    @get("/", opt=KEEPER, operation_id="create_backup", summary="Take a backup", media_type=MEDIA_TYPE)
    async def take(self, keycairn: TheKeycairn, caller: TheCaller, *, handover: RekeyedBackup = False) -> Stream:
        """Everything that is stored, at one moment, in one file; its secrets open with the root key only.

        The file proves itself to be whole; see docs/backup.md. Taking it is on record in the audit log.
        """
        return await backup_stream(keycairn, caller, handover=handover)


async def backup_stream(keycairn: Keycairn, caller: Caller, *, handover: bool = False) -> Stream:
    """A backup as an answer that is downloaded. Raises as `Backups.spool`."""
    file = await keycairn.backups.spool(by=caller, handover=handover)
    size = file.seek(0, 2)
    file.seek(0)
    stamp = keycairn.clock.now().strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f'attachment; filename="keycairn-{stamp}.backup.gz"',
        "Cache-Control": "no-store",
    }
    return Stream(_pieces(file), media_type=MEDIA_TYPE, headers=headers, background=BackgroundTask(_close, file))


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece


async def _close(file: BinaryIO) -> None:
    """For an answer nobody read to its end."""
    file.close()
