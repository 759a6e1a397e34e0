"""Backups: those that are kept, one more, one to take along, and how to restore."""

from typing import Any

from litestar import Response, get, post
from litestar.response import Stream

from keycairn.app.page.view import TheView, View
from keycairn.app.web.auth import Options
from keycairn.app.web.downloads import backup_stream
from keycairn.domain.errors import BackupFileError
from keycairn.domain.token import Scope

KEEPER: Options = {"scope": Scope.ADMIN, "installation": True}
SHOWN = 50


@get("/backups", opt=KEEPER, include_in_schema=False)
async def backups(view: TheView) -> Response[Any]:
    """What is kept, the youngest first."""
    return _page(view)


@post("/backups", opt=KEEPER, include_in_schema=False)
async def make(view: TheView) -> Response[Any]:
    """Write one into the backup folder."""
    await view.form()
    try:
        await view.keycairn.backups.save(by=view.caller)
    except BackupFileError as error:
        return _page(view, str(error), 503)
    return view.seen("/backups", "backed-up")


@post("/backups/download", opt=KEEPER, include_in_schema=False)
async def download(view: TheView) -> Stream:
    """One to take along, sealed as everything is. Taking it is on record."""
    await view.form()
    return await backup_stream(view.keycairn, view.caller)


def _page(view: View, why: str = "", status: int = 200) -> Response[Any]:
    kept, problem = [], why
    try:
        kept = [(one.file.name, one.taken, one.file.stat().st_size) for one in view.keycairn.backups.kept()]
    except (BackupFileError, OSError) as error:
        problem = problem or str(error)
    return view.page("backups.html", status=status, kept=kept[::-1][:SHOWN], count=len(kept), why=problem)
