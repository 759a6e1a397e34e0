"""Whether the stored records are those that were left: none forged, none put back, none removed."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import structlog
from msgspec import Struct

from keycairn.app.services.audit.chain import SETTLED, Flaw, FlawKind, Walk, last_link, walked
from keycairn.app.services.audit.journal import Journal
from keycairn.app.services.audit.linking import Known
from keycairn.app.services.audit.record_sums import ATTEMPTS, RecordSums, SeenRecords
from keycairn.app.services.audit.record_weights import Present, weights_of, wrong_ones
from keycairn.app.turns import batches, each
from keycairn.domain.audit import SYSTEM, Action, AuditEvent, Details
from keycairn.domain.change import Change, PutKeyset, Touch
from keycairn.domain.errors import ConflictError, DamagedAnchorError, RecordsUnknownError, UnreadableRecordError
from keycairn.domain.proof import PROVEN, added, counts, digest, name_of, unmasked, weight
from keycairn.domain.record import Record
from keycairn.domain.state import Key, key_for
from keycairn.ports.keyset import OpenKeyset
from keycairn.ports.store import Store

BATCH = 1000
"""Records that are given their first proof in one commit."""
LISTED = 50
"""How many records of a kind of trouble an event lists; their number is told in full."""
NOT_LATEST = "it is not the version that the audit log knows as the latest"
UNCERTAIN = "the audit log that would tell whether it is the latest version is damaged"

_KINDS = {NOT_LATEST: FlawKind.ROLLED_BACK, UNCERTAIN: FlawKind.UNPROVEN}

_log = structlog.get_logger()


class _Differences(Struct, frozen=True, kw_only=True):
    """What the records are not, by what the log says: names. `right` are as they were left, whatever the log lacks."""

    rolled_back: Sequence[str]
    removed: Sequence[str]
    forged: Sequence[str]
    uncertain: Sequence[str] = ()
    right: Sequence[str] = ()


class RecordProofs:
    """Looks at all records when the vault opens and at each verification, and has the store leave out what is wrong."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._sums = RecordSums(store, journal)
        self._void: dict[str, tuple[str, str]] = {}

    async def start(self, keys: OpenKeyset, *, accept: bool = False) -> OpenKeyset:
        """Look at every record, before anything else does; the keyset to go on with.

        Records of a store of before get their first proofs. What is found wrong is left out of every read from here
        on, and written into the log. With `accept`, what is there counts, as far as its own proof holds. The journal
        must be open. Raises RecordsUnknownError where the log cannot tell which records are the right ones.
        """
        last = await last_link(self._store, keys.audit_mac)
        self._journal.follow(last)
        if not keys.record.proves and not (last and last.state) and not await self._ever_proven():
            return await self._begin(keys)
        seen = await self._sums.look()
        if accept or seen.refused or self._store.unreadable() or not self._sums.as_left(seen):
            await self._settle(accept=accept)
        else:
            self._store.trust(self._refusal, self._learn, {})
        if wrong := self._store.unreadable():
            _log.error("records that are not as they were left are refused", records=_listed(map(_called, wrong)))
        return self._journal.keys

    async def examine(self, walk: Walk) -> list[Flaw]:
        """What is wrong with the records, by a walk along the whole chain; reads leave it out at once."""
        flaws = []
        if self._journal.keys.record.proves and not self._sums.adds_up(await self._sums.look()):
            seen, walk = await self._sums.side_by_side(walk)
            try:
                different = await self._different(seen, walk)
            except RecordsUnknownError as unknown:
                if await asyncio.to_thread(self._compared, seen, walk) != _Differences(
                    rolled_back=[], removed=[], forged=[]
                ):
                    flaws.append(Flaw(kind=FlawKind.UNPROVEN, detail=str(unknown)))
            else:
                self._leave_out(seen, different)
                flaws += list(_told(FlawKind.ROLLED_BACK, different.rolled_back, NOT_LATEST))
                flaws += list(_told(FlawKind.UNPROVEN, different.uncertain, UNCERTAIN))
                gone = "it is gone, and the audit log does not know why"
                flaws += list(_told(FlawKind.REMOVED, different.removed, gone))
        told = {flaw.record for flaw in flaws}
        async for error in each(self._store.unreadable()):
            if _called(error) not in told:
                kind = _KINDS.get(error.why, FlawKind.FORGED)
                flaws.append(Flaw(kind=kind, detail=str(error), record=_called(error)))
        return flaws

    def _refusal(self, record: Record) -> str | None:
        if not counts(record):
            return None
        found = weight(record, self._journal.keys)
        if isinstance(found, str):
            return found
        if self._void:
            void, why = self._void.get(name_of(record), ("", ""))
            return why if void == digest(record, self._journal.keys) else None
        return None

    async def _learn(self, kids: frozenset[int]) -> None:
        """Have the keys that another instance made meanwhile; without them its records are refused."""
        if not kids <= self._journal.keys.record.keys.keys():
            await self._journal.refresh()

    async def _ever_proven(self) -> bool:
        """Whether what is kept beside the database remembers proofs: then a keyset of before is one put back."""
        try:
            acknowledged = await self._store.acknowledged()
        except DamagedAnchorError:
            return False
        return acknowledged is not None and bool(acknowledged.state)

    def _compared(self, seen: SeenRecords, walk: Walk) -> _Differences:
        """Which records are not what the log says of them."""
        rolled_back = [name for name, one in seen.digests.items() if walk.latest.get(name) != one]
        forged = {*_named(seen.refused)} | {_called(error) for error in self._store.unreadable()}
        removed = [
            name
            for name, one in walk.latest.items()
            if one is not None and name not in seen.digests and name not in forged
        ]
        return _Differences(rolled_back=sorted(rolled_back), removed=sorted(removed), forged=sorted(forged))

    async def _settle(self, *, accept: bool) -> None:
        """Find out what is wrong, leave it out, and write it down where that was not done before."""
        walk, _, _ = await walked(self._store, self._journal.mac)
        seen, walk = await self._sums.side_by_side(walk)
        if accept:
            await self._accept(seen, self._compared(seen, walk))
            return
        different = await self._different(seen, walk)
        total = self._leave_out(seen, different)
        found: dict[FlawKind, Sequence[str]] = {
            FlawKind.FORGED: different.forged,
            FlawKind.ROLLED_BACK: different.rolled_back,
            FlawKind.REMOVED: different.removed,
            FlawKind.UNPROVEN: different.uncertain,
        }
        told: dict[str, str | None] = dict.fromkeys(name for names in found.values() for name in names)
        agrees = seen.head is not None and total == unmasked(seen.head.state, seen.head.seq, self._journal.keys)
        if not agrees or told.keys() - walk.refused or seen.stored != seen.head:
            told |= {name: seen.digests.get(name) for name in different.right}
            told |= {name: one for name, one in seen.digests.items() if name.startswith("keyset:")}
            found[FlawKind.ALTERED] = [] if seen.stored == seen.head else ["head:current"]
            known = Known(seen.head, seen.stored, total, told)
            await self._record(Action.RECORDS_REFUSED, known, found, **{SETTLED: 1})

    async def _different(self, seen: SeenRecords, walk: Walk) -> _Differences:
        """What is wrong with the records; where the log is damaged, by its sums.

        Where those do not tell, what the log says nothing of since the damage is uncertain, and left out too. Raises
        RecordsUnknownError where nothing would be left, or the end of the log is gone.
        """
        found = await asyncio.to_thread(self._compared, seen, walk)  # of all records, and all that the log tells of
        if self._sums.adds_up(seen):
            return _Differences(rolled_back=(), removed=(), forged=found.forged, right=found.rolled_back)
        if not walk.unsure:
            return found
        if seen.head is None or not walk.ends:
            raise RecordsUnknownError
        keys = self._journal.keys
        present = Present(digests=seen.digests, weights=seen.weights)
        weights = await weights_of(self._store, present, lambda event: _sum_in(event, keys))
        missing = added(unmasked(seen.head.state, seen.head.seq, keys), -seen.total)
        gone = {*found.removed, *(weights.told() - seen.digests.keys() - {*found.forged})}
        doubts = {*found.rolled_back, *gone, *found.forged}
        wrong = wrong_ones(missing, doubts, present, weights)
        if wrong is not None:
            rolled_back = [name for name in found.rolled_back if name in wrong]
            removed = sorted(gone & wrong)
            right = sorted({*found.rolled_back, *gone} - wrong)
            return _Differences(rolled_back=rolled_back, removed=removed, forged=found.forged, right=right)
        stale = {*found.rolled_back}
        uncertain = [name for name in seen.digests if _kind(name) in PROVEN and name not in walk.certain]
        certain = [name for name in seen.digests if _kind(name) in PROVEN and name in walk.certain - stale]
        if not certain:
            raise RecordsUnknownError
        return _Differences(
            rolled_back=[name for name in found.rolled_back if name in walk.certain],
            removed=found.removed,
            forged=found.forged,
            uncertain=sorted(uncertain),
        )

    def _leave_out(self, seen: SeenRecords, different: _Differences) -> int:
        """Have the store leave out what is wrong; the sum of what is left."""
        why = dict.fromkeys(different.rolled_back, NOT_LATEST) | dict.fromkeys(different.uncertain, UNCERTAIN)
        void = [name for name in why if _kind(name) in PROVEN]  # the keyset in use is what it is
        self._void |= {name: (seen.digests[name], why[name]) for name in void}
        refused = dict(seen.refused)
        for name in void:
            kind, _, key = name.partition(":")
            refused[kind, key] = why[name]
        self._store.trust(self._refusal, self._learn, refused)
        return added(seen.total, -sum(seen.weights[name] for name in void))

    async def _accept(self, seen: SeenRecords, different: _Differences) -> None:
        """Take what is there for what it must be."""
        self._store.trust(self._refusal, self._learn, seen.refused)
        told: dict[str, str | None] = {name: seen.digests[name] for name in different.rolled_back}
        told |= dict.fromkeys((*different.removed, *different.forged))
        if told or not self._sums.as_left(seen):
            found = {FlawKind.ROLLED_BACK: different.rolled_back, FlawKind.REMOVED: different.removed}
            await self._record(Action.RECORDS_ACCEPTED, Known(seen.head, seen.stored, seen.total, told), found)

    async def _record(self, action: Action, known: Known, found: Mapping[FlawKind, Sequence[str]], **more: int) -> None:
        listed = {str(kind): _listed(names) for kind, names in found.items() if names}
        details: Details = {"records": sum(len(names) for names in found.values()), **listed, **more}
        event = self._journal.event(SYSTEM, action, "database", details=details)
        await self._journal.commit((event,), known=known)
        _log.error("the records are not as they were left", **details)

    async def _begin(self, keys: OpenKeyset) -> OpenKeyset:
        """Give every record its first proof, and begin the sum of all. Cut off anywhere, it begins again."""
        names: list[Key] = []
        async with self._store.snapshot() as records:
            async for record in records:
                if not counts(record):
                    break
                names += [key_for(record)] if key_for(record)[0] in PROVEN else []
        for part in batches(names, BATCH):
            touched: list[Change] = [Touch(kind, key) for kind, key in part]
            event = self._journal.event(SYSTEM, Action.RECORDS_PROVEN, "database", details={"records": len(part)})
            await self._journal.commit((*touched, event))
        step = keys.with_proofs()
        for attempt in range(1, ATTEMPTS + 1):
            seen = await self._sums.look()
            event = self._journal.event(SYSTEM, Action.RECORDS_PROVEN, "database", details={"records": len(names)})
            put = PutKeyset(step.record, expected=keys.record.generation)
            try:
                await self._journal.commit((put, event), known=Known(seen.head, seen.stored, seen.total))
            except ConflictError:
                if attempt == ATTEMPTS:
                    raise
            else:
                break
        self._journal.open(step)
        self._store.trust(self._refusal, self._learn, seen.refused)
        _log.info("every record was given its proof, and is checked against it from now on", records=len(names))
        return step


def _named(refused: Mapping[Key, str]) -> list[str]:
    return [f"{kind}:{key}" for kind, key in refused]


def _kind(name: str) -> str:
    return name.partition(":")[0]


def _sum_in(event: AuditEvent, keys: OpenKeyset) -> int | None:
    total = unmasked(event.state, event.seq, keys) if event.state else -1
    return total if total >= 0 else None


def _called(error: UnreadableRecordError) -> str:
    return f"{error.kind}:{error.key}"


def _listed(names: Iterable[str]) -> list[str]:
    return [*islice(names, LISTED)]


def _told(kind: FlawKind, names: Sequence[str], why: str) -> Iterator[Flaw]:
    for name in names:
        yield Flaw(kind=kind, detail=f"Record {name} is not as it was left: {why}.", record=name)
