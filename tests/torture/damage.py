"""Damage: one bit turned, an end cut off, a file removed, in every file of a data folder; then a start.

A damage must be noticed (the start is refused with a sentence, the service is sealed, a record is quarantined, the log
of audit says what is missing), or be harmless: what is there is what the books say.
"""

import json
import random
import shutil
from collections import Counter
from pathlib import Path

from tests.torture import Doomed, moments
from tests.torture.books import Books, Op, differences
from tests.torture.kills import BrokenPromiseError, outcome
from tests.torture.victim import live

from keycairn.app.services.backups import examine
from keycairn.domain.errors import KeycairnError

WAYS = ("a bit", "cut", "removed")
PREPARED: list[Op] = [
    ["import", 1, 60],
    ["register", "i1", "m", 40],
    ["chat", "i1", "m-7"],
    ["delete", "i2"],
    ["token", "t"],
    ["rotate"],
    ["backup", ""],
    ["rename", "i3", "behind the backup"],
]
LATER: list[Op] = [["rekey", "i4", "sk-later-0123456789"], ["move", "i1", "i5"], ["usage", 3], ["revoke", "t"]]


class Damages:
    """Damages one kind of file of a folder that a killed process left, or one that was closed, from `first` on."""

    promise = "noticed at the next start, or harmless: what is there is what the books say"

    def __init__(self, name: str, folder: Path, *, killed: bool, first: int = 0) -> None:
        self.name = f"{name}, {'after a kill' if killed else 'closed'}"
        self._files = name
        self.folder, self.killed = folder, killed
        self.done = first
        self.seen: Counter[str] = Counter()

    def run(self, until: int) -> None:
        """Go on until there were `until` of them. Raises BrokenPromiseError."""
        source = self.folder / "source"
        books = self._furnished(source)
        while self.done < until:
            chance = moments(f"{self.name} {self.done}")
            data = self.folder / "damaged"
            shutil.rmtree(data, ignore_errors=True)
            shutil.copytree(source, data)
            file = chance.choice(self._candidates(data))
            what = f"{file.relative_to(data)}: {harm(file, WAYS[self.done % len(WAYS)], chance)}"
            self.seen[self._seen(data, file, books, what)] += 1
            self.done += 1

    def _candidates(self, data: Path) -> list[Path]:
        kinds = {
            "files of the engine": [each for each in (data / "db").rglob("*") if each.is_file()],
            "the redo log": [data / "db.redo"],
            "the root key": [data / "root-key"],
            "the first token": [data / "first-token"],
            "a backup": [data / "all.gz"],
            "locks": [data / "db.lock"],
        }
        return sorted(kinds[self._files])

    def _furnished(self, data: Path) -> Books:
        shutil.rmtree(data, ignore_errors=True)
        books = Books()
        for ops, killed in ((PREPARED, False), (LATER, self.killed)):
            wanted = [[op[0], str(data / "all.gz")] if op[0] == "backup" else op for op in ops]
            process = Doomed(live, json.dumps({"data": str(data)}))
            process.hear_until("ready", 300.0)
            process.tell(json.dumps({"ops": wanted}))
            if killed:
                process.hear_until("more", 300.0)
                process.kill_after(0)
            else:
                process.tell("null")
                process.end()
            for number, op in enumerate(ops):
                if outcome(process.heard, number) != "done":
                    raise BrokenPromiseError(f"not furnished: {process.heard[-3:]}")
                books.apply(op)
        return books

    def _seen(self, data: Path, file: Path, books: Books, what: str) -> str:
        """What came of it. Raises BrokenPromiseError where nobody noticed."""
        if file.name == "all.gz":
            return _backup_seen(file, data.parent / "source" / "all.gz", what)
        process = Doomed(live, json.dumps({"data": str(data)}))
        process.hear_until("ready", 300.0)
        process.tell("null")
        process.end()
        for word in process.heard:
            first = word.split(" ")[0]
            if first == "fault":
                raise BrokenPromiseError(f"{what}: no sentence, but {word[-600:]}")
            if first == "failed":
                return f"start refused: {word.split(' ')[1].rstrip(':')}"
            if first == "sealed":
                return "sealed"
        if "end" not in process.heard:
            raise BrokenPromiseError(f"{what}: the process came to an end of its own")
        state = next(word[6:] for word in process.heard if word.startswith("state "))
        if any(word.startswith(("flaw", "unreadable")) for word in process.heard) or "does not open" in state:
            return "told, and going on with the rest"
        if state == books.text:
            return "harmless"
        raise BrokenPromiseError(f"{what}: nobody noticed. {differences(state, books.text)}")


FILES = ("files of the engine", "the redo log", "the root key", "the first token", "a backup", "locks")


def harm(file: Path, way: str, chance: random.Random) -> str:
    """Damage a file in that way; what was done, for a person."""
    data = bytearray(file.read_bytes())
    used = len(data.rstrip(b"\0"))
    if way == "removed":
        file.unlink()
        return way
    if not data:
        file.write_bytes(b"x")
        return "a byte added"
    at = chance.randrange(max(1, used)) if chance.random() < 0.9 else chance.randrange(len(data))
    if way == "cut":
        file.write_bytes(data[:at])
        return f"cut at {at} of {used}"
    bit = chance.randrange(8)
    data[at] ^= 1 << bit
    file.write_bytes(data)
    return f"bit {bit} of byte {at} of {used}"


def _backup_seen(file: Path, source: Path, what: str) -> str:
    try:
        found = examine(file)
    except KeycairnError as error:
        return f"refused: {error.code}"
    if found == examine(source):
        return "harmless"
    raise BrokenPromiseError(f"{what}: a damaged backup was taken for a whole one")
