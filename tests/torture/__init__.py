"""Processes that are killed, disks that fill up, files that are damaged, changes that meet: nothing is lost or half.

`python -m tests.torture` runs all of it and writes docs/reliability.md; the tests run a slice of each. How much is
done follows from KEYCAIRN_KILLS, KEYCAIRN_FULL_DISKS, KEYCAIRN_FAILING_DISKS, KEYCAIRN_SERVER_KILLS, KEYCAIRN_SCHEDULES
and KEYCAIRN_DAMAGES, at which moments from KEYCAIRN_SEED; steps and left-overs are gone through one by one.
"""

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

KILLS = int(os.environ.get("KEYCAIRN_KILLS", "5"))
FULL_DISKS = int(os.environ.get("KEYCAIRN_FULL_DISKS", "10"))
FAILING_DISKS = int(os.environ.get("KEYCAIRN_FAILING_DISKS", "10"))
SCHEDULES = int(os.environ.get("KEYCAIRN_SCHEDULES", "300"))
SERVER_KILLS = int(os.environ.get("KEYCAIRN_SERVER_KILLS", "2"))
DAMAGES = int(os.environ.get("KEYCAIRN_DAMAGES", "60"))
SEED = int(os.environ.get("KEYCAIRN_SEED", "20260101"))

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.backer", "tests.torture.victim", "keycairn.app.wiring"])


def moments(kind: str = "") -> random.Random:
    """The same moments for the same seed; others for another `kind`."""
    return random.Random(f"{SEED} {kind}" if kind else SEED)  # noqa: S311  # no secret


class Mouth:
    """Says things to whoever started the process, and waits for its answers."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    def __call__(self, word: str) -> None:
        self._line.send(word)

    def answer(self) -> str:
        """What it was told next."""
        word: str = self._line.recv()
        return word


class Doomed:
    """A process that runs `work(say, *args)`; `say` is a `Mouth`.

    What it says before it dies is heard, whole messages only.
    """

    def __init__(self, work: Callable[..., None], *args: str) -> None:
        self._ear, mouth = _FORKS.Pipe()
        self._process = _FORKS.Process(target=_run, args=(work, mouth, args), daemon=True)
        self._process.start()
        mouth.close()
        self.heard: list[str] = []

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

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

    def tell(self, word: str) -> None:
        """Say something to it; a process that is gone does not hear it."""
        with suppress(OSError):
            self._ear.send(word)

    def hear_until(self, word: str, deadline: float = 60.0) -> bool:
        """Listen until it says something that begins with `word`; whether it did."""
        end = time.monotonic() + deadline
        while (said := self.hear(max(0.0, end - time.monotonic()))) is not None:
            if said.startswith(word):
                return True
        return False

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
        while self.hear(300.0) is not None:
            pass
        self._process.join()
        self._ear.close()


def _run(work: Callable[..., None], mouth: Connection, args: tuple[str, ...]) -> None:
    work(Mouth(mouth), *args)
