"""Kills: a process is ended with SIGKILL in the midst of its work, and started again.

Each kind of work is one class. What must be there afterwards is what its books hold after all that was acknowledged; of
the one change that was not, nothing or all of it.
"""

import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

from tests.torture import Doomed, moments
from tests.torture.books import Books, Op, differences
from tests.torture.victim import live

from keycairn.app.services.backups import examine

PATIENCE = 300.0
"""Seconds a process gets for one step, on a machine that has much else to do."""
FRESH_EVERY = 30
"""Kills in one data folder before a new one is taken."""


ENDS = frozenset({"done", "pending", "unknown", "refused"})
"""How a change may end."""


class BrokenPromiseError(AssertionError):
    """A promise was not kept. Says with which seed and kill, and what was found."""


class Work:
    """Small changes of every kind, one after the other. The base of the other kinds."""

    name = "small changes"
    while_starting = False
    """Whether the kill falls into the start itself."""
    promise = "each acknowledged change is there, the one under way is there whole or not at all"
    beside: tuple[str, ...] = ()
    fresh_every = FRESH_EVERY
    span = 0.4
    """Seconds in which the first kill falls; what is seen adapts it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.number = 0
        self.root = 0

    def label(self, letter: str) -> str:
        self.number += 1
        return f"{letter}{self.number}"

    def prepare(self) -> list[Op]:
        """What is there before the first kill."""
        return [["create", self.label("c"), f"sk-first-{each:06}-0123456789"] for each in range(4)]

    def ops(self, books: Books) -> list[Op]:
        """What the next process does; the kill falls after the beginning of the change number `aim`."""
        return small_changes(self, books, 40)

    @property
    def roots(self) -> list[int | None]:
        """The root keys that may be the right one, the likeliest first."""
        return [self.root]

    def aim(self, ops: list[Op]) -> int:
        return 0


def small_changes(work: Work, books: Books, count: int) -> list[Op]:
    """Changes that make sense one after the other, at random."""
    after, ops = books.copy(), list[Op]()
    for _ in range(count):
        accounts = sorted(after.accounts)
        some = work.chance.choice(accounts) if accounts else ""
        linked = [account for account in accounts if after.accounts[account]["models"]]
        live_tokens = [name for name, alive in after.tokens.items() if alive]
        ways: list[Op] = [["usage", work.chance.randint(1, 9)]]
        if len(accounts) < 12:
            ways += [["create", work.label("c"), f"sk-new-{work.number:06}-0123456789"]] * 2
        if accounts:
            ways += [["rename", some, work.label("n")], ["rekey", some, f"sk-again-{work.label('k')}-0123456789"]]
            ways += [["register", some, work.label("m"), work.chance.randint(1, 4)]]
        if len(accounts) > 4:
            ways += [["delete", some], ["move", some, next(each for each in accounts if each != some)]]
        if linked:
            home = work.chance.choice(linked)
            ways.append(["chat", home, work.chance.choice(after.accounts[home]["models"])])
        ways.append(["revoke", live_tokens[0]] if len(live_tokens) > 3 else ["token", work.label("t")])
        op = work.chance.choice(ways)
        if op[0] == "chat" and after.chat == op[1:]:
            continue
        after.apply(op)
        ops.append(op)
    return ops


class Relink(Work):
    """3,000 models handed from account to account."""

    name = "migrate_to of 3,000 models"
    promise = "all models have moved and the former account is gone, or none has and it is not"
    models = 3000
    span = 1.0

    def prepare(self) -> list[Op]:
        home = self.label("h")
        return [["create", home, "sk-home-0123456789"], ["register", home, "m", self.models]]

    def ops(self, books: Books) -> list[Op]:
        home = max(books.accounts, key=lambda account: len(books.accounts[account]["models"]))
        target = self.label("h")
        return [["create", target, f"sk-{target}-0123456789"], ["move", home, target]]

    def aim(self, ops: list[Op]) -> int:
        return len(ops) - 1


class Register(Relink):
    """500 models registered in one call."""

    name = "register of 500 models"
    promise = "all are registered, or none"
    models = 5
    fresh_every = 12

    def ops(self, books: Books) -> list[Op]:
        return [["register", min(books.accounts), self.label("m"), 500]]


class Cascade(Relink):
    """An account deleted with its 1,000 models."""

    name = "delete of an account with 1,000 models"
    promise = "the account, its models and the default are gone, with the event that says so; or none of it"
    models = 5

    def ops(self, books: Books) -> list[Op]:
        big = [account for account, each in books.accounts.items() if len(each["models"]) > 100]
        if big:
            return [["delete", big[0]]]
        account = self.label("b")
        made: list[Op] = [["create", account, "sk-big-0123456789"], ["register", account, "m", 1000]]
        return [*made, ["chat", account, "m-7"], ["delete", account]]


class Import(Work):
    """200 rows imported."""

    name = "import of 200 rows"
    promise = "whole rows are there, each with key, models and event, and none behind one that is missing"
    fresh_every = 8
    span = 0.8

    def ops(self, books: Books) -> list[Op]:
        self.number += 200
        return [["import", self.number, 200]]


class DataKey(Work):
    """The data key rotated again and again, beside small changes."""

    name = "data-key rotation beside changes"
    promise = "every secret opens, whichever key sealed it"
    beside = ("rotate",)

    def prepare(self) -> list[Op]:
        return [*super().prepare(), ["import", 1_000_000, 60]]


class RootKeys(Work):
    """The root key changed, beside nothing."""

    name = "root-key change"
    promise = "the new root key opens everything once it is acknowledged; before, the former one does"

    def ops(self, books: Books) -> list[Op]:
        now = self.chance.random() < 0.5
        change = ["root", self.root, (self.root + 1) % 4, now]
        return [*small_changes(self, books, 3), change]

    @property
    def roots(self) -> list[int | None]:
        return [self.root, (self.root + 1) % 4]

    def aim(self, ops: list[Op]) -> int:
        return len(ops) - 1


class Backup(Work):
    """Backups beside small changes."""

    name = "backup beside changes"
    promise = "the file is a whole backup with all that was acknowledged before it began, or is not there"
    beside = ("backup",)


class Compaction(Work):
    """The engine's files written anew, beside small changes."""

    name = "compaction beside changes"
    promise = "as for small changes"
    beside = ("compact",)
    span = 0.8


