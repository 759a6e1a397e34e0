"""The work that goes on beside serving: what a start catches up on, scheduled backups, retention, counting."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

import structlog

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.audit import Keep
from keycairn.app.services.backups import Schedule
from keycairn.app.settings import Settings
from keycairn.domain.errors import KeycairnError

_log = structlog.get_logger()


@asynccontextmanager
async def background_tasks(keycairn: Keycairn, settings: Settings) -> AsyncIterator[None]:
    """A context in which they run. The vault must be open. At its end they stop, and what was counted is kept."""
    await _settle(keycairn)
    async with AsyncExitStack() as stack:

        def run(work: Coroutine[None, None, None]) -> None:
            stack.push_async_callback(_stop, asyncio.create_task(work))

        run(_startup_tasks(keycairn))
        stack.push_async_callback(keycairn.rotation.aclose)
        if settings.backup_dir:
            every = timedelta(hours=settings.backup_every)
            run(keycairn.backups.keep(Schedule(folder=settings.backup_dir, every=every, keep=settings.backup_keep)))
        keep = Keep(events=settings.audit_keep_days, usage=settings.usage_keep_days, tokens=settings.token_keep_days)
        run(keycairn.retention.run(keep))
        stack.push_async_callback(keycairn.audit_counters.flush)
        run(keycairn.audit_counters.run())
        run(keycairn.key_rotations.run())
        yield


async def _settle(keycairn: Keycairn) -> None:
    try:
        if dropped := await keycairn.root_keys.settle():
            _log.info("the new root key is proven, and the former one opens nothing any more", dropped=dropped)
    except KeycairnError as error:
        _log.warning("the slot of a former root key stays until the next start", code=error.code)


async def _startup_tasks(keycairn: Keycairn) -> None:
    """What every start catches up on, beside serving: a rotation that was cut off, secrets that do not open."""
    try:
        if await keycairn.rotation.resume():
            _log.info("finished the key rotation that was under way")
        if broken := await keycairn.credential_opener.sweep():
            _log.warning("some stored secrets do not open", credentials=broken)
    except KeycairnError as error:
        _log.warning("could not check the stored secrets", code=error.code)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
