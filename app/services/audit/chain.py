"""The chain of audit events: going along it, and what can be wrong with it."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from keycairn.app.turns import weighed
from keycairn.domain.audit import Action, AuditEvent, Head, chained
from keycairn.ports.store import Store

AT_ONCE = 100
"""Events that are read at once."""
A_TURN = 2000
"""What is checked at once, in a few milliseconds: records that events tell of, an event being 20."""


SETTLED = "settled"
"""Says in an event about refused records that with it the log tells of every record again."""


class FlawKind(StrEnum):
    """What can be wrong with the log, or with the records it tells of."""

    ALTERED = "altered"
    MISSING = "missing"
    FOREIGN = "foreign"
    LOST = "lost"
    UNPROVEN = "unproven"
    FORGED = "forged"
    ROLLED_BACK = "rolled_back"
    REMOVED = "removed"


class Flaw(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, from event number `first` to `last` (0: no number), in a sentence.

    `record` is the kind and key of the record it is about, "" where it is about the log.
    """

    kind: FlawKind
    first: int = 0
    last: int = 0
    detail: str
    record: str = ""


class Pruned(Struct, frozen=True, kw_only=True):
    """What retention removed last, `at` that time: the events from `first` to `last`. Of those before none is left.

    `mac` is that of event `last`, which the chain goes on from.
    """

    first: int
    last: int
    mac: str
    at: datetime


class Walk:
    """Goes along the chain and notes what is wrong.

    Where events are gone, a later event may prove that retention removed them; so gaps are judged at the end. `latest`
    is what the events say of each record: its digest, None where it is gone. `unsure` says that something is missing or
    altered since the log tells of records, so that `latest` may lack something; `certain` are those whose last
    word is from after that.
    """

    def __init__(self, mac: Callable[[bytes], str]) -> None:
        self._mac = mac
        self._last: Head | None = None
        self._gaps: list[tuple[int, AuditEvent]] = []
        self._proven: dict[int, Head] = {}
        self.events: int = 0
        self.flaws: list[Flaw] = []
        self.pruned: Pruned | None = None
        self.latest: dict[str, str | None] = {}
        self.refused: set[str] = set()
        """The records that an event says were refused, and none says anything of since."""
        self.unsure: bool = False
        self.certain: set[str] = set()
        self.ends: bool = True
        """Whether the end of the chain is there: nothing newer is known to be gone."""
        self.proven: Head | None = None
        """The last link whose MAC holds."""

    @property
    def seq(self) -> int:
        """The number reached."""
        return self._last.seq if self._last else 0

    def found(self, kind: FlawKind, *, first: int = 0, last: int = 0, detail: str) -> None:
        """Note a flaw."""
        self.flaws.append(Flaw(kind=kind, first=first, last=last, detail=detail))

    def over(self, page: Sequence[AuditEvent]) -> None:
        """Go over the next events."""
        for event in page:
            self.events += 1
            link = Head(event.seq, event.mac, event.state)
            if event.seq > self.seq + 1 and not self._follows(event, link_in(event)):
                self._gaps.append((self.seq + 1, event))
                self.certain.clear()
                self._learn(event)
            elif event.seq <= self.seq + 1 and not self._follows(event, self._last):
                self._altered(event)
                self.certain.clear()
            else:
                self.proven = link
                self._note(event)
                self._learn(event)
                self.certain.update(event.proofs)  # `|=` would make it anew: those of all events so far
            self._last = link

    def _note(self, event: AuditEvent) -> None:
        """Note what an event says of the log itself."""
        if event.action is Action.KEYSET_CREATED and event.seq > 1:
            self._began_anew(event.seq)
        elif event.action is Action.COMMITS_LOST:
            self._was_lost(event)
        elif event.action is Action.RECORDS_REFUSED:
            self._were_refused(event)
        elif event.action is Action.RECORDS_ACCEPTED:
            self.unsure = False
        elif link := link_in(event):
            self._proven[link.seq] = link
            first = event.details.get("first")
            self.pruned = Pruned(first=first if isinstance(first, int) else 1, last=link.seq, mac=link.mac, at=event.at)

    def _learn(self, event: AuditEvent) -> None:
        """Take what an event says of records."""
        if not self.latest:
            self.unsure = False  # what is older tells of none
        self.latest |= event.proofs
        if event.action is Action.RECORDS_REFUSED:
            self.refused.update(name for name, one in event.proofs.items() if one is None)
        else:
            self.refused.difference_update(event.proofs)

    def ends_at(self, head: Head | None) -> None:
        """Judge the gaps, and compare the end of the chain with the stored head."""
        for first, event in self._gaps:
            before = self._proven.get(event.seq - 1)
            if before is None:
                self._missing(max([first, *(last + 1 for last in self._proven if last < event.seq)]), event.seq - 1)
            elif not self._follows(event, before):
                self._altered(event)
        self.flaws.sort(key=lambda flaw: flaw.first)
        if head == self._last:
            return
        self.unsure = True
        self.ends = head is not None and head.seq <= self.seq
        if head is not None and head.seq > self.seq:
            self._missing(self.seq + 1, head.seq)
        else:
            detail = "The stored head is not that of the last event."
            self.found(FlawKind.ALTERED, first=self.seq, last=self.seq, detail=detail)

    def _follows(self, event: AuditEvent, before: Head | None) -> bool:
        """Whether the event is, as it stands, the one after `before`."""
        return event.seq == (before.seq if before else 0) + 1 and event.mac == self._mac(chained(event, before))

    def _altered(self, event: AuditEvent) -> None:
        self.unsure = True
        detail = f"Event {event.seq} was changed, or is not in its place."
        self.found(FlawKind.ALTERED, first=event.seq, last=event.seq, detail=detail)

    def _missing(self, first: int, last: int) -> None:
        self.unsure = True
        which = f"Event {first} is" if first == last else f"Events {first} to {last} are"
        self.found(FlawKind.MISSING, first=first, last=last, detail=f"{which} gone.")

    def _began_anew(self, seq: int) -> None:
        """A keyset made after the root key was lost: only what follows it can be checked, by its own key."""
        self.flaws, self._gaps, self.latest, self.unsure = [], [], {}, False
        detail = f"Events before {seq} were written under a keyset that was lost, and cannot be checked any more."
        self.found(FlawKind.UNPROVEN, first=1, last=seq - 1, detail=detail)

    def _was_lost(self, event: AuditEvent) -> None:
        first, last = event.details.get("first"), event.details.get("last")
        detail = f"At {event.at:%Y-%m-%d %H:%M} UTC acknowledged commits were found missing: events {first} to {last}."
        self.found(FlawKind.LOST, first=event.seq, last=event.seq, detail=detail)

    def _were_refused(self, event: AuditEvent) -> None:
        number = event.details.get("records")
        found = f"records were not as they were left, which event {event.seq} names"
        detail = f"At {event.at:%Y-%m-%d %H:%M} UTC {number} {found}."
        self.found(FlawKind.LOST, first=event.seq, last=event.seq, detail=detail)
        if event.details.get(SETTLED) == 1:
            self.unsure = False


