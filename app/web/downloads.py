"""A backup as an answer that is downloaded."""

from collections.abc import AsyncIterator
from typing import BinaryIO

from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

from keycairn.app.keycairn import Keycairn
from keycairn.domain.audit import Caller

MEDIA_TYPE = "application/gzip"
_PIECE = 64 * 1024


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
