"""Runs all of it: `python -m tests.torture [NAME ...]`, and writes what came of it into docs/reliability.md.

What is done is kept in KEYCAIRN_TORTURE_DIR (default .torture), so that a run that was cut off goes on where it ended.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from tests.torture import DAMAGES, FAILING_DISKS, FULL_DISKS, KILLS, SCHEDULES, SEED, SERVER_KILLS
from tests.torture.damage import FILES, Damages
from tests.torture.disks import OPERATIONS, FullDisks, Operation
from tests.torture.failures import WORKING, FailingDisks
from tests.torture.kills import KINDS, BrokenPromiseError, Killer, Work
from tests.torture.leftovers import CASES, Leftovers
from tests.torture.readonly import READ_ONLY, ReadOnly
from tests.torture.report import write_report
from tests.torture.restores import Restores
from tests.torture.schedules import Schedules
from tests.torture.servers import SERVERS, ServerKills
from tests.torture.steps import WALKS, Steps, Walk

KEPT = Path(os.environ.get("KEYCAIRN_TORTURE_DIR", ".torture"))
JOBS = int(os.environ.get("KEYCAIRN_TORTURE_JOBS", "2"))
STEP = 15
"""How many are done between two notes of it."""
EVERY = 100_000
"""More steps than any operation has: it is walked until it is over."""
SLOW = frozenset({"Relink", "Register", "Cascade"})


class Driver(Protocol):
    """Does its work until there was enough of it. Raises BrokenPromiseError."""

    name: str
    promise: str
    done: int
    seen: Counter[str]

    def run(self, until: int) -> None: ...


class Task:
    """One kind of torture, and how often it is wanted."""

    def __init__(
        self, group: str, name: str, wanted: int, make: Callable[[Path, int], Driver], *, step: int = STEP
    ) -> None:
        self.group, self.name, self.wanted, self.make, self.step = group, name, wanted, make, step


def tasks() -> list[Task]:
    """All there is, spread evenly over the kinds; of kills that take long there are half as many."""
    shares = {kind: 1 if kind.__name__ in SLOW else 2 for kind in KINDS}
    total = sum(shares.values()) + 2
    found = [
        Task("kills", kind.name, _part(KILLS * share, total), partial(_killer, kind)) for kind, share in shares.items()
    ]
    found.append(
        Task("kills", Restores.name, _part(KILLS * 2, total), lambda place, first: Restores(place, first=first))
    )
    for operation in OPERATIONS:
        wanted = _part(FULL_DISKS, len(OPERATIONS))
        found.append(Task("full disks", operation.name, wanted, partial(_full_disks, operation)))
    for files in FILES:
        for killed in (True, False):
            make = partial(_damages, files, killed)
            found.append(Task("damages", make(Path(), 0).name, _part(DAMAGES, 2 * len(FILES)), make))
    for operation in WORKING:
        wanted = _part(FAILING_DISKS, len(WORKING))
        found.append(Task("failing disks", operation.name, wanted, partial(_failing_disks, operation)))
    found += [Task("steps", walk.name, EVERY, partial(_steps, walk)) for walk in WALKS]
    found.append(
        Task("left-overs", Leftovers.name, len(CASES), lambda place, first: Leftovers(place, first=first), step=30)
    )
    found += [Task("unwritable disks", way, 4, partial(_read_only, way)) for way in READ_ONLY]
    found += [Task("server kills", kind.name, SERVER_KILLS, partial(_server_kills, kind)) for kind in SERVERS]
    found.append(
        Task("interleavings", Schedules.name, SCHEDULES, lambda place, first: Schedules(place, first=first), step=500)
    )
    return found


def _part(whole: int, parts: int) -> int:
    return -(-whole // parts)


def _killer(kind: type[Work], place: Path, first: int) -> Driver:
    return Killer(kind, place, first=first)


def _full_disks(operation: Operation, place: Path, first: int) -> Driver:
    return FullDisks(operation, place, first=first)


def _failing_disks(operation: Operation, place: Path, first: int) -> Driver:
    return FailingDisks(operation, place, first=first)


def _steps(walk: Walk, place: Path, first: int) -> Driver:
    return Steps(walk, place, first=first)


def _server_kills(kind: type[ServerKills], place: Path, first: int) -> Driver:
    return kind(place, first=first)


def _read_only(way: str, _: Path, first: int) -> Driver:
    return ReadOnly(way, first=first)


def _damages(files: str, killed: bool, place: Path, first: int) -> Driver:  # noqa: FBT001  # after a kill, or closed
    return Damages(files, place, killed=killed, first=first)


class Notes:
    """What was done so far, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self.rows: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}

    def done(self, task: Task) -> int:
        """How much of a task is done."""
        return int(self.rows.get(f"{task.group}: {task.name}", {}).get("done", 0))

    def over(self, task: Task) -> bool:
        """Whether a task that ends by itself has ended."""
        return bool(self.rows.get(f"{task.group}: {task.name}", {}).get("over"))

    def note(self, task: Task, driver: Driver, seconds: float, broken: str = "") -> None:
        """Remember how far a task came."""
        with self._lock:
            empty = {"group": task.group, "name": task.name, "promise": driver.promise, "broken": [], "seconds": 0.0}
            row = self.rows.setdefault(f"{task.group}: {task.name}", {**empty, "seed": SEED})
            row["done"] = driver.done
            row["over"] = getattr(driver, "over", False)
            row["seconds"] = round(row["seconds"] + seconds, 1)
            seen = Counter(row.get("seen", {}))
            seen.update(driver.seen)
            row["seen"] = dict(seen)
            row["broken"] += [broken] if broken else []
            draft = self._file.with_suffix(".new")
            draft.write_text(json.dumps(self.rows, indent=1))
            draft.replace(self._file)


