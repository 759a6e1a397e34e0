"""Steps: one operation is killed at each of its calls that change a file or see it to the disk, one after the other.

Nothing here is left to chance. Behind some kills the next start is killed at its first such call, the one after that at
its second, and so on, until one gets through: what is brought into place by renaming can be repeated anywhere.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.torture import Doomed
from tests.torture.books import Books, Op, differences
from tests.torture.disks import PATIENCE, furnished
from tests.torture.former import of_the_former_version
from tests.torture.kills import BrokenPromiseError, outcome
from tests.torture.victim import ROOT_KEYS, live, restored

CHAINED = 10
"""Behind each so many-th kill the starts are killed, too."""


class Walk:
    """What is killed at each of its calls. `start` says that its calls are those of a start.

    With `own_key` the root key is the one that the data folder holds.
    """

    def __init__(
        self,
        name: str,
        *ops: Op,
        start: bool = False,
        prepare: Callable[[Path], Books] = furnished,
        from_backup: bool = False,
        own_key: bool = False,
    ) -> None:
        self.name, self.ops, self.start, self.prepare = name, list(ops), start, prepare
        self.from_backup = from_backup
        self.roots: list[int | None] = [None if own_key else 0]


def left_behind(data: Path) -> Books:
    """A store whose last changes are in its redo log alone."""
    books = furnished(data)
    process = Doomed(live, json.dumps({"data": str(data), "roots": [0]}))
    process.hear_until("ready", PATIENCE)
    ops: list[Op] = [["register", "i1", "l", 200], ["rename", "i3", "last"]]
    process.tell(json.dumps({"ops": ops}))
    process.hear_until("more", PATIENCE)
    process.kill_after(0)
    for op in ops:
        books.apply(op)
    return books


def nothing(data: Path) -> Books:
    """No store at all."""
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    return Books()


def backed_up(data: Path) -> Books:
    """An empty store, and a backup beside it that is to be restored."""
    source = data.with_name("source")
    books = furnished(source)
    process = Doomed(live, json.dumps({"data": str(source), "roots": [0]}))
    process.hear_until("ready", PATIENCE)
    process.tell(json.dumps({"ops": [["backup", str(data.with_name("all.gz"))]]}))
    process.tell("null")
    process.end()
    if "done 0" not in process.heard:
        raise BrokenPromiseError(f"no backup to restore: {process.heard[-3:]}")
    nothing(data)
    (data / "root-key").write_text(ROOT_KEYS[0])
    return books


WALKS = (
    Walk("compaction", ["rename", "i1", "a"], ["compact"], ["rekey", "i2", "sk-behind-0123456789"]),
    Walk("checkpoint", ["rename", "i1", "a"], ["checkpoint"]),
    Walk("data-key rotation", ["rotate"]),
    Walk("root-key change", ["root", 0, 1, False]),
    Walk("root-key change at once", ["root", 0, 1, True]),
    Walk("backup", ["backup", ""]),
    Walk("retention", ["retain"]),
    Walk("start that replays", start=True, prepare=left_behind),
    Walk("first start", start=True, prepare=nothing),
    Walk(
        "first start with a redo log",
        start=True,
        prepare=of_the_former_version,
        own_key=True,
    ),
    Walk("restore", start=True, prepare=backed_up, from_backup=True),
)


class Steps:
    """Kills one operation at one call after the other, from number `first` on, until it got through: it is `over`."""

    promise = "as for kills at a random moment, wherever it falls; so is a start behind it that is killed, too"

    def __init__(self, walk: Walk, folder: Path, *, first: int = 0) -> None:
        self.walk, self.folder = walk, folder
        self.name = walk.name
        self.done = first
        self.over = False
        self.seen: Counter[str] = Counter()

    def run(self, until: int) -> None:
        """Go on until there were `until` of them, or it is over. Raises BrokenPromiseError."""
        prepared = self.folder / "prepared"
        shutil.rmtree(prepared, ignore_errors=True)
        books = self.walk.prepare(prepared)
        while self.done < until and not self.over:
            data = self.folder / "data"
            shutil.rmtree(data, ignore_errors=True)
            shutil.copytree(prepared, data)
            for left in self.folder.glob("data.gz*"):
                left.unlink()
            self.over = not self._kill(data, books)
            self.done += not self.over

    def _kill(self, data: Path, books: Books) -> bool:
        """Kill it at the next call; whether it came to that."""
        number = self.done + 1
        ops = [[*op[:1], f"{data}.gz"] if op[0] == "backup" else op for op in self.walk.ops]
        process = self._process(data, stop=number if self.walk.start else None)
        if not self.walk.start:
            process.hear_until("ready", PATIENCE)
        process.tell(json.dumps({"ops": ops, "stop": number}) if not self.walk.start else "null")
        process.tell("null")
        process.end()
        self._no_fault(process)
        killed = "end" not in process.heard
        possible, roots = self._possible(process, ops, books)
        if self.walk.from_backup and killed and "done" not in process.heard:
            possible = self._restored_again(data, books)
        if killed and number % CHAINED == 0:
            self._kill_starts(data, roots, possible)
        self._start_again(data, roots, possible)
        self.seen["killed" if killed else "got through"] += 1
        return killed

    def _possible(self, process: Doomed, ops: list[Op], books: Books) -> tuple[list[Books], list[int | None]]:
        """What may be there now, and the root keys, the likeliest first."""
        if self.walk.from_backup:
            return [books], self.walk.roots
        now, roots = books.copy(), self.walk.roots
        for number, op in enumerate(ops):
            roots = [0, 1] if op[0] == "root" else roots
            ended = outcome(process.heard, number)
            if ended in {"done", "pending"}:
                now.apply(op)
                roots = [1] if op[0] == "root" else roots
            elif f"begin {number}" in process.heard and not ended:
                return now.possible(op), roots
            elif ended:
                raise BrokenPromiseError(self._said(process, f"{op} ended as {ended}"))
        return [now], roots

    def _kill_starts(self, data: Path, roots: list[int | None], possible: list[Books]) -> None:
        """Kill the next start at its first call, the one after it at its second, and so on, until one gets through."""
        stop, over = 0, False
        while not over:
            stop += 1
            process = self._process(data, stop=stop, roots=roots, starting=True)
            process.tell("null")
            process.end()
            over = "end" in process.heard
            self.seen["starts killed"] += not over
            self._no_fault(process)
            self._compare(process, possible, needed=over)

    def _restored_again(self, data: Path, books: Books) -> list[Books]:
        """The backup can be restored again, where it is not there; a second one is refused where it is."""
        process = self._process(data, stop=0)
        process.end()
        refused = [word for word in process.heard if word.startswith("failed")]
        if "done" not in process.heard and not refused[0].startswith("failed store_not_empty"):
            raise BrokenPromiseError(self._said(process, "it cannot be restored again"))
        return [books]

    def _start_again(self, data: Path, roots: list[int | None], possible: list[Books]) -> None:
        process = self._process(data, roots=roots, starting=True)
        process.hear_until("ready", PATIENCE)
        process.tell(json.dumps({"ops": [["usage", 1], ["create", "afterwards", "sk-afterwards-0123456789"]]}))
        process.tell("null")
        process.end()
        self._no_fault(process)
        self._compare(process, possible, needed=True)
        if (outcome(process.heard, 0), outcome(process.heard, 1)) != ("done", "done"):
            raise BrokenPromiseError(self._said(process, "it does not go on"))
        if left := [each.name for each in data.iterdir() if each.name.endswith((".new", ".ready", ".writing"))]:
            raise BrokenPromiseError(self._said(process, f"left behind: {left}"))

    def _compare(self, process: Doomed, possible: list[Books], *, needed: bool) -> None:
        found = next((word[6:] for word in process.heard if word.startswith("state ")), None)
        if found is None and needed:
            raise BrokenPromiseError(self._said(process, "it does not start"))
        if found is not None and all(books.text != found for books in possible):
            raise BrokenPromiseError(self._said(process, differences(found, possible[0].text)))

    def _process(
        self, data: Path, *, stop: int | None = None, roots: list[int | None] | None = None, starting: bool = False
    ) -> Doomed:
        if self.walk.from_backup and not starting:
            return Doomed(restored, str(data), str(data.with_name("all.gz")), str(stop))
        job = {"data": str(data), "roots": roots or self.walk.roots, "calls": True}
        return Doomed(live, json.dumps(job if stop is None else {**job, "stop": stop}))

    def _no_fault(self, process: Doomed) -> None:
        for word in process.heard:
            if word.startswith(("fault", "flaw", "unreadable", "failed")):
                raise BrokenPromiseError(self._said(process, word))

    def _said(self, process: Doomed, what: str) -> str:
        last = [word[:200] for word in process.heard[-6:]]
        return f"{self.name}, killed at call {self.done + 1}: {what[:3000]} (heard last: {last})"
