"""A connection to a database server that is watched, and made anew when it breaks."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from keycairn.adapters.surreal.rpc import BROKEN, RpcConnection, RpcError
from keycairn.domain.errors import StoreUnavailableError

Connect = Callable[[], Awaitable[RpcConnection]]

ASK_EVERY = 2.0
"""Seconds from one question whether the server still answers to the next."""
ANSWER_WITHIN = 4.0
"""Seconds for the answer; a server that takes longer is taken for gone."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.8
"""Seconds between two attempts to connect: the first, and the most it doubles to."""


class Link:
    """One connection of a pool. It connects by itself, from `start` to `close`."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._current: RpcConnection | None = None
        self._why_down: StoreUnavailableError | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.generation: int = 0
        """How many connections it has had."""
        self.under_way = 0
        """Requests without an answer; counted by whoever sends them."""

    def start(self) -> None:
        """Connect, and stay connected from then on."""
        if self._task is None:
            self._task = asyncio.create_task(self._supervise())

    @property
    def is_up(self) -> bool:
        """Whether a request can be sent at once."""
        return self._current is not None and not self._current.is_dead

    @property
    def is_down(self) -> bool:
        """Whether the last attempt to connect failed."""
        return not self.is_up and self._why_down is not None

    async def ready(self) -> RpcConnection:
        """The connection, once there is one. Raises StoreUnavailableError where the last attempt failed."""
        while True:
            if self._current is not None and not self._current.is_dead:
                return self._current
            if self._why_down is not None:
                raise self._why_down
            await self._changed.wait()

    def suspect(self, connection: RpcConnection) -> None:
        """A request on `connection` had no answer in time: take it for gone, and connect anew."""
        if self._current is connection:
            self._set(None, StoreUnavailableError())

    async def close(self) -> None:
        """Close the connection and make no other."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._set(None, StoreUnavailableError("The database is closed."))

    async def _supervise(self) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            try:
                connection = await self._connect()
            except StoreUnavailableError as error:
                self._set(None, error)
                longest = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2**failures)
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311  # jitter
                failures += 1
                continue
            self.generation += 1
            self._set(connection, None)
            try:
                await self._watch(connection)
            finally:
                self._set(None, self._why_down)
                connection.abort()
            if time.monotonic() - started > LONGEST_PAUSE:
                failures = 0

    async def _watch(self, connection: RpcConnection) -> None:
        """Return when the connection is gone, does not answer, or is suspected."""
        while self._current is connection and not connection.is_dead:
            ended = asyncio.ensure_future(connection.ended())
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({ended, changed}, timeout=ASK_EVERY, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
                changed.cancel()
            if self._current is connection and not connection.is_dead:
                try:
                    async with asyncio.timeout(ANSWER_WITHIN):
                        await connection.call("ping")
                except RpcError:
                    pass  # an answer all the same
                except BROKEN:
                    self.suspect(connection)

    def _set(self, connection: RpcConnection | None, why_down: StoreUnavailableError | None) -> None:
        self._current, self._why_down = connection, why_down
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
