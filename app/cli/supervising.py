"""The supervisor of `keycairn serve --workers N`: it holds the port and the data folder, and serves nothing itself.

Workers are processes of their own that accept on its socket, so a connection that waits outlives a worker that ends.
The first one opens the database, and makes what a first start makes, before the others begin.
"""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog

from keycairn.app.cli.running import RunningServer
from keycairn.app.cli.worker import Channel, MetricsPage, PageAsked, WorkerHello, WorkerOpened, words_for
from keycairn.app.web.merged_metrics import counted, merged

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds until a worker that ended is started anew: the first time, and the most it doubles to."""
LONG = 10.0
"""Seconds after which a worker counts as having run well."""
PAGE_WITHIN = 2.0
"""Seconds for a worker's page of metrics; the last one it gave stands in for it."""

_log = structlog.get_logger()


class WorkerSlot:
    """One of the workers, in whatever process it runs at the moment."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: asyncio.subprocess.Process | None = None
        self.channel: Channel | None = None
        self.has_opened: bool = False
        """Whether the process has opened the database, and so has a page of metrics."""
        self.page: bytes = b""
        """The last page of metrics of the process."""
        self.former: bytes = b""
        """What its processes before this one counted."""
        self.told: asyncio.Event = asyncio.Event()
        """Set when the page is the one that was asked for."""

    def ended(self) -> None:
        """Its process is gone; what it counted stays."""
        self.former, self.page = merged([self.former, counted(self.page)]), b""
        self.process, self.has_opened = None, False
        if self.channel is not None:
            self.channel.close()
        self.channel = None


class Supervisor:
    """Starts workers and keeps them running until it is told to stop."""

    def __init__(self, listener: socket.socket, server: RunningServer, words: Sequence[str], workers: int) -> None:
        """`words` are those of the command that serves, without what makes it a worker."""
        self._listener = listener
        self._server = server
        self._words = words
        self._members = [WorkerSlot(number) for number in range(workers)]
        self.begun: asyncio.Event = asyncio.Event()
        """Set once the first worker has opened the database, or nothing will come of it."""
        self._stops = asyncio.Event()
        self._code: int | None = None

    async def run(self) -> int:
        """Serve until `stop`; the exit code: that of the first worker where it never opened the database."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(self._members[0]))
            for member in self._members[1:]:
                group.create_task(self._kept_after_the_first(member))
        return self._code or 0

    def stop(self) -> None:
        """Have every worker finish what it does; the second time, cut it off."""
        self._stops.set()
        self.begun.set()
        self._listener.close()
        for member in self._members:
            if member.process is not None:
                with suppress(ProcessLookupError):
                    member.process.send_signal(signal.SIGTERM)

    async def _kept_after_the_first(self, member: WorkerSlot) -> None:
        await self.begun.wait()
        await self._keep(member)

    async def _keep(self, member: WorkerSlot) -> None:
        """Have a process for the worker, and another where it ends."""
        pause = SHORTEST_PAUSE
        while not self._stops.is_set():
            began = time.monotonic()
            code = await self._one(member)
            if not self.begun.is_set():
                self._code = code or 1
                self.stop()
            if self._stops.is_set():
                return
            pause = SHORTEST_PAUSE if time.monotonic() - began > LONG else min(LONGEST_PAUSE, 2 * pause)
            _log.warning("a worker ended and is started anew", worker=member.number, code=code)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stops.wait()

    async def _one(self, member: WorkerSlot) -> int:
        """Run one process of the worker to its end; its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.set_inheritable(True)
            member.process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "keycairn", "serve", *self._words),
                *("--as-worker", words_for(member.number, self._listener, theirs)),
                pass_fds=(self._listener.fileno(), theirs.fileno()),
                start_new_session=True,  # Ctrl-C is for the supervisor, which tells the workers
            )
        member.channel = await Channel.over(ours)
        if self._stops.is_set():
            process.terminate()
        await member.channel.send(WorkerHello(self._server))
        listening = asyncio.create_task(self._listen(member, member.channel))
        code = await process.wait()
        listening.cancel()
        member.ended()
        return code

    async def _listen(self, member: WorkerSlot, channel: Channel) -> None:
        async with asyncio.TaskGroup() as answers:
            while (message := await channel.receive()) is not None:
                match message:
                    case WorkerOpened():
                        member.has_opened = True
                        self.begun.set()
                    case PageAsked(number=number):
                        answers.create_task(self._answer(channel, number))
                    case MetricsPage(text=text):
                        member.page = text.encode()
                        member.told.set()
                    case _:
                        pass

    async def _answer(self, channel: Channel, number: int) -> None:
        await asyncio.gather(*(self._asked(member) for member in self._members))
        pages = [page for member in self._members for page in (member.former, member.page)]
        await channel.send(MetricsPage(number, merged(pages).decode()))

    async def _asked(self, member: WorkerSlot) -> None:
        """Have the newest page of a worker, where it gives one in time."""
        if member.channel is None or not member.has_opened:
            return
        member.told.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(PAGE_WITHIN):
                await member.channel.send(PageAsked(0))
                await member.told.wait()
