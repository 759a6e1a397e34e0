"""Backups over HTTP."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Controller, get
from litestar.params import QueryParameter
from litestar.response import Stream

from keycairn.app.web.auth import Options
from keycairn.app.web.downloads import MEDIA_TYPE, backup_stream
from keycairn.app.web.inputs import TheCaller, TheKeycairn
from keycairn.domain.token import Scope

KEEPER: Options = {"scope": Scope.ADMIN, "installation": True}

RekeyedBackup = Annotated[
    bool,
    QueryParameter(description="Put on record that it is taken to be sealed anew for another root key, by its owner."),
]


class BackupController(Controller):
    """Take everything along, sealed as it is."""

    path = "/api/backup"
    tags: Sequence[str] | None = ("Backup",)

    @get("/", opt=KEEPER, operation_id="create_backup", summary="Take a backup", media_type=MEDIA_TYPE)
    async def take(self, keycairn: TheKeycairn, caller: TheCaller, *, handover: RekeyedBackup = False) -> Stream:
        """Everything that is stored, at one moment, in one file; its secrets open with the root key only.

        The file proves itself to be whole; see docs/backup.md. Taking it is on record in the audit log.
        """
        return await backup_stream(keycairn, caller, handover=handover)
