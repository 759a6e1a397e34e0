"""The work that goes on beside serving: what a start catches up on, scheduled backups, retention, counting."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

import structlog

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.audit import Keep
from keycairn.app.services.backups import Schedule
from keycairn.app.settings import Settings
from keycairn.domain.errors import KeycairnError
from keycairn.ports.store import Store

LOOKS_EVERY = 1.0
"""Seconds from one look whether this process still leads to the next."""

_log = structlog.get_logger()


@asynccontextmanager
async def background_tasks(keycairn: Keycairn, settings: Settings, *, beside: bool = True) -> AsyncIterator[None]:
    """A context in which they run, or with `beside` false, do not.

    The vault must be open. At its end they stop, and what was counted is kept.
    """
    await _settle(keycairn)
    if not beside:
        yield
        return
    async with AsyncExitStack() as stack:

        def run(work: Coroutine[None, None, None]) -> None:
            stack.push_async_callback(_stop, asyncio.create_task(work))

        def run_where_leading(work: Callable[[], Coroutine[None, None, None]]) -> None:
            run(while_leading(keycairn.store, work))

        run_where_leading(partial(_startup_tasks, keycairn))
        stack.push_async_callback(keycairn.rotation.aclose)
        if settings.backup_dir:
            every = timedelta(hours=settings.backup_every)
            schedule = Schedule(folder=settings.backup_dir, every=every, keep=settings.backup_keep)
            run_where_leading(partial(keycairn.backups.keep, schedule))
        keep = Keep(events=settings.audit_keep_days, usage=settings.usage_keep_days, tokens=settings.token_keep_days)
        run_where_leading(partial(keycairn.retention.run, keep))
        stack.push_async_callback(keycairn.audit_counters.flush)
        run(keycairn.audit_counters.run())
        if not settings.in_memory:
            run(keycairn.audit_watch.run(shared=not settings.embedded))
        run(keycairn.key_rotations.run())
        yield


async def while_leading(
    store: Store, work: Callable[[], Coroutine[None, None, None]], *, looks_every: float = LOOKS_EVERY
) -> None:
    """Do `work` while this process is the one of all that does it, until it is done, or cancelled.

    It is broken off where another process takes its place, and begun again where it comes back.
    """
    task: asyncio.Task[None] | None = None
    try:
        while task is None or not task.done():
            if store.leads and task is None:
                task = asyncio.create_task(work())
            elif task is not None and not store.leads:
                await _stop(task)
                task = None
            if task is None:
                await asyncio.sleep(looks_every)
            else:
                await asyncio.wait([task], timeout=looks_every)
        await task
    finally:
        if task is not None:
            await _stop(task)


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
