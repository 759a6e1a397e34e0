"""What strangers tried: counted in bounded memory, and written down in few events, however many there were."""

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct

from keycairn.domain.address import counted_as

ANONYMOUS = "anonymous"
"""The actor of an attempt that showed no valid token."""
APART = 16
"""How many kinds of attempts of one window get an event of their own. All others together get one."""
MOST_SOURCES = 2_000
"""How many addresses are told apart while they are counted; then it is `at least` so many."""
FIRST_WINDOW = 15.0
LONGEST_WINDOW = 3600.0
"""Seconds between two writes: short when attempts begin, twice as long each time while they go on. So a day of them
leaves some 400 events, whoever sends how many from how many addresses."""


class Attempt(Struct, frozen=True):
    """What is counted together. `source` is an address, that of an IPv6 network for all of its /64."""

    source: str
    workspace: str
    target: str
    outcome: str


class Told(Struct, frozen=True):
    """Attempts to be told in one event: `times` in all, `outcomes` how often each, from `sources` addresses."""

    attempt: Attempt
    times: int
    outcomes: dict[str, int] = {}
    sources: int = 1


class RefusedAttempts:
    """Counts attempts, and says when it is time to write them down. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._window = FIRST_WINDOW
        self._written = -LONGEST_WINDOW
        self._apart: Counter[Attempt] = Counter()
        self._others: Counter[str] = Counter()
        self._other_sources: set[str] = set()

    def note(self, source: str, workspace: str, target: str, outcome: str) -> None:
        """Count one."""
        address = counted_as(source)
        attempt = Attempt(address, workspace, target, outcome)
        if attempt in self._apart or len(self._apart) < APART:
            self._apart[attempt] += 1
            return
        self._others[outcome] += 1
        if len(self._other_sources) < MOST_SOURCES:
            self._other_sources.add(address)

    def due(self) -> bool:
        """Whether there is something to write, and the window since the last time is over."""
        return bool(self._apart) and self._monotonic() >= self._written + self._window

    def take(self) -> Sequence[Told]:
        """Everything counted, which is counted no more. The next window begins."""
        now = self._monotonic()
        if not self._apart:
            return ()
        quiet = now - self._written > 2 * LONGEST_WINDOW
        self._window = FIRST_WINDOW if quiet else min(2 * self._window, LONGEST_WINDOW)
        self._written = now
        told = [Told(attempt, times) for attempt, times in self._apart.items()]
        if self._others:
            various = Attempt("", next(iter(self._apart)).workspace, "various", "various")
            told.append(Told(various, self._others.total(), dict(self._others), len(self._other_sources)))
        self._apart, self._others, self._other_sources = Counter(), Counter(), set()
        return told

    def give_back(self, told: Sequence[Told]) -> None:
        """Count again what could not be written."""
        for one in told:
            if one.outcomes or (one.attempt not in self._apart and len(self._apart) >= APART):
                self._others.update(one.outcomes or {one.attempt.outcome: one.times})
                if one.attempt.source and len(self._other_sources) < MOST_SOURCES:
                    self._other_sources.add(one.attempt.source)
            else:
                self._apart[one.attempt] += one.times
