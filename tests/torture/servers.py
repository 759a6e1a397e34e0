"""A database server that is killed: a Keycairn on it goes on by itself, and what it acknowledged is there.

Between two kills the changes of a few accounts are sent one after the other; the kill falls in the midst of them, and
each is tried again until it is taken. What a change came to that broke off with its connection is looked up.

On RocksDB the server keeps what it acknowledged. On SurrealKV it may lose it after two kills, and any server does whose
files were put back; then Keycairn says so at its next start, and `doctor --replay` has to bring all records back.
"""

import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

from tests.servers.surreal_server import SurrealServer, has_binary
from tests.torture import Doomed, moments
from tests.torture.books import Books, Op, differences, without_events
from tests.torture.kills import BrokenPromiseError, Work, outcome, small_changes
from tests.torture.victim import live

PATIENCE = 300.0
CHANGES = 12
"""Changes between two kills, at the most."""
MODELS = 1000
SLOWER = 3.0
"""How many times slower a machine of the torture may be, which does two of them at a time."""


class ServerKills:
    """Kills a server of ours, from number `first` on, each time in the midst of changes."""

    name = "a server on RocksDB, small changes"
    promise = "nothing acknowledged is lost, nothing refused is there; writing goes on by itself within 5 s"
    scheme = "rocksdb"
    within = 5.0
    """Seconds until a change is taken after the server answers again, on a machine that is not too busy."""

    def __init__(self, folder: Path, *, first: int = 0) -> None:
        self.folder = folder
        self.done = first
        self.seen: Counter[str] = Counter()
        self.recoveries: list[float] = []
        """Seconds from the server's first answer after a kill until a change was taken."""

    def run(self, until: int) -> None:
        """Go on until there were `until` kills. Raises BrokenPromiseError."""
        if not has_binary():
            self.seen["not tried: no server"] += until - self.done
            self.done = until
            return
        place = self.folder / f"server-{self.scheme}-{self.done}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        server = SurrealServer(place, scheme_of_store=self.scheme)
        server.start()
        try:
            chance = moments(f"{self.name} {self.done}")
            service = Service(server, place / "data", self, chance)
            service.begin()
            while self.done < until:
                self.one(service)
                self.done += 1
            service.end()
            service = Service(server, place / "data", self, chance, possible=service.possible)
            service.begin()  # a process that knows nothing of what was
            service.end()
        finally:
            server.kill()
        shutil.rmtree(place)

    def one(self, service: "Service") -> None:
        """One kill, in the midst of small changes."""
        service.change(small_changes(service.work, service.books, CHANGES), kill=True)


class LargeCommits(ServerKills):
    """The same in the midst of one commit of 1,000 models."""

    name = "a server on RocksDB, migrate_to of 1,000 models"
    promise = "all models have moved and the former account is gone, or none has and it is not"
    within = float("inf")
    """The change itself takes seconds."""

    def one(self, service: "Service") -> None:
        """One kill, in the midst of a large commit."""
        books = service.books
        large = max(books.accounts, key=lambda account: len(books.accounts[account]["models"]))
        if len(books.accounts[large]["models"]) < MODELS:
            large = service.work.label("h")
            service.change([["create", large, "sk-home-0123456789"], ["register", large, "m", MODELS]])
        target = service.work.label("h")
        service.change([["create", target, f"sk-{target}-0123456789"]])
        service.change([["move", large, target]], kill=True)


class LostCommits(ServerKills):
    """A server whose files are put back to an older state: it has lost what it acknowledged."""

    name = "a server that lost what it acknowledged"
    promise = "said at the next start; `doctor --replay` puts every record back, and says what it left"

    def run(self, until: int) -> None:
        """Go on until it happened `until` times. Raises BrokenPromiseError."""
        if not has_binary():
            self.seen["not tried: no server"] += until - self.done
            self.done = until
            return
        while self.done < until:
            place = self.folder / f"lost-{self.done}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            server = SurrealServer(place, scheme_of_store="rocksdb" if self.done % 2 else "surrealkv")
            server.start()
            try:
                self._lose(server, place, moments(f"{self.name} {self.done}"))
            finally:
                server.kill()
            shutil.rmtree(place)
            self.done += 1

    def _lose(self, server: SurrealServer, place: Path, chance: random.Random) -> None:
        service = Service(server, place / "data", self, chance)
        service.begin()
        service.change(small_changes(service.work, service.books, CHANGES))
        service.end()
        server.kill()
        shutil.copytree(place / "db", place / "older")
        server.start()
        service = Service(server, place / "data", self, chance, possible=service.possible)
        service.begin()
        service.change(small_changes(service.work, service.books, CHANGES))
        service.end()
        server.kill()
        shutil.rmtree(place / "db")
        (place / "older").rename(place / "db")
        server.start()
        service = Service(server, place / "data", self, chance, possible=service.possible)
        service.replayed()
        service.end()


