"""Full disks: one operation meets the end of the disk at one page of it.

Two ways in turns: the files of the process may not grow beyond a page (RLIMIT_FSIZE, stepped by 4,096 bytes through the
operation), or a disk of a few MB is filled up to some pages while the operation runs. Two ends in turns: the process is
killed and started again where there is room; or room comes back and it must go on by itself.
"""

import json
import os
import random
import resource
import shutil
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.torture import Doomed, moments
from tests.torture.books import PIECEWISE, Books, Op, differences
from tests.torture.kills import BrokenPromiseError, outcome
from tests.torture.victim import live

PAGE = 4096
DISK = 32 * 2**20
"""Bytes of the small disk."""
ACCOUNTS = 40
PATIENCE = 300.0
"""Seconds a process gets for one step, on a machine that has much else to do."""


class Operation:
    """What meets the full disk. `pages` is about how much it writes."""

    def __init__(self, name: str, pages: int, *ops: Op, while_starting: bool = False, first: bool = False) -> None:
        self.name, self.pages, self.ops = name, pages, list(ops)
        self.while_starting = while_starting
        self.first = first


OPERATIONS = (
    Operation("one change", 6, ["rename", "i1", "n"]),
    Operation("register of 500 models", 260, ["register", "i1", "r", 500]),
    Operation("migrate_to of 500 models", 300, ["move", "big", "i1"]),
    Operation("delete of an account with 500 models", 120, ["delete", "big"]),
    Operation("import of 100 rows", 200, ["import", 1000, 100]),
    Operation("data-key rotation", 60, ["rotate"]),
    Operation("root-key change", 12, ["root", 0, 1, False]),
    Operation("backup", 20, ["backup", ""]),
    Operation("compaction", 250, ["compact"]),
    Operation("checkpoint", 4, ["checkpoint"]),
    Operation("retention", 30, ["retain"]),
    Operation("start", 60, while_starting=True),
    Operation("first start", 60, while_starting=True, first=True),
)


class FullDisks:
    """Lets one operation meet a full disk, again and again, from number `first` on."""

    promise = (
        "refused means nothing of it is there, accepted means all of it is; reading goes on, and writing does when "
        "there is room, with a restart and without"
    )

    def __init__(self, operation: Operation, folder: Path, *, first: int = 0) -> None:
        self.operation, self.folder = operation, folder
        self.name = operation.name
        self.done = first
        self.seen: Counter[str] = Counter()

    def run(self, until: int) -> None:
        """Go on until there were `until` of them. Raises BrokenPromiseError."""
        with SmallDisk(self.folder / "disk") as disk:
            prepared = disk.place / "prepared"
            books = Books() if self.operation.first else furnished(prepared)
            while self.done < until:
                data = disk.place / "data"
                disk.empty()
                shutil.rmtree(data, ignore_errors=True)
                if not self.operation.first:
                    shutil.copytree(prepared, data)
                _Once(self, disk, data, books.copy(), moments(f"{self.name} {self.done}")).run()
                self.done += 1


