"""The indexes of the records in memory, kept as records change, many at once where many do."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import TypeVar

from keycairn.domain.credential import Credential
from keycairn.domain.groups import Groups
from keycairn.domain.ids import CredentialId, ModelId, key_of
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.sealed import kid_of

MANY = 100
"""Entries that enter or leave an ordered list at once, from which on going through it is cheaper."""

A_TURN = 1_000
"""Entries that enter or leave in one step: a few milliseconds."""

Place = tuple[str, datetime, CredentialId]
_Shelf = tuple[str, str | None, Modality | None]
_Moved = tuple[Model | None, Model | None]
_O = TypeVar("_O", Place, str)


class CredentialIndex:
    """Credentials in the orders they are listed in, by fingerprint, and how many secrets each data key seals."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        """The keys of all, ordered."""
        self._places: dict[str, list[Place]] = {}
        self._prints: Groups[tuple[str, str], CredentialId] = Groups()
        self._kids: Counter[int] = Counter()

    def copying(self, other: "CredentialIndex") -> Iterator[None]:
        """Become as `other` is, which stays so, in turns."""
        self.keys = other.keys.copy()
        self._places = {workspace: places.copy() for workspace, places in other._places.items()}  # noqa: SLF001  # of the same class
        self._kids = other._kids.copy()  # noqa: SLF001  # of the same class
        self._prints = other._prints.copy()  # noqa: SLF001  # of the same class
        yield

    def change(self, changes: Iterable[tuple[Credential | None, Credential | None]]) -> None:
        """Take in credentials that changed, each as it was and as it is; None where it was not, or is not."""
        leaving: dict[str, list[Place]] = defaultdict(list)
        entering: dict[str, list[Place]] = defaultdict(list)
        gone: list[str] = []
        new: list[str] = []
        for before, after in changes:
            if before is not None:
                self._forget(before, after)
                if after is None:
                    gone.append(key_of(before.id))
                if after is None or _shown(before) != _shown(after):
                    leaving[before.workspace].append(_place(before))
            if after is not None:
                self._learn(before, after)
                if before is None:
                    new.append(key_of(after.id))
                if before is None or _shown(before) != _shown(after):
                    entering[after.workspace].append(_place(after))
        self.keys = _without(self.keys, gone)
        _enter(self.keys, new)
        for workspace, places in leaving.items():
            self._places[workspace] = _without(self._places[workspace], places)
        for workspace, places in entering.items():
            _enter(self._places.setdefault(workspace, []), places)

    def places(self, workspace: str, *, provider: str | None, after: Place | None) -> Iterator[CredentialId]:
        """See `State.places`."""
        order = self._places.get(workspace, [])
        start, end = 0 if after is None else bisect_right(order, after), len(order)
        if provider is not None:
            start = max(start, bisect_left(order, provider, key=_provider))
            end = bisect_right(order, provider, key=_provider)
        for index in range(start, end):
            yield order[index][2]

    def has_provider(self, workspace: str, provider: str) -> bool:
        """See `State.has_provider`."""
        order = self._places.get(workspace, [])
        start = bisect_left(order, provider, key=_provider)
        return start < len(order) and order[start][0] == provider

    def providers(self, workspace: str) -> frozenset[str]:
        """See `State.providers`."""
        order = self._places.get(workspace, [])
        found: set[str] = set()
        start = 0
        while start < len(order):
            found.add(order[start][0])
            start = bisect_right(order, order[start][0], lo=start, key=_provider)
        return frozenset(found)

    def with_fingerprint(self, workspace: str, fingerprint: str) -> frozenset[CredentialId]:
        """See `State.with_fingerprint`."""
        return frozenset(self._prints.of((workspace, fingerprint)))

    def sealed_with(self, kid: int) -> int:
        """See `State.sealed_with`."""
        return self._kids[kid]

    def _forget(self, before: Credential, after: Credential | None) -> None:
        if after is None or before.sealed != after.sealed:
            self._kids.subtract(sealing_keys(before))
        if after is None or _prints(before) != _prints(after):
            for mark in before.fingerprints.values():
                self._prints.discard((before.workspace, mark), before.id)

    def _learn(self, before: Credential | None, after: Credential) -> None:
        if before is None or before.sealed != after.sealed:
            self._kids.update(sealing_keys(after))
        if before is None or _prints(before) != _prints(after):
            for mark in after.fingerprints.values():
                self._prints.add((after.workspace, mark), after.id)


class ModelIndex:
    """Models in the orders they are listed in, by name, by account, and by the place that only one can hold."""

    def __init__(self) -> None:
        self._lists: dict[_Shelf, list[str]] = {}
        self._named: Groups[tuple[str, str], ModelId] = Groups()
        self._unique: dict[tuple[object, ...], ModelId] = {}
        self._linked: Groups[CredentialId, ModelId] = Groups()
        self._links: dict[str, Counter[CredentialId]] = {}

    def copying(self, other: "ModelIndex") -> Iterator[None]:
        """Become as `other` is, which stays so, in turns."""
        self._lists = {shelf: keys.copy() for shelf, keys in other._lists.items()}  # noqa: SLF001  # of the same class
        self._links = {workspace: counts.copy() for workspace, counts in other._links.items()}  # noqa: SLF001  # of the same class
        yield
        self._unique = other._unique.copy()  # noqa: SLF001  # of the same class
        yield
        self._named, self._linked = other._named.copy(), other._linked.copy()  # noqa: SLF001  # of the same class
        yield

    def change(self, changes: Iterable[tuple[Model | None, Model | None]]) -> None:
        """Take in models that changed, each as it was and as it is; None where it was not, or is not."""
        for _ in self.changing(changes):
            pass

    def changing(self, changes: Iterable[tuple[Model | None, Model | None]]) -> Iterator[None]:
        """As `change`, in steps of a few milliseconds; only after the last one it answers right."""
        moved: list[_Moved] = []
        for number, (before, after) in enumerate(changes, 1):
            was = None if before is None else unique_place(before)
            where = None if after is None else unique_place(after)
            if was != where:
                moved.append((before, after))
                if was is not None and before is not None and self._unique.get(was) == before.id:
                    del self._unique[was]
            if number % A_TURN == 0:
                yield
        for number, (_, after) in enumerate(moved, 1):  # all that leave have gone: one may take the place of another
            if after is not None:
                self._unique[unique_place(after)] = after.id
            if number % A_TURN == 0:
                yield
        yield from self._change_lists(moved)
        yield from self._change_names(moved)
        yield from self._change_links(moved)

    def listed(
        self,
        workspace: str,
        *,
        provider: str | None = None,
        type: Modality | None = None,
        after: ModelId | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """The keys of the models that `State.models` gives."""
        order = self._lists.get((workspace, provider, type), [])
        start = 0 if after is None else bisect_right(order, key_of(after))
        return order[start : None if limit is None else start + limit]

    def keys(self) -> list[str]:
        """The keys of all, ordered."""
        of_workspaces = [order for (_, provider, type), order in self._lists.items() if provider is type is None]
        if len(of_workspaces) == 1:
            return of_workspaces[0].copy()
        return sorted(chain.from_iterable(of_workspaces))  # a few lists in order: that is next to nothing

    def linked(self, credential: CredentialId) -> list[ModelId]:
        """See `State.linked`."""
        return sorted(self._linked.of(credential))

    def link_counts(self, workspace: str, credentials: Collection[CredentialId] | None) -> dict[CredentialId, int]:
        """See `State.link_counts`."""
        counts: Mapping[CredentialId, int] = self._links.get(workspace, {})
        if credentials is None:
            return dict(counts)
        return {id: count for id in credentials if (count := counts.get(id, 0))}

    def named(self, workspace: str, name: str) -> list[ModelId]:
        """See `State.named`."""
        return sorted(self._named.of((workspace, name)))

    def holder_of(self, place: tuple[object, ...]) -> ModelId | None:
        """See `State.holder_of`."""
        return self._unique.get(place)

    def _change_lists(self, moved: Sequence[_Moved]) -> Iterator[None]:
        leaving: dict[_Shelf, list[str]] = defaultdict(list)
        entering: dict[_Shelf, list[str]] = defaultdict(list)
        for before, after in moved:
            if before is not None and after is not None and _kind(before) == _kind(after):
                continue
            if before is not None:
                leaving[_kind(before)].append(key_of(before.id))
            if after is not None:
                entering[_kind(after)].append(key_of(after.id))
        yield
        for keys, into in ((leaving, False), (entering, True)):
            for (workspace, provider, type), some in keys.items():
                for shelf in ((workspace, p, t) for p in (None, provider) for t in (None, type)):
                    if into:
                        _enter(self._lists.setdefault(shelf, []), some)
                    else:
                        self._lists[shelf] = _without(self._lists[shelf], some)
                    if len(some) > MANY:
                        yield

    def _change_names(self, moved: Sequence[_Moved]) -> Iterator[None]:
        for number, (before, after) in enumerate(moved, 1):
            was = None if before is None else (before.workspace, before.name)
            where = None if after is None else (after.workspace, after.name)
            if was != where:
                if before is not None and was is not None:
                    self._named.discard(was, before.id)
                if after is not None and where is not None:
                    self._named.add(where, after.id)
            if number % A_TURN == 0:
                yield

    def _change_links(self, moved: Sequence[_Moved]) -> Iterator[None]:
        leaving: dict[tuple[str, CredentialId], list[ModelId]] = defaultdict(list)
        entering: dict[tuple[str, CredentialId], list[ModelId]] = defaultdict(list)
        for before, after in moved:
            if before is not None and before.credential is not None:
                leaving[before.workspace, before.credential].append(before.id)
            if after is not None and after.credential is not None:
                entering[after.workspace, after.credential].append(after.id)
        yield
        for number, ((workspace, credential), ids) in enumerate(leaving.items(), 1):
            self._linked.discard(credential, *ids)
            counts = self._links[workspace]
            counts[credential] -= len(ids)
            if not counts[credential]:
                del counts[credential]
            if number % A_TURN == 0:
                yield
        for number, ((workspace, credential), ids) in enumerate(entering.items(), 1):
            self._linked.add(credential, *ids)
            self._links.setdefault(workspace, Counter())[credential] += len(ids)
            if number % A_TURN == 0:
                yield


def unique_place(model: Model) -> tuple[object, ...]:
    """What no two models share."""
    return model.workspace, model.provider, model.credential, *model.offer


def sealing_keys(record: Credential | KeyRotation) -> list[int]:
    """The data key of each sealed secret that tells one."""
    return [kid for text in record.sealed.values() if (kid := kid_of(text)) is not None]


def _kind(model: Model) -> tuple[str, str, Modality]:
    return model.workspace, model.provider, model.type


def _place(credential: Credential) -> Place:
    return credential.provider, credential.created, credential.id


def _shown(credential: Credential) -> tuple[str, Place]:
    return credential.workspace, _place(credential)


def _prints(credential: Credential) -> tuple[str, Mapping[str, str]]:
    return credential.workspace, credential.fingerprints


def _provider(place: Place) -> str:
    return place[0]


def _enter(order: list[_O], some: Sequence[_O]) -> None:
    """Put entries into an ordered list."""
    if len(some) > MANY:
        order += some
        order.sort()
    else:
        for one in some:
            insort(order, one)


def _without(order: list[_O], some: Sequence[_O]) -> list[_O]:
    """An ordered list without some of its entries."""
    if len(some) > MANY:
        gone = set(some)
        begin, end = bisect_left(order, min(gone)), bisect_right(order, max(gone))
        order[begin:end] = [one for one in order[begin:end] if one not in gone]
        return order
    for one in some:
        order.pop(bisect_left(order, one))
    return order