def link_in(event: AuditEvent) -> Head | None:
    """The last link of what retention removed, where the event says so; None in any other event."""
    last, mac = event.details.get("last"), event.details.get("mac")
    if event.action is Action.EVENTS_PRUNED and isinstance(last, int) and isinstance(mac, str):
        return Head(last, mac)
    return None


def event_weight(event: AuditEvent) -> int:
    """How much there is to check in an event; see `A_TURN`."""
    return 20 + len(event.proofs)


async def walked(store: Store, mac: Callable[[bytes], str]) -> tuple[Walk, Head | None, int]:
    """The walk along the whole chain, the stored head, and the number of events. About 0.1 ms an event."""
    walk = Walk(mac)
    while True:
        head = await store.head()
        page = await store.chain(after=walk.seq, limit=AT_ONCE)
        for part in weighed(page, event_weight, A_TURN):
            await asyncio.to_thread(walk.over, part)  # one event may tell of tens of thousands of records
        if page:
            continue
        stored = await store.event_count()
        if stored == walk.events or not await store.chain(after=walk.seq, limit=1):
            break
    walk.ends_at(head)
    return walk, head, stored


async def last_link(store: Store, mac: Callable[[bytes], str]) -> Head | None:
    """The last link of the chain whose MAC holds, whatever the stored head says; None where there is none."""
    head = await store.head()
    if head is not None:
        before, *page = [None, *await store.chain(after=head.seq - 2, limit=2)]
        for event in page:
            link = Head(event.seq, event.mac, event.state)
            if event.seq == head.seq and before is None:
                before = link_in(event)  # what it tells of went until there
            if event.seq == head.seq and event.mac == head.mac == mac(chained(event, before)):
                return await _forward(store, mac, link)
            before = link
    walk, _, _ = await walked(store, mac)
    return walk.proven


async def _forward(store: Store, mac: Callable[[bytes], str], last: Head) -> Head:
    """The last link from `last` on: a stored head may be older than the log."""
    while page := await store.chain(after=last.seq, limit=AT_ONCE):
        for event in page:
            if event.seq != last.seq + 1 or event.mac != mac(chained(event, last)):
                return last
            last = Head(event.seq, event.mac, event.state)
    return last