class Service:
    """A Keycairn on a server, in a process of its own, and the books kept of it."""

    def __init__(
        self,
        server: SurrealServer,
        data: Path,
        driver: ServerKills,
        chance: random.Random,
        *,
        possible: list[Books] | None = None,
    ) -> None:
        self.server, self.driver, self.chance = server, driver, chance
        self.work = Work(chance)
        self.work.number = 0 if possible is None else 1000 * (driver.done + 1)
        self.possible = possible or [Books()]
        self._fresh = possible is None
        self._data = data
        self._number = 0

    @property
    def books(self) -> Books:
        """What is there."""
        [books] = self.possible
        return books

    def begin(self) -> None:
        """Start it, and compare what it finds."""
        self.process = self._started()
        self._compare()
        if self._fresh:
            self.change(self.work.prepare())

    def replayed(self) -> None:
        """Start it on a server that lost something, have it put back, and compare: all but the events."""
        self.process = self._started(lossy=True)
        if not any(word.startswith("flaw") and "lost" in word for word in self.process.heard):
            raise BrokenPromiseError(self._said("the loss was not told"))
        before = len(self.process.heard)
        self.process.tell(json.dumps({"ops": [["replay"]], "state": True, "first": self._number}))
        self._wait("more")
        heard = self.process.heard[before:]
        if not any(word.startswith("done") for word in heard):
            raise BrokenPromiseError(self._said("it was not replayed"))
        found = next(word[6:] for word in heard if word.startswith("state "))
        if without_events(found) != without_events(self.books.text):
            raise BrokenPromiseError(self._said(differences(without_events(found), without_events(self.books.text))))
        self.driver.seen["put back"] += 1

    def end(self) -> None:
        """Let it close its store."""
        self.process.tell("null")
        self.process.end()

    def change(self, ops: list[Op], *, kill: bool = False) -> None:
        """Carry changes out; with `kill`, the server dies in the midst of them and comes back."""
        before = len(self.process.heard)
        first = self._number
        self._number += len(ops)
        self.process.tell(json.dumps({"ops": ops, "again": True, "halt": True, "state": True, "first": first}))
        if kill:
            self._wait(f"begin {first + self.chance.randrange(len(ops))}")
            time.sleep(self.chance.uniform(0, 0.02 if len(ops) > 1 else 0.6))
            self.server.kill()
            time.sleep(self.chance.uniform(0, 0.3))
            while self.process.hear(0) is not None:
                pass  # what was said before it is back
            self.server.start()
            back = time.monotonic()
            if "more" not in self.process.heard[before:]:
                self._wait("done", "unknown", "state", "more")
            self.driver.recoveries.append(time.monotonic() - back)
            if self.driver.recoveries[-1] > self.driver.within * SLOWER:
                raise BrokenPromiseError(self._said(f"it took {self.driver.recoveries[-1]:.1f} s to go on"))
        if "more" not in self.process.heard[before:]:
            self._wait("more")
        heard = self.process.heard[before:]
        for number, op in enumerate(ops, first):
            how = outcome(heard, number)
            if how == "unknown":
                self.possible = self.books.possible(op)
                self.driver.seen["outcome unknown"] += 1
                break
            if how != "done":
                raise BrokenPromiseError(self._said(f"{op} ended as {how or 'nothing'}"))
            self.books.apply(op)
        self._compare(before)

    def _compare(self, since: int = 0) -> None:
        found = next((word[6:] for word in self.process.heard[since:] if word.startswith("state ")), None)
        for word in self.process.heard[since:]:
            if word.partition(" ")[0] in {"failed", "fault", "flaw", "unreadable", "sealed"}:
                raise BrokenPromiseError(self._said(word))
        for books in self.possible:
            if books.text == found:
                self.possible = [books]
                return
        raise BrokenPromiseError(self._said(differences(found or "", self.possible[0].text)))

    def _started(self, *, lossy: bool = False) -> Doomed:
        job = {"data": str(self._data), "roots": [0], "server": self.server.url}
        process = Doomed(live, json.dumps(job))
        if not process.hear_until("ready", PATIENCE) and not lossy:
            self.process = process
            raise BrokenPromiseError(self._said("it did not start"))
        return process

    def _wait(self, *words: str) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            said = self.process.hear(end - time.monotonic())
            if said is None:
                break
            if said.startswith(words):
                return
        raise BrokenPromiseError(self._said(f"it did not come to {words[0]}"))

    def _said(self, what: str) -> str:
        last = [word[:200] for word in self.process.heard[-6:]]
        return f"{self.driver.name}, number {self.driver.done}: {what[:2000]} (heard last: {last})"


SERVERS: tuple[type[ServerKills], ...] = (ServerKills, LargeCommits, LostCommits)
