"""What the journal adds to a changeset: the proofs of its records, and the links of its events."""

from collections.abc import Generator, Iterator, Mapping
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.audit import Head, chained
from keycairn.domain.draft import Draft
from keycairn.domain.errors import ConflictError, KeysetMovedError
from keycairn.domain.keyset import Keyset
from keycairn.domain.proof import PROVEN, Proven, added, counts, digest, masked, primary_of, proven, unmasked, weight
from keycairn.domain.record import KINDS, NAMES, Record
from keycairn.domain.state import CURRENT
from keycairn.ports.keyset import OpenKeyset

_KEYSET = NAMES[Keyset]


class Known(Struct, frozen=True):
    """What all records come to, by a look at them, while the chain ended at `head`; `told` goes into the event.

    `stored` is what the database took for the end of the chain then.
    """

    head: Head | None
    stored: Head | None
    total: int
    told: Mapping[str, str | None] = {}


class Linked:
    """Finishes one commit. `head` is the chain's afterwards, None where nothing was linked."""

    def __init__(self, keys: OpenKeyset, last: Head | None, known: Known | None, carried: Mapping[str, str]) -> None:
        self._keys = keys
        self._last = last
        self._known = known
        self._carried = carried
        self.head: Head | None = None

    def finish(self, draft: Draft) -> Iterator[None]:
        """See `keycairn.ports.store.Finish`; a step for each record.

        Raises KeysetMovedError, or ConflictError where `known` is not so.
        """
        stored = draft.before((_KEYSET, CURRENT))
        mine = self._keys.record
        known = isinstance(stored, Keyset) and stored.install_id == mine.install_id
        if known and isinstance(stored, Keyset) and primary_of(stored) != primary_of(mine):
            raise KeysetMovedError
        became: dict[str, str | None] = {}
        change = yield from self._prove(draft, became)
        if not draft.appended:
            if became:
                raise AssertionError("a change of records needs its audit event")
            return
        head = self._follows(draft.get(Head, CURRENT))
        total = self._total(head, change, anew=not known)
        told = {} if self._known is None else self._known.told
        became = {**self._still_true(draft), **told, **became}
        for event in draft.appended:
            seq = head.seq + 1 if head else 1
            state = "" if total is None else masked(total, seq, self._keys)
            link = replace(event, seq=seq, mac="", proofs=became, state=state)
            head = Head(seq, self._keys.audit_mac(chained(link, head)), state)
            draft.put(replace(link, mac=head.mac))
            became = {}  # told once
        if head is not None:
            draft.put(head)
        self.head = head

    def _follows(self, stored: Head | None) -> Head | None:
        """The link that the next one follows. Raises ConflictError where `known` is not so."""
        if self._known is not None:
            if self._known.stored != stored:
                raise ConflictError
            return self._known.head
        if self._last is not None and (stored is None or stored.seq <= self._last.seq):
            return self._last
        return stored

    def _prove(self, draft: Draft, became: dict[str, str | None]) -> Generator[None, None, int]:
        """Prove the records, and note what became of those that changed; gives by how much the sum of all did."""
        change = 0
        primary = primary_of(self._keys.record)
        for (kind, key), image in list(draft.images.items()):
            if kind not in PROVEN and kind != _KEYSET:
                continue
            more = 0
            if image is not None and kind != _KEYSET:
                image, more = proven(cast("Proven", image), self._keys, primary)  # noqa: PLW2901  # as it is stored
                draft.put(image)
            elif image is not None:
                more = self._weight(image)
            before = draft.before((kind, key))
            if image is not None and image is before:
                draft.forget((kind, key))  # it was only looked at
                continue
            now, then = (None if one is None else digest(one, self._keys) for one in (image, before))
            if now != then or image is None:
                became[f"{kind}:{key}"] = now
                change += more - self._weight(before)
            yield
        return change

    def _still_true(self, draft: Draft) -> dict[str, str | None]:
        """What is carried on of the records that are still so."""
        found: dict[str, str | None] = {}
        for name, one in self._carried.items():
            kind, _, key = name.partition(":")
            record = draft.get(KINDS[kind], key) if kind in KINDS else None
            if record is not None and digest(record, self._keys) == one:
                found[name] = one
        return found

    def _weight(self, record: Record | None) -> int:
        found = 0 if record is None or not counts(record) else weight(record, self._keys)
        return found if isinstance(found, int) else 0

    def _total(self, head: Head | None, change: int, *, anew: bool) -> int | None:
        """The sum of all records after the commit; None as long as no sum was begun. A new keyset begins its own."""
        if self._known is not None:
            return added(self._known.total, change)
        if anew or head is None:
            return added(0, change) if head is None and self._keys.record.proves else None
        return added(unmasked(head.state, head.seq, self._keys), change) if head.state else None
