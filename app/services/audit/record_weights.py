"""Which records are the right ones where the audit log itself is damaged: worked out from the sums its events carry.

Each event carries the sum of all records after it, so that two events tell what lies between them. Of a record that is
not as it was left, the weight it should have follows from the event that told of it. Where all weights together come to
the last sum, nothing else can be wrong, whatever a damaged event said: nobody without the keyset can balance a sum.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product

from msgspec import Struct

from keycairn.app.services.audit.chain import A_TURN, AT_ONCE, event_weight
from keycairn.app.turns import weighed
from keycairn.domain.audit import AuditEvent
from keycairn.domain.proof import added
from keycairn.ports.store import Store

MOST_DOUBTS = 12
"""Records whose doubts are tried in every combination."""


class Present(Struct, frozen=True, kw_only=True):
    """The records that are there and proven, by name: their digests and weights."""

    digests: Mapping[str, str]
    weights: Mapping[str, int]


class RecordWeights:
    """Goes along the chain, and keeps what the latest version of each record weighs, where the sums tell."""

    def __init__(self, present: Present, total_of: Callable[[AuditEvent], int | None]) -> None:
        self._present = present
        self._total_of = total_of
        self._latest: dict[str, str | None] = {}
        self._weights: dict[str, int | None] = {}
        self._seq = 0
        self._total: int | None = 0
        self._whole = True
        self._follows = True
        self._change = 0
        self._open: list[str] = []
        """What was told since the last sum that is known: by how much it changes it, and what is not known of it."""

    def weight(self, name: str) -> int | None:
        """What the record should weigh: 0 where it should not be there, None where that does not follow."""
        return self._weights.get(name, 0 if self._whole else None)

    def told(self) -> set[str]:
        """The records that should be there by what was read, damaged events too."""
        return {name for name, digest in self._latest.items() if digest is not None}

    def over(self, events: Sequence[AuditEvent]) -> None:
        """Go over the next events."""
        for event in events:
            self._over(event)

    def _over(self, event: AuditEvent) -> None:
        if event.seq != self._seq + 1:
            self._whole, self._follows, self._total = False, False, None
        total = self._total_of(event)
        for name, digest in event.proofs.items():
            if name in self._latest and self._latest[name] == digest:
                continue  # said once more
            before, after = self.weight(name), self._known(name, digest)
            self._follows = self._follows and before is not None
            self._change += (after or 0) - (before or 0)
            if after is None:
                self._open.append(name)
            self._latest[name], self._weights[name] = digest, after
        if total is not None:
            if self._follows and self._total is not None and len(self._open) == 1:
                self._weights[self._open[0]] = added(total - self._total, -self._change)
            self._total, self._follows, self._change, self._open = total, True, 0, []
        self._seq = event.seq

    def _known(self, name: str, digest: str | None) -> int | None:
        if digest is None:
            return 0
        return self._present.weights[name] if self._present.digests.get(name) == digest else None


async def weights_of(store: Store, present: Present, total_of: Callable[[AuditEvent], int | None]) -> RecordWeights:
    """The weights by the whole chain."""
    weights, seq = RecordWeights(present, total_of), 0
    while page := await store.chain(after=seq, limit=AT_ONCE):
        for part in weighed(page, event_weight, A_TURN):
            await asyncio.to_thread(weights.over, part)
        seq = page[-1].seq
    return weights


def wrong_ones(
    missing: int, doubts: Collection[str], present: Present, weights: RecordWeights
) -> frozenset[str] | None:
    """Which of the doubtful records are wrong, so that all together come to the sum; None where that cannot be told.

    `missing` is what the records that are there lack of it. A doubtful record may be right as it is, or as it is gone.
    """
    lacks: dict[str, int] = {}
    for name in doubts:
        weight = weights.weight(name)
        if weight is not None and weight != present.weights.get(name, 0):  # else it is as the damaged event told
            lacks[name] = weight - present.weights.get(name, 0)
    there = {name for name in lacks if name not in present.weights}
    for chosen in (set(lacks), there):
        if added(sum(lacks[name] for name in chosen), -missing) == 0:
            return frozenset(chosen)
    if len(lacks) <= MOST_DOUBTS:
        names = sorted(lacks)
        for choice in product((False, True), repeat=len(names)):
            some = [name for name, wrong in zip(names, choice, strict=True) if wrong]
            if added(sum(lacks[name] for name in some), -missing) == 0:
                return frozenset(some)
    return None