class Checkpoint(Work):
    """The redo log shortened again and again, beside small changes."""

    name = "checkpoint beside changes"
    promise = "as for small changes"
    beside = ("checkpoint",)


class Retention(Work):
    """What was on record is removed, in many commits, after the clock went on by more than it is kept."""

    name = "retention"
    promise = "what is kept is there and proven; of what is old enough, the younger part may be left"
    fresh_every = 8

    def ops(self, books: Books) -> list[Op]:
        self.number += 100
        return [["usage", 1], ["import", self.number, 100], ["later"], ["retain"]]

    def aim(self, ops: list[Op]) -> int:
        return len(ops) - 1


class Start(Work):
    """The start itself killed, while it replays what a killed process left; in turns with kills of small changes."""

    name = "start after a kill"
    promise = "as if it had not been killed"
    turns = 0

    @property
    def while_starting(self) -> bool:  # type: ignore[override]  # it changes
        self.turns += 1
        return self.turns % 2 == 0


class FirstStart(Work):
    """The first start of all."""

    name = "first start"
    promise = "the next start makes what is missing, and works"
    fresh_every = 2
    span = 0.6
    while_starting = True

    @property
    def roots(self) -> list[int | None]:
        return [None]

    def prepare(self) -> list[Op]:
        return []


KINDS: tuple[type[Work], ...] = (
    Work,
    Relink,
    Register,
    Cascade,
    Import,
    DataKey,
    RootKeys,
    Backup,
    Compaction,
    Checkpoint,
    Retention,
    Start,
    FirstStart,
)


