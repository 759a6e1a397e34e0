"""Ending a call whose client is gone, or that takes too long."""

import asyncio
from types import TracebackType
from typing import Self

from keycairn.app.gateway.call import CALL_WITHIN
from keycairn.app.gateway.request_body import ClientGoneError, Incoming
from keycairn.domain.errors import ProviderTimeoutError

GRACE = 0.1
"""Seconds before the client's connection is watched. A call that is over by then, as embeddings are even where many are
under way, is spared the cost of a task."""


class DisconnectGuard:
    """A context that cancels the task inside of it, and raises ClientGoneError or ProviderTimeoutError instead."""

    __slots__ = ("_incoming", "_task", "_timer", "_watcher", "_why")

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._watcher: asyncio.Task[None] | None = None
        self._why: type[Exception] | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(GRACE, self._watch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._why is None or self._task is None:
            return
        others = self._task.uncancel()
        if kind is asyncio.CancelledError and not others:
            raise self._why from None

    def _watch(self) -> None:
        self._watcher = asyncio.create_task(self._until_gone())
        self._timer = asyncio.get_running_loop().call_later(CALL_WITHIN - GRACE, self._end, ProviderTimeoutError)

    async def _until_gone(self) -> None:
        await self._incoming.gone()
        self._end(ClientGoneError)

    def _end(self, why: type[Exception]) -> None:
        if self._why is None and self._task is not None:
            self._why = why
            self._task.cancel()
