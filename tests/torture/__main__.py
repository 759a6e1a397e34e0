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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from tests.torture import KILLS, SEED
from tests.torture.kills import KINDS, BrokenPromiseError, Killer
from tests.torture.report import write_report
from tests.torture.restores import Restores

KEPT = Path(os.environ.get("KEYCAIRN_TORTURE_DIR", ".torture"))
JOBS = int(os.environ.get("KEYCAIRN_TORTURE_JOBS", "2"))
STEP = 30
"""How many are done between two notes of it."""
SLOW = frozenset({"Relink", "Register", "Cascade"})


class Driver(Protocol):
    """Does its work until there was enough of it. Raises BrokenPromiseError."""

    name: str
    promise: str
    done: int

    def run(self, until: int) -> None: ...


class Task:
    """One kind of torture, and how often it is wanted."""

    def __init__(self, group: str, name: str, wanted: int, make: Callable[[Path, int], Driver]) -> None:
        self.group, self.name, self.wanted, self.make = group, name, wanted, make


def tasks(folder: Path) -> list[Task]:
    """All there is. The kills are spread evenly, but for the kinds that take long, which get half as many."""
    kills: list[Task] = []
    shares = {kind: 1 if kind.__name__ in SLOW else 2 for kind in KINDS}
    total = sum(shares.values()) + 2
    for kind, share in shares.items():
        wanted = -(-KILLS * share // total)
        kills.append(Task("kills", kind.name, wanted, lambda place, first, kind=kind: Killer(kind, place, first=first)))
    kills.append(
        Task("kills", Restores.name, -(-KILLS * 2 // total), lambda place, first: Restores(place, first=first))
    )
    return kills


class Notes:
    """What was done so far, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self.rows: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}

    def done(self, task: Task) -> int:
        """How much of a task is done."""
        return int(self.rows.get(f"{task.group}: {task.name}", {}).get("done", 0))

    def note(self, task: Task, driver: Driver, seconds: float, broken: str = "") -> None:
        """Remember how far a task came."""
        with self._lock:
            empty = {"group": task.group, "name": task.name, "promise": driver.promise, "broken": [], "seconds": 0.0}
            row = self.rows.setdefault(f"{task.group}: {task.name}", {**empty, "seed": SEED})
            row["done"] = driver.done
            row["seconds"] = round(row["seconds"] + seconds, 1)
            row.update(getattr(driver, "figures", {}))
            row["broken"] += [broken] if broken else []
            draft = self._file.with_suffix(".new")
            draft.write_text(json.dumps(self.rows, indent=1))
            draft.replace(self._file)


def carry_out(task: Task, folder: Path, notes: Notes) -> None:
    """Do what is left of a task."""
    place = folder / f"{task.group}-{abs(hash(task.name))}"
    place.mkdir(parents=True, exist_ok=True)
    while (done := notes.done(task)) < task.wanted:
        driver = task.make(place, done)
        begun, broken = time.monotonic(), ""
        try:
            driver.run(min(done + STEP, task.wanted))
        except BrokenPromiseError as error:
            broken = str(error)
            driver.done += 1  # go on with other moments
        notes.note(task, driver, time.monotonic() - begun, broken)
    row = notes.rows[f"{task.group}: {task.name}"]
    print(f"{task.group}: {task.name}: {row['done']} done, {len(row['broken'])} broken, seed {SEED}", flush=True)
    for why in row["broken"]:
        print(f"  {why}", flush=True)


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
    print(f"KEYCAIRN_SEED={SEED}", flush=True)
    with tempfile.TemporaryDirectory(dir=chosen.folder or (shared if shared.is_dir() else None)) as name:
        wanted = [
            task for task in tasks(Path(name)) if not chosen.names or any(each in task.name for each in chosen.names)
        ]
        random.Random(SEED).shuffle(wanted)  # noqa: S311  # no secret
        with ThreadPoolExecutor(JOBS) as pool:
            for end in [pool.submit(carry_out, task, Path(name), notes) for task in wanted]:
                end.result()
    write_report(notes.rows)
    return int(any(row["broken"] for row in notes.rows.values()))


if __name__ == "__main__":
    sys.exit(main())
