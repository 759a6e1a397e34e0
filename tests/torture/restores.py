"""A restore that is killed: the store is empty afterwards, or holds the whole backup."""

import asyncio
import json
import shutil
from collections import Counter
from pathlib import Path

from tests.backer import restore, settings_of
from tests.torture import Doomed, moments
from tests.torture.kills import BrokenPromiseError
from tests.torture.victim import ROOT_KEYS, live

from keycairn.app.services.backups import records_in
from keycairn.app.wiring import open_store
from keycairn.domain.audit import Head
from keycairn.domain.record import Record, kind_of, record_key

ROWS = 300


class Restores:
    """Kills restores `count` times, from number `first` on."""

    name = "restore of a backup with 300 accounts"
    promise = "the store is empty, and takes the same backup; or it holds all of it"

    def __init__(self, folder: Path, *, first: int = 0) -> None:
        self.folder = folder
        self.done = first
        self.seen: Counter[str] = Counter()

    def run(self, until: int) -> None:
        """Go on until there were `until` kills. Raises BrokenPromiseError."""
        chance = moments(f"{self.name} {self.done}")
        source, file = self.folder / "source", self.folder / "all.gz"
        data = self.folder / "restored"
        for old in (source, data):
            shutil.rmtree(old, ignore_errors=True)
        furnish(source, file)
        expected = {(kind_of(r), record_key(r)): r for r in records_in(file) if not isinstance(r, Head)}
        span = 0.6
        while self.done < until:
            data.mkdir(exist_ok=True)
            if not (data / "root-key").exists():
                (data / "root-key").write_text(ROOT_KEYS[0])
            process = Doomed(restore, str(data), str(file))
            process.hear_until("begun")
            killed = process.kill_after(chance.uniform(0, span))
            span *= 1.03 if killed else 0.8
            self.done += killed
            self.seen["in the middle" if killed and "done" not in process.heard else "behind it"] += killed
            found = asyncio.run(stored(data))
            if "done" in process.heard and not found:
                raise BrokenPromiseError(f"{self.name}, kill {self.done}: what was restored is not there")
            if found and not expected.items() <= found.items():
                missing = sorted(expected.keys() - found.keys())
                raise BrokenPromiseError(f"{self.name}, kill {self.done}: half there, without {missing[:5]}")
            if found:
                shutil.rmtree(data)


def furnish(data: Path, file: Path) -> None:
    """A store with some hundred accounts, and its backup."""
    process = Doomed(live, json.dumps({"data": str(data), "roots": [0]}))
    process.hear_until("ready")
    process.tell(json.dumps({"ops": [["import", 1, ROWS], ["backup", str(file)]]}))
    process.tell("null")
    process.end()
    if "done 1" not in process.heard:
        raise BrokenPromiseError(f"no backup to restore: {process.heard[-3:]}")


async def stored(data: Path) -> dict[tuple[str, str], Record]:
    """Every record in a store."""
    store = await open_store(settings_of(data))
    try:
        async with store.snapshot() as records:
            return {(kind_of(record), record_key(record)): record async for record in records}
    finally:
        await store.aclose()
