"""Disks that fail: one operation meets calls that fail, once, a few times, or for ever, with the errors of bad disks.

What fails are the calls by which this process writes to the disk and sees it there; not those of the engine. Two ends
in turns: the process is killed and started again on a disk that works; or the disk works again and it must go on by
itself.
"""

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import msgspec
from tests.torture import Doomed, moments
from tests.torture.books import PIECEWISE, Books, Op, differences
from tests.torture.calls import Failure
from tests.torture.disks import OPERATIONS, PATIENCE, Operation, furnished
from tests.torture.kills import BrokenPromiseError, outcome
from tests.torture.victim import live

SYNCS = ("fsync", "fdatasync")
FAILURES = tuple(
    Failure(calls, error, file, after=after, times=times)
    for calls, error, times, file, after in itertools.product(
        (SYNCS, ("pwrite",), (*SYNCS, "pwrite", "write", "ftruncate"), ("rename", "replace"), ("unlink", "rmdir")),
        ("EIO", "ENOSPC", "EDQUOT", "EROFS"),
        (1, 2, -1),
        ("", ".redo"),
        (0, 1, 3),
    )
)
"""Every way in which calls fail."""
WORKING = tuple(operation for operation in OPERATIONS if not operation.while_starting)
BESIDE = ("one change", "data-key rotation")
"""The operations that are tried with a compaction beside them, too."""


class FailingDisks:
    """Lets one operation meet calls that fail, again and again, from number `first` on."""

    promise = (
        "refused means nothing of it is there, accepted means all of it is, unknown one of both; reading goes on, and "
        "writing does when the disk works, with a restart and without"
    )

    def __init__(self, operation: Operation, folder: Path, *, first: int = 0) -> None:
        self.operation, self.folder = operation, folder
        self.name = operation.name
        self.done = first
        self.seen: Counter[str] = Counter()
        self._order = list(FAILURES)
        moments(f"failures {operation.name}").shuffle(self._order)

    def run(self, until: int) -> None:
        """Go on until there were `until` of them. Raises BrokenPromiseError."""
        prepared = self.folder / "prepared"
        books = furnished(prepared)
        while self.done < until:
            data = self.folder / "data"
            shutil.rmtree(data, ignore_errors=True)
            shutil.copytree(prepared, data)
            for left in self.folder.glob("data.gz*"):
                left.unlink()
            self._meet(data, books.copy(), self._order[self.done % len(self._order)])
            self.done += 1

    def _meet(self, data: Path, books: Books, failure: Failure) -> None:
        self._what = f"{msgspec.json.encode(failure).decode()}"
        ops: list[Op] = [[*op[:1], f"{data}.gz"] if op[0] == "backup" else op for op in self.operation.ops]
        beside = [["compact"]] if self.name in BESIDE and self.done % 2 else []
        then: list[Op] = [["rename", "i3", "behind it"], ["read"], ["usage", 2]]
        process = Doomed(live, json.dumps({"data": str(data), "roots": [0], "calls": True}))
        if not process.hear_until("ready", PATIENCE):
            raise BrokenPromiseError(self._said(process, "it did not start"))
        process.tell(json.dumps({"ops": [*ops, *then], "beside": beside, "fail": [msgspec.to_builtins(failure)]}))
        if not process.hear_until("more", PATIENCE):
            raise BrokenPromiseError(self._said(process, "it says nothing"))
        if outcome(process.heard, len(ops) + 1) != "done":
            raise BrokenPromiseError(self._said(process, "nothing can be read"))
        possible, root = [books], [0]
        for number, op in enumerate([*ops, *then]):
            ended = outcome(process.heard, number)
            self.seen[ended.partition(":")[0]] += number < len(ops)
            if op[0] != "read":
                possible = [after for each in possible for after in _possible(each, op, ended)]
            if op[0] == "root":
                root = {"done": [1], "pending": [1]}.get(ended, [0, 1])
        if self.done // 2 % 2:
            possible = self._goes_on(process, possible, number=len(ops) + len(then))
            process.tell("null")
            process.end()
        else:
            process.kill_after(0)
        self._no_fault(process)
        self._start_again(data, root, possible)

    def _goes_on(self, process: Doomed, possible: list[Books], number: int) -> list[Books]:
        """The disk works again: a change is accepted without a restart, and the service is ready."""
        op: Op = ["rename", "i2", "went on"]
        process.tell(json.dumps({"ops": [op, ["ping"]], "first": number, "again": True, "fail": []}))
        process.hear_until("more", PATIENCE)
        if (outcome(process.heard, number), outcome(process.heard, number + 1)) != ("done", "done"):
            raise BrokenPromiseError(self._said(process, "it does not go on when the disk works"))
        for books in possible:
            books.apply(op)
        return possible

    def _start_again(self, data: Path, roots: list[int], possible: list[Books]) -> None:
        process = Doomed(live, json.dumps({"data": str(data), "roots": roots}))
        process.hear_until("ready", PATIENCE)
        process.tell(json.dumps({"ops": [["usage", 1]]}))
        process.tell("null")
        process.end()
        self._no_fault(process, starting=True)
        found = next((word[6:] for word in process.heard if word.startswith("state ")), None)
        if found is None or outcome(process.heard, 0) != "done":
            raise BrokenPromiseError(self._said(process, "it does not start when the disk works"))
        if all(books.text != found for books in possible):
            raise BrokenPromiseError(self._said(process, differences(found, possible[0].text)))

    def _no_fault(self, process: Doomed, *, starting: bool = False) -> None:
        for word in process.heard:
            if word.startswith(("fault", "flaw", "unreadable")) or (starting and word.startswith("failed")):
                raise BrokenPromiseError(self._said(process, word))

    def _said(self, process: Doomed, what: str) -> str:
        last = [word[:200] for word in process.heard[-8:]]
        return f"{self.name}, number {self.done} ({self._what}): {what[:3000]} (heard last: {last})"


def _possible(books: Books, op: Op, ended: str) -> list[Books]:
    """What may be there after a change that ended so, where before it was what `books` hold."""
    if ended == "done" or (ended == "pending" and op[0] not in PIECEWISE):
        after = books.copy()
        after.apply(op)
        return [after]
    if ended.startswith("refused") and op[0] not in PIECEWISE:
        return [books.copy()]
    return books.possible(op)
