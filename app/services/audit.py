"""The audit log: reading it, and proving that it is whole."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from keycairn.app.services.journal import Journal
from keycairn.domain.audit import EVERY_EVENT, SYSTEM, Action, AuditEvent, EventFilter, Head, chained
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import DamagedAnchorError
from keycairn.ports.store import MOST, Store

_NO_ANCHOR = (
    "Nothing beside the database remembers what was acknowledged, although it holds events: what it has lost, if "
    "anything, cannot be told."
)
MOST_FLAWS = 100
"""How many flaws a report lists; their number is told in full."""
AT_ONCE = 100
"""Events that are read and checked without letting others run: a few milliseconds."""


class FlawKind(StrEnum):
    """What can be wrong with the log."""

    ALTERED = "altered"
    MISSING = "missing"
    FOREIGN = "foreign"
    LOST = "lost"
    UNPROVEN = "unproven"


class Flaw(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, from event number `first` to `last` (0: no number), in a sentence."""

    kind: FlawKind
    first: int = 0
    last: int = 0
    detail: str


class Pruned(Struct, frozen=True, kw_only=True):
    """What retention removed last, `at` that time: the events from `first` to `last`. Of those before none is left.

    `mac` is that of event `last`, which the chain goes on from.
    """

    first: int
    last: int
    mac: str
    at: datetime


class ChainReport(Struct, frozen=True, kw_only=True):
    """What checking the log found. `events` were read; `head` and `anchor` are the last numbers by either memory."""

    intact: bool
    events: int
    head: int
    anchor: int
    flaws: tuple[Flaw, ...]
    flaw_count: int
    pruned: Pruned | None = None


class AuditLog:
    """The events of every workspace, in one chain."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    async def events(
        self,
        *,
        matching: EventFilter = EVERY_EVENT,
        after: int | None = None,
        limit: int = MOST,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> Sequence[AuditEvent]:
        """A page of a workspace's events in the order they were written, from the one after the number `after`."""
        return await self._store.events(workspace, matching=matching, after=after, limit=limit)

    async def compare(self) -> Flaw | None:
        """Compare the database with what was acknowledged before it was opened; what is wrong, None when nothing is.

        For the start, before anything is written.
        """
        head = await self._store.head()
        try:
            anchored = await self._store.acknowledged()
        except DamagedAnchorError as error:
            return Flaw(kind=FlawKind.UNPROVEN, last=head.seq if head else 0, detail=str(error))
        if anchored is None and head is not None:
            return Flaw(kind=FlawKind.UNPROVEN, last=head.seq, detail=_NO_ANCHOR)
        return await self._against(anchored, head) if anchored else None

    async def record(self, flaw: Flaw) -> None:
        """Write into the log what `compare` found, where it stays on record; what is there counts from now on.

        Raises SealedError.
        """
        details: dict[str, str | int | list[str]] = {"first": flaw.first, "last": flaw.last}
        action = Action.ANCHOR_RENEWED if flaw.kind is FlawKind.UNPROVEN else Action.COMMITS_LOST
        await self._journal.commit(
            (self._journal.event(SYSTEM, action, "database", outcome=flaw.kind, details=details),)
        )
        await self._store.vouch()

    async def _against(self, anchored: Head, head: Head | None) -> Flaw | None:
        """What the database lacks of what the anchor remembers."""
        reached = head.seq if head else 0
        if reached < anchored.seq:
            return Flaw(
                kind=FlawKind.LOST,
                first=reached + 1,
                last=anchored.seq,
                detail=f"The database ends at event {reached}, but {anchored.seq} had been acknowledged: it lost "
                "commits, or an older copy of it was put in place. Compare with your backups.",
            )
        page = await self._store.chain(after=anchored.seq - 1, limit=1)
        gone = not page or page[0].seq != anchored.seq
        if gone or page[0].mac != anchored.mac:
            which = "is gone" if gone else "is not the one that was acknowledged: the history was replaced"
            return Flaw(
                kind=FlawKind.LOST if gone else FlawKind.ALTERED,
                first=anchored.seq,
                last=anchored.seq,
                detail=f"Event {anchored.seq} {which}. Compare with your backups.",
            )
        return None

    async def verify(self) -> ChainReport:
        """Walk the whole chain. Takes about 0.1 ms an event. Raises SealedError."""
        walk = _Walk(self._journal)
        anchored, unproven = None, None
        try:
            anchored = await self._store.acknowledged()  # first: what is acknowledged meanwhile may be behind the walk
        except DamagedAnchorError as error:
            unproven = str(error)
        while True:
            head = await self._store.head()
            page = await self._store.chain(after=walk.seq, limit=AT_ONCE)
            walk.over(page)
            if page:
                await asyncio.sleep(0)
                continue
            stored = await self._store.event_count()
            if stored == walk.events or not await self._store.chain(after=walk.seq, limit=1):
                break
        walk.ends_at(head)
        if stored > walk.events:
            walk.found(
                FlawKind.FOREIGN,
                detail=f"{stored - walk.events} events do not belong to the chain: something else wrote them.",
            )
        if unproven is not None:
            walk.found(FlawKind.UNPROVEN, detail=unproven)
        elif anchored is not None:
            if flaw := await self._against(anchored, head):
                walk.flaws.append(flaw)
        elif head is not None:
            walk.found(FlawKind.UNPROVEN, last=head.seq, detail=_NO_ANCHOR)
        return ChainReport(
            intact=not walk.flaws,
            events=stored,
            head=head.seq if head else 0,
            anchor=anchored.seq if anchored else 0,
            flaws=tuple(walk.flaws[:MOST_FLAWS]),
            flaw_count=len(walk.flaws),
            pruned=walk.pruned,
        )