class SmallDisk:
    """A disk of a few MB, where one may be mounted; else a folder, which never fills up."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.mounted = False

    def __enter__(self) -> Self:
        self.place.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.place)]
        with suppress(OSError):
            self.mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603
        return self

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.place)], check=False)  # noqa: S603, S607
        shutil.rmtree(self.place, ignore_errors=True)

    def fill(self, free: int) -> None:
        """Fill it up but for `free` bytes."""
        if not self.mounted:
            return
        with (self.place / "ballast").open("ab", buffering=0) as ballast, suppress(OSError):
            while (left := self._free() - free) > 0:
                ballast.write(bytes(min(left, 2**20)))

    def empty(self) -> None:
        """Make room again."""
        (self.place / "ballast").unlink(missing_ok=True)

    def _free(self) -> int:
        found = os.statvfs(self.place)
        return found.f_bavail * found.f_frsize


def furnished(data: Path) -> Books:
    """A store on which every operation works, and its books."""
    shutil.rmtree(data, ignore_errors=True)
    ops: list[Op] = [["import", 1, ACCOUNTS], ["create", "big", "sk-big-0123456789"], ["register", "big", "b", 500]]
    ops += [["chat", "big", "b-7"], ["usage", 3], ["later"]]
    process = Doomed(live, json.dumps({"data": str(data), "roots": [0]}))
    process.hear_until("ready")
    process.tell(json.dumps({"ops": ops}))
    process.tell("null")
    process.end()
    books = Books()
    for number, op in enumerate(ops):
        if outcome(process.heard, number) != "done":
            raise BrokenPromiseError(f"not furnished: {process.heard[-3:]}")
        books.apply(op)
    return books


class _Once:
    """One meeting of an operation with a full disk."""

    def __init__(self, test: FullDisks, disk: SmallDisk, data: Path, books: Books, chance: random.Random) -> None:
        self.test, self.disk, self.data, self.books, self.chance = test, disk, data, books, chance
        number = test.done
        self.page = number * 7 % test.operation.pages
        self.by_limit = number % 2 == 0 or not disk.mounted
        self.by_itself = number // 2 % 2 == 1

    def run(self) -> None:
        if self.test.operation.while_starting:
            self._starting()
        else:
            self._working()

    def _starting(self) -> None:
        if not self.test.operation.first:
            self._leave_something_to_replay()
        if self.by_limit:
            process = self._process(limit=self._largest() + self.page * PAGE)
        else:
            self.disk.fill(self.page * PAGE)
            process = self._process()
        process.hear_until("ready", PATIENCE)
        process.kill_after(0)
        self.test.seen["start refused" if any(word.startswith("failed") for word in process.heard) else "started"] += 1
        self._no_fault(process)
        self._start_again([self.books])

    def _working(self) -> None:
        ops = [[*op[:1], f"{self.data}.gz"] if op[0] == "backup" else op for op in self.test.operation.ops]
        process = self._process()
        if not process.hear_until("ready", PATIENCE):
            raise BrokenPromiseError(self._said(process, "it did not start"))
        if self.by_limit:
            self._limit(process, self._largest() + self.page * PAGE)
        process.tell(json.dumps({"ops": ops}))
        process.hear_until("begin 0")
        if not self.by_limit:
            time.sleep(self.chance.uniform(0, 0.2))
            self.disk.fill(self.page * PAGE)
        if not process.hear_until("more", PATIENCE):
            raise BrokenPromiseError(self._said(process, "it says nothing"))
        ended = outcome(process.heard, 0)
        self._count(ended)
        process.tell(json.dumps({"ops": [["read"]], "first": 1}))
        process.hear_until("more", PATIENCE)
        if outcome(process.heard, 1) != "done":
            raise BrokenPromiseError(self._said(process, "nothing can be read"))
        possible = self._possible(ops[0], ended)
        if self.by_itself:
            possible = self._goes_on(process, possible)
        process.kill_after(0)
        self._no_fault(process)
        root = 1 if ops[0][0] == "root" and ended in {"done", "pending"} else 0
        self._start_again(possible, roots=[root, 1 - root])

    def _possible(self, op: Op, ended: str) -> list[Books]:
        if ended == "done" or (ended == "pending" and op[0] not in PIECEWISE):
            after = self.books.copy()
            after.apply(op)
            return [after]
        if ended.startswith("refused") and op[0] not in PIECEWISE:
            return [self.books]
        return self.books.possible(op)  # what stops at a commit has made those before, and one that is pending

    def _goes_on(self, process: Doomed, possible: list[Books]) -> list[Books]:
        """There is room again: a change is accepted without a restart."""
        self.disk.empty()
        self._limit(process, resource.RLIM_INFINITY)
        op: Op = ["rename", "i2", "went on"]
        process.tell(json.dumps({"ops": [op, ["ping"]], "first": 2, "again": True}))
        process.hear_until("more", PATIENCE)
        if (outcome(process.heard, 2), outcome(process.heard, 3)) != ("done", "done"):
            raise BrokenPromiseError(self._said(process, "it does not go on when there is room"))
        for books in possible:
            books.apply(op)
        return possible

    def _leave_something_to_replay(self) -> None:
        process = self._process()
        process.hear_until("ready", PATIENCE)
        op: Op = ["register", "i1", "l", 200]
        process.tell(json.dumps({"ops": [op]}))
        process.hear_until("done 0", PATIENCE)
        process.kill_after(0)
        self.books.apply(op)

    def _start_again(self, possible: list[Books], roots: list[int] | None = None) -> None:
        self.disk.empty()
        process = self._process(roots=roots)
        process.hear_until("ready", PATIENCE)
        process.tell(json.dumps({"ops": [["usage", 1]]}))
        process.tell("null")
        process.end()
        self._no_fault(process, starting=True)
        found = next((word[6:] for word in process.heard if word.startswith("state ")), None)
        if found is None or outcome(process.heard, 0) != "done":
            raise BrokenPromiseError(self._said(process, "it does not start when there is room"))
        if all(books.text != found for books in possible):
            raise BrokenPromiseError(self._said(process, differences(found, possible[0].text)))

    def _process(self, *, limit: int | None = None, roots: list[int] | None = None) -> Doomed:
        return Doomed(live, json.dumps({"data": str(self.data), "roots": roots or [0], "limit": limit}))

    def _limit(self, process: Doomed, size: int) -> None:
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, most))

    def _largest(self) -> int:
        """Bytes of the largest file of the engine."""
        files = [file.stat().st_size for file in (self.data / "db").rglob("*") if file.is_file()]
        return max(files, default=0)

    def _count(self, ended: str) -> None:
        kind = {"done": "accepted", "pending": "pending"}.get(ended, "refused")
        self.test.seen[kind] += 1

    def _no_fault(self, process: Doomed, *, starting: bool = False) -> None:
        for word in process.heard:
            if word.startswith(("fault", "flaw", "unreadable")) or (starting and word.startswith("failed")):
                raise BrokenPromiseError(self._said(process, word))

    def _said(self, process: Doomed, what: str) -> str:
        how = "limit" if self.by_limit else "ballast"
        how += f" at page {self.page}, {'by itself' if self.by_itself else 'killed'}"
        last = [word[:200] for word in process.heard[-6:]]
        return f"{self.test.name}, number {self.test.done} ({how}): {what[:3000]} (heard last: {last})"