def tell(line: str) -> None:
    """Say it to whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def carry_out(task: Task, folder: Path, notes: Notes) -> None:
    """Do what is left of a task."""
    place = folder / blake2b(f"{task.group} {task.name}".encode(), digest_size=4).hexdigest()
    place.mkdir(parents=True, exist_ok=True)
    while (done := notes.done(task)) < task.wanted and not notes.over(task):
        driver = task.make(place, done)
        begun, broken = time.monotonic(), ""
        try:
            driver.run(min(done + task.step, task.wanted))
        except BrokenPromiseError as error:
            broken = str(error)
            driver.done += 1  # go on with other moments
        notes.note(task, driver, time.monotonic() - begun, broken)
    row = notes.rows[f"{task.group}: {task.name}"]
    tell(f"{task.group}: {task.name}: {row['done']} done, {len(row['broken'])} broken, seed {SEED}")
    for why in row["broken"]:
        tell(f"  {why}")


def main() -> int:
    """Run, and give the exit code: 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("names", nargs="*", help="only the kinds whose name contains one of these")
    parser.add_argument(
        "--folder", type=Path, help="where the stores lie; default a folder in memory, where there is one"
    )
    chosen = parser.parse_args()
    shared = Path("/dev/shm")  # noqa: S108  # a folder of our own in it
    KEPT.mkdir(exist_ok=True)
    notes = Notes(KEPT / "results.json")
    tell(f"KEYCAIRN_SEED={SEED}")
    with tempfile.TemporaryDirectory(dir=chosen.folder or (shared if shared.is_dir() else None)) as name:
        wanted = [
            task
            for task in tasks()
            if not chosen.names or any(each in f"{task.group}: {task.name}" for each in chosen.names)
        ]
        random.Random(SEED).shuffle(wanted)  # noqa: S311  # no secret
        with ThreadPoolExecutor(JOBS) as pool:
            for end in [pool.submit(carry_out, task, Path(name), notes) for task in wanted]:
                end.result()
    write_report(notes.rows)
    return int(any(row["broken"] for row in notes.rows.values()))


if __name__ == "__main__":
    sys.exit(main())