class _Walk:
    """Goes along the chain and notes what is wrong.

    Where events are gone, a later event may prove that retention removed them; so gaps are judged at the end.
    """

    def __init__(self, journal: Journal) -> None:
        self._mac = journal.mac
        self._last: Head | None = None
        self._gaps: list[tuple[int, AuditEvent]] = []
        self._proven: dict[int, Head] = {}
        self.events = 0
        self.flaws: list[Flaw] = []
        self.pruned: Pruned | None = None

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
            if event.seq > self.seq + 1 and not self._follows(event, link_in(event)):
                self._gaps.append((self.seq + 1, event))
            elif event.seq <= self.seq + 1 and not self._follows(event, self._last):
                self._altered(event)
            elif event.action is Action.KEYSET_CREATED and event.seq > 1:
                self._began_anew(event.seq)
            elif event.action is Action.COMMITS_LOST:
                self._was_lost(event)
            elif link := link_in(event):
                self._proven[link.seq] = link
                first = event.details.get("first")
                self.pruned = Pruned(
                    first=first if isinstance(first, int) else 1, last=link.seq, mac=link.mac, at=event.at
                )
            self._last = Head(event.seq, event.mac)

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
        if head is not None and head.seq > self.seq:
            self._missing(self.seq + 1, head.seq)
        else:
            detail = "The stored head is not that of the last event."
            self.found(FlawKind.ALTERED, first=self.seq, last=self.seq, detail=detail)

    def _follows(self, event: AuditEvent, before: Head | None) -> bool:
        """Whether the event is, as it stands, the one after `before`."""
        return event.seq == (before.seq if before else 0) + 1 and event.mac == self._mac(chained(event, before))

    def _altered(self, event: AuditEvent) -> None:
        detail = f"Event {event.seq} was changed, or is not in its place."
        self.found(FlawKind.ALTERED, first=event.seq, last=event.seq, detail=detail)

    def _missing(self, first: int, last: int) -> None:
        which = f"Event {first} is" if first == last else f"Events {first} to {last} are"
        self.found(FlawKind.MISSING, first=first, last=last, detail=f"{which} gone.")

    def _began_anew(self, seq: int) -> None:
        """A keyset made after the root key was lost: only what follows it can be checked, by its own key."""
        self.flaws, self._gaps = [], []
        detail = f"Events before {seq} were written under a keyset that was lost, and cannot be checked any more."
        self.found(FlawKind.UNPROVEN, first=1, last=seq - 1, detail=detail)

    def _was_lost(self, event: AuditEvent) -> None:
        first, last = event.details.get("first"), event.details.get("last")
        detail = f"At {event.at:%Y-%m-%d %H:%M} UTC acknowledged commits were found missing: events {first} to {last}."
        self.found(FlawKind.LOST, first=event.seq, last=event.seq, detail=detail)


def link_in(event: AuditEvent) -> Head | None:
    """The last link of what retention removed, where the event says so; None in any other event."""
    last, mac = event.details.get("last"), event.details.get("mac")
    if event.action is Action.EVENTS_PRUNED and isinstance(last, int) and isinstance(mac, str):
        return Head(last, mac)
    return None