class Killer:
    """Kills one kind of work `count` times, from number `first` on."""

    def __init__(self, kind: type[Work], folder: Path, *, first: int = 0) -> None:
        self.kind, self.folder = kind, folder
        self.name, self.promise = kind.name, kind.promise
        self.done = first
        self.seen: Counter[str] = Counter()
        self.starts: list[float] = []
        """Seconds from the beginning of a process until it was ready."""

    def run(self, until: int) -> None:
        """Go on until there were `until` kills. Raises BrokenPromiseError."""
        while self.done < until:
            self._one_folder(until)

    def _one_folder(self, until: int) -> None:
        chance = moments(f"{self.kind.name} {self.done}")
        work, possible = self.kind(chance), [Books()]
        data = self.folder / f"{self.kind.__name__.lower()}-{self.done}"
        shutil.rmtree(data, ignore_errors=True)
        if prepared := work.prepare():
            self._unharmed(data, work, prepared, possible)
            for op in prepared:
                possible[0].apply(op)
        span = self.kind.span
        for _ in range(self.kind.fresh_every):
            killed, possible = self._kill(data, work, possible, chance.uniform(0, span))
            span *= 1.03 if killed else 0.8
            self.done += killed
            self.seen["in the midst of a change" if len(possible) > 1 else "else"] += killed
            if self.done >= until:
                break
        self._unharmed(data, work, [], possible)
        shutil.rmtree(data)

    def _started(self, data: Path, work: Work) -> Doomed:
        return Doomed(live, json.dumps({"data": str(data), "roots": work.roots}))

    def _unharmed(self, data: Path, work: Work, ops: list[Op], possible: list[Books]) -> None:
        """A process that is not killed."""
        process = self._started(data, work)
        begun = time.monotonic()
        if process.hear_until("ready", PATIENCE):
            self.starts.append(time.monotonic() - begun)
        process.tell(json.dumps({"ops": ops}))
        process.tell("null")
        process.end()
        self._looked_at(process, work, possible)
        for number in range(len(ops)):
            if f"done {number}" not in process.heard:
                raise BrokenPromiseError(self._said(process, f"{ops[number]} was not done"))

    def _kill(self, data: Path, work: Work, possible: list[Books], after: float) -> tuple[bool, list[Books]]:
        """Kill a process `after` seconds of its work; whether it was at work, and what may be there now."""
        process = self._started(data, work)
        if work.while_starting:
            killed = process.kill_after(after)
            self._looked_at(process, work, possible)
            return killed, possible
        process.hear_until("ready", PATIENCE)
        books = self._looked_at(process, work, possible)
        if books is None:
            raise BrokenPromiseError(self._said(process, "it did not start"))
        ops = work.ops(books)
        steady = [[each, f"{data}.gz"] if each == "backup" else [each] for each in work.beside]
        process.tell(json.dumps({"ops": ops, "beside": steady}))
        process.tell("null")
        process.hear_until(f"begin {work.aim(ops)}", PATIENCE)
        killed = process.kill_after(after)
        self._looked_at(process, work, possible)
        self._check_backup(data, process, ops, books)
        for number, op in enumerate(ops):
            if f"begin {number}" not in process.heard:
                break
            match outcome(process.heard, number):
                case "done" | "pending":
                    books.apply(op)
                    if op[0] == "root":
                        work.root = op[2]
                case "":
                    return killed, books.possible(op)
        return killed, [books]

    def _looked_at(self, process: Doomed, work: Work, possible: list[Books]) -> Books | None:
        """Which of the possible books hold; None where it was killed before it could say. Raises BrokenPromiseError."""
        for word in process.heard:
            first = word.partition(" ")[0]
            if first in {"failed", "fault", "flaw", "unreadable"}:
                raise BrokenPromiseError(self._said(process, word))
            if first == "root" and word != "root None":
                work.root = int(word.split(" ")[1])
        if "end" in process.heard and not any(word.startswith("root") for word in process.heard):
            raise BrokenPromiseError(self._said(process, "no root key opens it"))
        found = next((word[6:] for word in process.heard if word.startswith("state ")), None)
        if found is None:
            return None
        for books in possible:
            if books.text == found:
                return books.copy()
        raise BrokenPromiseError(self._said(process, differences(found, possible[0].text)))

    def _check_backup(self, data: Path, process: Doomed, ops: list[Op], books: Books) -> None:
        file = Path(f"{data}.gz")
        if not file.exists():
            return
        events = examine(file).trailer.counts["event"]
        promised = [int(word.removeprefix("saved ")) for word in process.heard if word.startswith("saved ")]
        if promised:
            before = books.copy()
            for number, op in enumerate(ops[: promised[-1]]):
                if outcome(process.heard, number) == "done":
                    before.apply(op)
            if events < len(before.events):
                raise BrokenPromiseError(self._said(process, f"the backup has {events} events"))

    def _said(self, process: Doomed, what: str) -> str:
        last = [word[:200] for word in process.heard[-5:]]
        return f"{self.kind.name}, kill {self.done}: {what[:3000]} (heard last: {last})"


def outcome(heard: list[str], number: int) -> str:
    """How the change of that number ended, "" where nothing was said of it."""
    for word in heard:
        how, _, its = word.partition(" ")
        if its == str(number) and how.partition(":")[0] in ENDS:
            return how
    return ""
