"""Left-overs: a data folder in which the database, its redo log and what lies beside them do not go together.

A start says one sentence and changes nothing; or what is there is what the books say, and it goes on.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.torture import Doomed
from tests.torture.books import Books, Op, differences
from tests.torture.disks import PATIENCE
from tests.torture.kills import BrokenPromiseError, outcome
from tests.torture.victim import live

EARLIER: list[Op] = [["import", 1, 20], ["chat", "i1", "i1-a"], ["token", "t"], ["rotate"]]
LATER: list[Op] = [["rekey", "i3", "sk-later-0123456789"], ["move", "i1", "i5"], ["usage", 3], ["revoke", "t"]]


class Place:
    """A data folder, and others to take things from: `earlier`, closed; `later`, killed with all of `LATER` in its
    redo log alone; `closed`, the same closed; `other`, of another installation.
    """

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.earlier, self.later, self.closed, self.other = (
            folder / name for name in ("earlier", "later", "closed", "other")
        )


def furnished(folder: Path) -> tuple[Place, Books, Books]:
    """The folders, and the books of the earlier and of the later ones."""
    place, books = Place(folder), Books()
    for data in (place.earlier, place.other):
        shutil.rmtree(data, ignore_errors=True)
        _worked(data, EARLIER, killed=False)
    for data, killed in ((place.later, True), (place.closed, False)):
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(place.earlier, data)
        _worked(data, LATER, killed=killed)
    for op in EARLIER:
        books.apply(op)
    later = books.copy()
    for op in LATER:
        later.apply(op)
    return place, books, later


def _worked(data: Path, ops: list[Op], *, killed: bool) -> None:
    process = Doomed(live, json.dumps({"data": str(data)}))
    process.hear_until("ready", PATIENCE)
    process.tell(json.dumps({"ops": ops}))
    process.hear_until("more", PATIENCE)
    if killed:
        process.kill_after(0)
    else:
        process.tell("null")
        process.end()
    if any(outcome(process.heard, number) != "done" for number in range(len(ops))):
        raise BrokenPromiseError(f"not furnished: {process.heard[-3:]}")


def _copied(source: Path, target: Path) -> None:
    """Put a copy of a file or a folder in the place of another."""
    _gone(target)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _gone(target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def _linked(target: Path, to: Path) -> None:
    _gone(target)
    target.symlink_to(to)


def _folder(target: Path) -> Path:
    target.mkdir()
    return target


def _supplanted(target: Path) -> Path:
    """A folder in the place of whatever was there."""
    _gone(target)
    return _folder(target)


def _half(source: Path, target: Path) -> None:
    """A copy of a database whose files were cut in the middle."""
    _copied(source, target)
    for file in target.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _marked(source: Path, target: Path) -> None:
    """A new database as one looks right before it is made ready."""
    target.mkdir()
    _copied(source / "db", target / "db")
    _copied(source / "db.redo", target / "redo")


def _emptied(folder: Path) -> None:
    for each in folder.iterdir():
        _gone(each)


def _file(target: Path) -> None:
    _gone(target)
    target.write_bytes(b"x")


REFUSED = "refused, and nothing changed"
EITHER = "refused and nothing changed, or harmless"
HARMLESS = "harmless"
Make = Callable[[Place], object]

CASES: dict[str, tuple[str, str, Make]] = {
    "an older database under a newer log": ("closed", REFUSED, lambda p: _copied(p.earlier / "db", p.data / "db")),
    "an older database under a log that holds the rest": (
        "later",
        HARMLESS,
        lambda p: _copied(p.earlier / "db", p.data / "db"),
    ),
    "an older log under a newer database": (
        "closed",
        HARMLESS,
        lambda p: _copied(p.earlier / "db.redo", p.data / "db.redo"),
    ),
    "a log of another installation": (
        "closed",
        REFUSED,
        lambda p: _copied(p.other / "db.redo", p.data / "db.redo"),
    ),
    "a database of another installation": (
        "closed",
        REFUSED,
        lambda p: _copied(p.other / "db", p.data / "db"),
    ),
    "no database": ("closed", REFUSED, lambda p: _gone(p.data / "db")),
    "an emptied database": ("closed", REFUSED, lambda p: _emptied(p.data / "db")),
    "a file in the place of the database": ("closed", REFUSED, lambda p: _file(p.data / "db")),
    "a link that leads to itself": ("closed", REFUSED, lambda p: _linked(p.data / "db", p.data / "db")),
    "a link that leads nowhere": ("closed", REFUSED, lambda p: _linked(p.data / "db", p.data / "nowhere")),
    "a log that is a link to itself": (
        "closed",
        REFUSED,
        lambda p: _linked(p.data / "db.redo", p.data / "db.redo"),
    ),
    "a folder in the place of the log": (
        "closed",
        REFUSED,
        lambda p: _supplanted(p.data / "db.redo"),
    ),
    "a build that had just begun": ("later", HARMLESS, lambda p: (p.data / "db.new").mkdir()),
    "a build that was half filled": (
        "later",
        HARMLESS,
        lambda p: _half(p.other / "db", _folder(p.data / "db.new") / "db"),
    ),
    "a build that was whole": ("later", HARMLESS, lambda p: _marked(p.other, p.data / "db.new")),
    "a file in the place of a build": ("later", EITHER, lambda p: _file(p.data / "db.new")),
    "a link in the place of a build": ("later", EITHER, lambda p: _linked(p.data / "db.new", p.other)),
    "a file in the place of a new database": ("later", EITHER, lambda p: _file(p.data / "db.ready")),
    "an empty new database": ("later", HARMLESS, lambda p: (p.data / "db.ready").mkdir()),
    "a link that leads to itself as a new database": (
        "later",
        EITHER,
        lambda p: _linked(p.data / "db.ready", p.data / "db.ready"),
    ),
    "a draft of a log": ("later", HARMLESS, lambda p: _half_file(p.data / "db.redo", p.data / "db.redo.new")),
}


def _half_file(source: Path, target: Path) -> None:
    data = source.read_bytes()
    target.write_bytes(data[: len(data) // 2])


class Leftovers:
    """Starts on one such folder after the other, from number `first` on."""

    name = "a data folder whose parts do not go together"
    promise = "one sentence, and nothing is changed; or it is harmless: what is there is what the books say"

    def __init__(self, folder: Path, *, first: int = 0, cases: dict[str, tuple[str, str, Make]] | None = None) -> None:
        self.folder = folder
        self.done = first
        self.seen: Counter[str] = Counter()
        self._cases = list((cases or CASES).items())

    def run(self, until: int) -> None:
        """Go on until there were `until` of them. Raises BrokenPromiseError."""
        place, _, later = furnished(self.folder)
        while self.done < until:
            name, (source, wanted, make) = self._cases[self.done % len(self._cases)]
            if place.data.exists():
                shutil.rmtree(place.data)
            shutil.copytree(self.folder / source, place.data)
            make(place)
            self._start(place, name, wanted, later)
            self.done += 1

    def _start(self, place: Place, name: str, wanted: str, books: Books) -> None:
        before, others = _content(place.data), _content(place.other)
        process = Doomed(live, json.dumps({"data": str(place.data)}))
        process.hear_until("ready", PATIENCE)
        process.tell(json.dumps({"ops": [["usage", 1]]}))
        process.tell("null")
        process.end()
        found = self._found(process, name, books)
        if wanted not in {found, EITHER} or (wanted == EITHER and found == "told"):
            raise BrokenPromiseError(f"{name}: it was {found} (heard {[word[:300] for word in process.heard[-5:]]})")
        if found == REFUSED and _content(place.data) != before:
            changed = {key for key, _ in _content(place.data).items() ^ before.items()}
            raise BrokenPromiseError(f"{name}: refused, and yet changed: {sorted(changed)}")
        if _content(place.other) != others:
            raise BrokenPromiseError(f"{name}: it changed what is not its own")
        self.seen[found] += 1

    def _found(self, process: Doomed, name: str, books: Books) -> str:
        for word in process.heard:
            if word.startswith("fault") or "Traceback" in word:
                raise BrokenPromiseError(f"{name}: no sentence, but {word[-700:]}")
            if word.startswith("failed"):
                return REFUSED
        state = next((word[6:] for word in process.heard if word.startswith("state ")), "")
        if any(word.startswith(("flaw", "unreadable", "sealed")) for word in process.heard):
            return "told"
        if state != books.text:
            raise BrokenPromiseError(f"{name}: nobody noticed. {differences(state, books.text) if state else ''}")
        if outcome(process.heard, 0) != "done":
            raise BrokenPromiseError(f"{name}: it does not go on: {process.heard[-4:]}")
        return HARMLESS


def _content(folder: Path) -> dict[str, str]:
    """Every file below a folder, and what is in it.

    Left out are locks, which a start makes, and the manifest, which the engine writes anew whenever it is opened.
    """
    found = {}
    for each in folder.rglob("*"):
        name = str(each.relative_to(folder))
        if each.is_symlink():
            found[name] = f"-> {each.readlink()}"
        elif each.is_dir():
            found[name] = "folder"
        elif each.suffix not in {".lock", ".manifest"}:
            found[name] = hashlib.blake2b(each.read_bytes()).hexdigest()
    return found
