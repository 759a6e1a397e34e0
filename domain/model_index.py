"""The index of models in memory: by list, by name, by account, and by the place that only one can hold."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from keycairn.domain.groups import Groups
from keycairn.domain.ids import CredentialId, ModelId, key_of
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.ordered import MANY, enter, without

A_TURN = 1_000
"""Entries that enter or leave in one step: a few milliseconds."""
_Shelf = tuple[str, str | None, Modality | None]
_Moved = tuple[Model | None, Model | None]


class ModelIndex:
    """Models in the orders they are listed in, by name, by account, and by the place that only one can hold."""

    def __init__(self) -> None:
        self._lists: dict[_Shelf, list[str]] = {}
        self._named: Groups[tuple[str, str], ModelId] = Groups()
        self._unique: dict[tuple[object, ...], ModelId] = {}
        self._linked: Groups[CredentialId, ModelId] = Groups()
        self._loose: Groups[tuple[str, str], ModelId] = Groups()
        self._links: dict[str, Counter[CredentialId]] = {}

    def copying(self, other: "ModelIndex") -> Iterator[None]:
        """Become as `other` is, which stays so, in turns."""
        self._lists = {shelf: keys.copy() for shelf, keys in other._lists.items()}  # noqa: SLF001  # of the same class
        self._links = {workspace: counts.copy() for workspace, counts in other._links.items()}  # noqa: SLF001  # of the same class
        yield
        self._unique = other._unique.copy()  # noqa: SLF001  # of the same class
        yield
        self._named, self._linked = other._named.copy(), other._linked.copy()  # noqa: SLF001  # of the same class
        self._loose = other._loose.copy()  # noqa: SLF001  # of the same class
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

    def unlinked(self, workspace: str, provider: str) -> list[ModelId]:
        """See `State.unlinked`."""
        return sorted(self._loose.of((workspace, provider)))

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
        for start in range(0, len(moved), A_TURN):
            _gather_kinds(moved[start : start + A_TURN], leaving, entering)
            yield
        for keys, into in ((leaving, False), (entering, True)):
            for (workspace, provider, type), some in keys.items():
                for shelf in ((workspace, p, t) for p in (None, provider) for t in (None, type)):
                    if into:
                        enter(self._lists.setdefault(shelf, []), some)
                    else:
                        self._lists[shelf] = without(self._lists[shelf], some)
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
        for start in range(0, len(moved), A_TURN):
            self._gather_links(moved[start : start + A_TURN], leaving, entering)
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

    def _gather_links(
        self,
        some: Sequence[_Moved],
        leaving: dict[tuple[str, CredentialId], list[ModelId]],
        entering: dict[tuple[str, CredentialId], list[ModelId]],
    ) -> None:
        """Gather by their accounts the models that leave or enter one, and note those without."""
        for before, after in some:
            if before is not None and before.credential is not None:
                leaving[before.workspace, before.credential].append(before.id)
            elif before is not None:
                self._loose.discard((before.workspace, before.provider), before.id)
            if after is not None and after.credential is not None:
                entering[after.workspace, after.credential].append(after.id)
            elif after is not None:
                self._loose.add((after.workspace, after.provider), after.id)


def _gather_kinds(some: Sequence[_Moved], leaving: dict[_Shelf, list[str]], entering: dict[_Shelf, list[str]]) -> None:
    """Gather by their kinds the models that leave or enter the lists of one."""
    for before, after in some:
        if before is None or after is None or _kind(before) != _kind(after):
            if before is not None:
                leaving[_kind(before)].append(key_of(before.id))
            if after is not None:
                entering[_kind(after)].append(key_of(after.id))


def unique_place(model: Model) -> tuple[object, ...]:
    """What no two models share."""
    return model.workspace, model.provider, model.credential, *model.offer


def _kind(model: Model) -> tuple[str, str, Modality]:
    return model.workspace, model.provider, model.type
