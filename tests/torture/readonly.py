"""Disks that cannot be written: a service runs while its disk becomes read-only, its folder unwritable, its disk full.

Two ends in turns: it is closed while that lasts; or the disk is as before again, and it must go on by itself. Mounting
needs root; where that is not to be had, nothing is tried, and `seen` says so.
"""

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.torture import Doomed
from tests.torture.books import Books, Op, differences
from tests.torture.disks import PATIENCE, SmallDisk, furnished
from tests.torture.kills import BrokenPromiseError, outcome
from tests.torture.victim import live

READ_ONLY = ("a read-only disk", "a folder that cannot be written", "a full disk")
NOBODY = 65534
"""The user that a process runs as whose folder cannot be written: to root, any can."""
CHANGES: tuple[Op, ...] = (["create", "new", "sk-new-0123456789"], ["rename", "i1", "meanwhile"], ["compact"])


class ReadOnly:
    """Makes a disk unwritable in one way, again and again, from number `first` on."""

    promise = (
        "changes are refused with a reason, or kept; reading goes on, readiness tells where nothing can be written; it "
        "goes on by itself, and closing it meanwhile loses nothing"
    )

    def __init__(self, way: str, *, first: int = 0) -> None:
        self.name = way
        self.done = first
        self.seen: Counter[str] = Counter()

    def run(self, until: int) -> None:
        """Go on until there were `until` of them. Raises BrokenPromiseError."""
        with TemporaryDirectory(prefix="keycairn-") as name, SmallDisk(Path(name) / "disk") as disk:
            Path(name).chmod(0o755)  # another user than root has to get there
            if not disk.mounted:
                self.seen["not tried: nothing can be mounted here"] += until - self.done
                self.done = until
                return
            books = furnished(disk.place / "prepared")
            while self.done < until:
                data = disk.place / "data"
                shutil.rmtree(data, ignore_errors=True)
                shutil.copytree(disk.place / "prepared", data)
                self._once(disk, data, books.copy())
                self.done += 1

    def _once(self, disk: SmallDisk, data: Path, books: Books) -> None:
        uid = NOBODY if self.name == READ_ONLY[1] else os.getuid()
        for each in (data, *data.rglob("*")):
            os.chown(each, uid, -1)
        process = Doomed(live, json.dumps({"data": str(data), "roots": [0], "uid": uid}))
        if not process.hear_until("ready", PATIENCE):
            raise BrokenPromiseError(self._said(process, "it did not start"))
        self._spoil(disk, data)
        try:
            process.tell(json.dumps({"ops": [*CHANGES, ["read"], ["ping"]]}))
            process.hear_until("more", PATIENCE)
            self._look(process, books)
            if self.done % 2 == 0:
                process.tell("null")
                process.end()
        finally:
            self._mend(disk, data)
        if self.done % 2:
            op: Op = ["rename", "i2", "went on"]
            process.tell(json.dumps({"ops": [op, ["ping"]], "first": 5, "again": True}))
            process.hear_until("more", PATIENCE)
            if (outcome(process.heard, 5), outcome(process.heard, 6)) != ("done", "done"):
                raise BrokenPromiseError(self._said(process, "it does not go on"))
            books.apply(op)
            process.kill_after(0)
        elif "over" not in process.heard:
            raise BrokenPromiseError(self._said(process, "it does not close"))
        self._start_again(data, uid, books)

    def _look(self, process: Doomed, books: Books) -> None:
        ended = [outcome(process.heard, number) for number in range(len(CHANGES) + 2)]
        if any(word.startswith("fault") for word in process.heard) or "" in ended:
            raise BrokenPromiseError(self._said(process, "no sentence"))
        if ended[-2] != "done":
            raise BrokenPromiseError(self._said(process, "nothing can be read"))
        refused = ended[0].startswith("refused")
        if self.name != READ_ONLY[1] and (not refused or not ended[-1].startswith("refused")):
            raise BrokenPromiseError(self._said(process, f"it is taken for ready: {ended}"))
        for op, how in zip(CHANGES, ended, strict=False):
            self.seen[how.partition(":")[0]] += 1
            if how in {"done", "pending"}:
                books.apply(op)
            elif how == "unknown":
                raise BrokenPromiseError(self._said(process, f"{op} is unknown"))

    def _start_again(self, data: Path, uid: int, books: Books) -> None:
        process = Doomed(live, json.dumps({"data": str(data), "roots": [0], "uid": uid}))
        process.hear_until("ready", PATIENCE)
        process.tell(json.dumps({"ops": [["usage", 1]]}))
        process.tell("null")
        process.end()
        found = next((word[6:] for word in process.heard if word.startswith("state ")), None)
        if found != books.text or outcome(process.heard, 0) != "done":
            why = "it does not start" if found is None else differences(found, books.text)
            raise BrokenPromiseError(self._said(process, why))

    def _spoil(self, disk: SmallDisk, data: Path) -> None:
        match self.name:
            case "a read-only disk":  # open files keep the disk itself from it
                _mount("--bind", str(data), str(data))
                _mount("-o", "remount,bind,ro", str(data))
            case "a full disk":
                disk.fill(0)
            case _:
                for folder in (data, *(each for each in data.rglob("*") if each.is_dir())):
                    folder.chmod(0o500)

    def _mend(self, disk: SmallDisk, data: Path) -> None:
        match self.name:
            case "a read-only disk":
                subprocess.run(["umount", "-l", str(data)], check=False)  # noqa: S603, S607
            case "a full disk":
                disk.empty()
            case _:
                for folder in (data, *(each for each in data.rglob("*") if each.is_dir())):
                    folder.chmod(0o700)

    def _said(self, process: Doomed, what: str) -> str:
        last = [word[:300] for word in process.heard[-8:]]
        return f"{self.name}, number {self.done}: {what[:3000]} (heard last: {last})"


def _mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True, capture_output=True)  # noqa: S603, S607
