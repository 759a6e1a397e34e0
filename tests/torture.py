"""Processes that are killed at random moments.

The number of kills is KEYCAIRN_KILLS (default 10), their moments follow from KEYCAIRN_SEED.
"""

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

KILLS = int(os.environ.get("KEYCAIRN_KILLS", "10"))
SEED = int(os.environ.get("KEYCAIRN_SEED", "20260101"))

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.backer"])


def moments() -> random.Random:
    """The same moments for the same seed."""
    return random.Random(SEED)  # noqa: S311  # no secret


class Doomed:
    """A process that runs `work(say, *args)`. What it says before it dies is heard, whole messages only."""

    def __init__(self, work: Callable[..., None], *args: str) -> None:
        self._ear, mouth = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(target=_run, args=(work, mouth, args), daemon=True)
        self._process.start()
        mouth.close()
        self.heard: list[str] = []

    def hear(self, deadline: float = 60.0) -> str | None:
        """The next thing it says; None when it has ended, or the deadline (seconds) has passed."""
        try:
            if not self._ear.poll(deadline):
                return None
            word: str = self._ear.recv()
        except (EOFError, OSError):
            return None
        self.heard.append(word)
        return word

    def kill_after(self, seconds: float) -> bool:
        """Kill it then; whether it was still at work. `heard` then holds everything it ever said."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self._process.is_alive():
            self.hear(left)
        killed = self._process.is_alive()
        self._process.kill()
        self._process.join()
        while self.hear(0) is not None:
            pass
        self._ear.close()
        return killed and self._process.exitcode != 0

    def end(self) -> None:
        """Let it come to its end."""
        while self.hear() is not None:
            pass
        self._process.join()
        self._ear.close()


def _run(work: Callable[..., None], mouth: Connection, args: tuple[str, ...]) -> None:
    work(mouth.send, *args)
