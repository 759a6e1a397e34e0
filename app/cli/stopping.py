"""Ending the service on signals, with everything that was counted written down."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
import uvicorn

GRACE = 10.0
"""Seconds requests under way get to finish when the service stops; none after a second signal."""
CUT = 3.0
"""Seconds requests that are cut off get to note what they used."""
LAST_CALL = 0.2
"""Seconds in which requests on their way on open connections still come in; each answer ends its connection."""
GLANCE = 0.05
"""Seconds between two looks at what is still under way."""
STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Sent by a terminal that closes, and by programs that rotate log files; there is none to open anew."""

_log = structlog.get_logger()


def _nothing() -> None: ...


class Stopping:
    """What the process does on signals, from before the database is opened until after it is closed.

    The first one that stops calls what `calls` was given first, each later one the second.
    """

    def __init__(self) -> None:
        self.asked: bool = False
        self._stop: Callable[[], object] = _nothing
        self._hurry: Callable[[], object] = _nothing

    def calls(self, stop: Callable[[], object] = _nothing, hurry: Callable[[], object] = _nothing) -> None:
        """What to call from now on."""
        self._stop, self._hurry = stop, hurry

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """A context in which signals come here; only the main thread can have them.

        After it the process is at its end, and ignores them.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in STOP:
            loop.add_signal_handler(number, self.signalled)
        for number in IGNORED:
            loop.add_signal_handler(number, _ignored, number)
        try:
            yield
        finally:
            for number in (*STOP, *IGNORED):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)

    def signalled(self) -> None:
        """A signal to stop."""
        asked, self.asked = self.asked, True
        (self._hurry if asked else self._stop)()


def _ignored(number: signal.Signals) -> None:
    _log.info("a signal was ignored", signal=signal.Signals(number).name)


class GracefulServer(uvicorn.Server):
    """Ends by `stop`, sooner by `hurry`; in both cases the application is shut down when no request uses it any more.

    uvicorn's own way raises the signal again before the database is closed, and skips the application's shutdown in a
    hurry.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._hurried = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `Stopping`."""
        yield

    def stop(self) -> None:
        """Take no more requests, and let those under way finish."""
        self.should_exit = True

    def hurry(self) -> None:
        """Cut off the requests under way."""
        self._hurried = True

    async def shutdown(self, sockets: Any = None) -> None:
        """End all requests, then the application."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        if self.server_state.connections and not self._hurried:
            self.server_state.default_headers.append((b"connection", b"close"))
            await asyncio.sleep(LAST_CALL)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._idle(GRACE):
            for task in self.server_state.tasks:
                task.cancel()
            if not await self._tasks_done(CUT):
                _log.warning("requests did not end in time", requests=len(self.server_state.tasks))
            for connection in list(self.server_state.connections):
                with suppress(AttributeError):  # WebSockets have another transport
                    connection.transport.abort()
        await self.lifespan.shutdown()

    async def _idle(self, seconds: float) -> bool:
        """Wait until nothing is under way; whether that came about in time, and in no hurry."""
        end = time.monotonic() + seconds
        state = self.server_state
        while state.connections or state.tasks:
            if time.monotonic() > end or self._hurried:
                return False
            await asyncio.sleep(GLANCE)
        return True

    async def _tasks_done(self, seconds: float) -> bool:
        if not self.server_state.tasks:
            return True
        _, pending = await asyncio.wait(self.server_state.tasks, timeout=seconds)
        return not pending
