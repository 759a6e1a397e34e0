"""Leases: until when an instance may serve from memory, and which other instances still may.

Each instance has a row that says which revision it has seen, and is renewed. A renewal is granted only to an instance
that has seen the last revision that took something away. So, when the time of a lease has passed since such a revision,
nobody serves from before it who has not seen it: an instance that stands still, or is cut off, holds no lease by then.
Each clock is read by its own process only, and counts from before the renewal was sent.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from secrets import token_hex
from typing import Any

from msgspec import Struct
from surrealdb import RecordID

LASTS = 0.9
"""Seconds a renewal holds."""
EVERY = 0.3
"""Seconds from one renewal to the next."""
FORGOTTEN_AFTER = 60.0
"""Seconds without a renewal after which the row of another instance is removed."""


class LeaseRow(Struct, frozen=True):
    """What the database has of an instance: the revision it has seen, and its last turn that was granted."""

    id: str
    seen: int
    granted: int


class Lease:
    """The lease of this process, and what it has observed of the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._known_since: float | None = None
        self._turn = 0
        self._others: dict[str, tuple[int, float]] = {}
        self.name: str = ""
        self.rename()

    def rename(self) -> None:
        """Begin anew under another name, the youngest of all."""
        self.name = f"{time.time_ns():020}-{token_hex(4)}"
        self.end()

    def end(self) -> None:
        """Hold it no longer."""
        self._until, self._known_since = float("-inf"), None

    @property
    def id(self) -> RecordID:
        """The record of this lease."""
        return RecordID("lease", self.name)

    @property
    def is_held(self) -> bool:
        """Whether this process may serve from memory."""
        return self._clock() < self._until

    def asking(self) -> tuple[int, float]:
        """The number of a renewal that is about to be sent, and the moment before."""
        self._turn += 1
        return self._turn, self._clock()

    def observe(self, rows: Iterable[LeaseRow], asked: tuple[int, float] | None = None) -> bool:
        """Take in what the database has, and the renewal `asked` for; whether this lease is known there."""
        now, others, known = self._clock(), {}, False
        for row in rows:
            if row.id == self.name:
                known = True
                self._known_since = now if self._known_since is None else self._known_since
                if asked is not None and row.granted >= asked[0]:
                    self._until = max(self._until, asked[1] + LASTS)
                continue
            granted, since = self._others.get(row.id, (None, now))
            others[row.id] = (row.granted, since if granted == row.granted else now)
        self._others = others
        return known

    def may_serve(self, row: LeaseRow) -> bool:
        """Whether another instance, by what was observed of it, may hold its lease still."""
        granted, since = self._others.get(row.id, (None, 0.0))
        return granted != row.granted or self._clock() - since < LASTS

    @property
    def leads(self) -> bool:
        """Whether this is the oldest instance that holds a lease: of all instances one at most.

        It is known for so long that any other one that holds a lease has seen its row since.
        """
        now = self._clock()
        if self._known_since is None or now - self._known_since < LASTS:
            return False
        older = (since for name, (_, since) in self._others.items() if name < self.name)
        return self.is_held and all(now - since >= LASTS for since in older)

    @property
    def forgotten(self) -> Mapping[str, int]:
        """Instances that have not renewed for long: their last turn by name."""
        now = self._clock()
        return {name: turn for name, (turn, since) in self._others.items() if now - since > FORGOTTEN_AFTER}


def lease_rows(rows: Iterable[Mapping[str, Any]]) -> list[LeaseRow]:
    """The leases in rows of the table; what is none is left out."""
    found = ((row["id"].id, row.get("seen"), row.get("granted")) for row in rows)
    return [
        LeaseRow(id, seen, granted)
        for id, seen, granted in found
        if isinstance(id, str) and isinstance(seen, int) and isinstance(granted, int)
    ]
