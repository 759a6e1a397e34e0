"""The audit log: reading it, and proving that it is whole."""

from collections.abc import Sequence

from msgspec import Struct

from keycairn.app.services.audit.chain import Flaw, FlawKind, Pruned, walked
from keycairn.app.services.audit.journal import Journal
from keycairn.app.services.audit.record_proofs import RecordProofs
from keycairn.domain.audit import EVERY_EVENT, SYSTEM, Action, AuditEvent, Details, EventFilter, Head
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import DamagedAnchorError
from keycairn.ports.store import MOST, Store

_NO_ANCHOR = (
    "Nothing beside the database remembers what was acknowledged, although it holds events: what it has lost, if "
    "anything, cannot be told."
)
MOST_FLAWS = 100
"""How many flaws a report lists; their number is told in full."""


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

    def __init__(self, store: Store, journal: Journal, proofs: RecordProofs) -> None:
        self._store = store
        self._journal = journal
        self._proofs = proofs

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
        details: Details = {"first": flaw.first, "last": flaw.last}
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
        """Walk the whole chain, and compare the records with it. Takes about 0.1 ms an event. Raises SealedError."""
        anchored, unknown = None, ""
        try:
            anchored = await self._store.acknowledged()  # first: what is written from here on is in the chain only
        except DamagedAnchorError as error:
            unknown = str(error)
        walk, head, stored = await walked(self._store, self._journal.mac)
        if stored > walk.events:
            walk.found(
                FlawKind.FOREIGN,
                detail=f"{stored - walk.events} events do not belong to the chain: something else wrote them.",
            )
        if unknown or (anchored is None and head is not None):
            walk.found(FlawKind.UNPROVEN, last=head.seq if head else 0, detail=unknown or _NO_ANCHOR)
        if anchored and (flaw := await self._against(anchored, head)):
            walk.flaws.append(flaw)
        walk.flaws += await self._proofs.examine(walk)
        return ChainReport(
            intact=not walk.flaws,
            events=stored,
            head=head.seq if head else 0,
            anchor=anchored.seq if anchored else 0,
            flaws=tuple(walk.flaws[:MOST_FLAWS]),
            flaw_count=len(walk.flaws),
            pruned=walk.pruned,
        )
