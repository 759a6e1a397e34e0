"""What a store holds: records by kind and key, and the indexes by which they are found."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar, cast

from keycairn.domain.credential import Credential
from keycairn.domain.errors import DuplicateError
from keycairn.domain.ids import CredentialId, ModelId, key_of
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.record import KINDS, NAMES, Record, kind_of, record_key
from keycairn.domain.sealed import kid_of

Key = tuple[str, str]
"""What tells a record from all others: the name of its kind, and `record_key`."""

Images = Mapping[Key, Record | None]
"""What a changeset leaves behind: each record it touched as it is afterwards, None where it is gone."""

CURRENT = "current"
"""The key of a record that there is one of."""

MANY = 100
"""Models that go at once, from which on going through their whole lists is cheaper."""

_R = TypeVar("_R", bound=Record)
_T = TypeVar("_T")
_K = TypeVar("_K")
_Place = tuple[str, datetime, CredentialId]
_Shelf = tuple[str, str | None, Modality | None]
_O = TypeVar("_O", _Place, str)


def key_for(record: Record) -> Key:
    """What tells `record` from all others."""
    return kind_of(record), record_key(record)


class State:
    """Records by kind and key, with indexes for what is asked of them. Kinds of record may be left out."""

    def __init__(self, kinds: Collection[str] = tuple(KINDS)) -> None:
        self.kinds = frozenset(kinds)
        self.tables: dict[str, dict[str, Record]] = {kind: {} for kind in KINDS}
        self._places: dict[str, list[_Place]] = {}
        self._keys: list[str] = []
        self._prints: dict[tuple[str, str], set[CredentialId]] = {}
        self._linked: dict[CredentialId, set[ModelId]] = {}
        self._links: dict[str, Counter[CredentialId]] = {}
        self._models: dict[_Shelf, list[str]] = {}
        self._named: dict[tuple[str, str], set[ModelId]] = {}
        self._unique: dict[tuple[object, ...], ModelId] = {}
        self._kids: Counter[int] = Counter()

    def get(self, kind: type[_R], key: str) -> _R | None:
        """A record, None where there is none."""
        return cast("_R | None", self.tables[NAMES[kind]].get(key))

    def all(self, kind: type[_R]) -> Iterable[_R]:
        """The records of a kind, in no order."""
        return cast("Iterable[_R]", self.tables[NAMES[kind]].values())

    def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """The credential, where the workspace has it."""
        found = self.get(Credential, key_of(id))
        return found if found is not None and (found.workspace, found.id) == (workspace, id) else None

    def model(self, workspace: str, id: ModelId) -> Model | None:
        """The model, where the workspace has it."""
        found = self.get(Model, key_of(id))
        return found if found is not None and (found.workspace, found.id) == (workspace, id) else None

    def places(self, workspace: str, *, provider: str | None, after: _Place | None) -> Iterator[CredentialId]:
        """The credentials of a workspace in the order of the list, from the one after `after`."""
        order = self._places.get(workspace, [])
        start, end = 0 if after is None else bisect_right(order, after), len(order)
        if provider is not None:
            start = max(start, bisect_left(order, provider, key=_provider))
            end = bisect_right(order, provider, key=_provider)
        for index in range(start, end):
            yield order[index][2]

    def credentials_after(self, key: str, limit: int) -> list[Credential]:
        """The credentials of all workspaces ordered by key, from the one after `key`, `limit` of them at most."""
        start = bisect_right(self._keys, key)
        table = self.tables[NAMES[Credential]]
        return [cast("Credential", table[each]) for each in self._keys[start : start + limit]]

    def has_provider(self, workspace: str, provider: str) -> bool:
        """Whether the workspace has a credential of the provider."""
        order = self._places.get(workspace, [])
        start = bisect_left(order, provider, key=_provider)
        return start < len(order) and order[start][0] == provider

    def providers(self, workspace: str) -> frozenset[str]:
        """The providers of the workspace's credentials."""
        order = self._places.get(workspace, [])
        found: set[str] = set()
        start = 0
        while start < len(order):
            found.add(order[start][0])
            start = bisect_right(order, order[start][0], lo=start, key=_provider)
        return frozenset(found)

    def with_fingerprint(self, workspace: str, fingerprint: str) -> frozenset[CredentialId]:
        """The credentials of the workspace with this fingerprint."""
        return frozenset(self._prints.get((workspace, fingerprint), ()))

    def linked(self, credential: CredentialId) -> list[ModelId]:
        """The models linked to a credential, of whatever workspace, ordered."""
        return sorted(self._linked.get(credential, ()))

    def link_counts(self, workspace: str, credentials: Collection[CredentialId] | None) -> dict[CredentialId, int]:
        """How many models of the workspace are linked to each credential (None: to all) that has any."""
        counts: Mapping[CredentialId, int] = self._links.get(workspace, {})
        if credentials is None:
            return dict(counts)
        return {id: count for id in credentials if (count := counts.get(id, 0))}

    def named(self, workspace: str, name: str) -> list[ModelId]:
        """The models of the workspace with this name, ordered."""
        return sorted(self._named.get((workspace, name), ()))

    def models(
        self,
        workspace: str,
        *,
        provider: str | None = None,
        type: Modality | None = None,
        after: ModelId | None = None,
        limit: int | None = None,
    ) -> list[Model]:
        """The models of the workspace, ordered by id, from the one after `after`, `limit` of them at most."""
        order = self._models.get((workspace, provider, type), [])
        start = 0 if after is None else bisect_right(order, key_of(after))
        keys = order[start : None if limit is None else start + limit]
        return list(map(cast("dict[str, Model]", self.tables[NAMES[Model]]).__getitem__, keys))

    def holder_of(self, place: tuple[object, ...]) -> ModelId | None:
        """The model that holds a place only one can hold; see `unique_place`."""
        return self._unique.get(place)

    def sealed_with(self, kid: int) -> int:
        """How many secrets the data key `kid` seals."""
        return self._kids[kid]

    def put(self, record: Record) -> None:
        """Take a record in, in place of the one with its key."""
        kind, key = key_for(record)
        if kind not in self.kinds:
            return
        old = self.tables[kind].get(key)
        if isinstance(record, Model) and isinstance(old, Model) and _shelves(old) == _shelves(record):
            self._relink(old, record)  # the common case, thousands at a time: it stays where it stands
            self.tables[kind][key] = record
            return
        self._drop(kind, key)
        self.tables[kind][key] = record
        if isinstance(record, Credential):
            self._index_credential(record)
        elif isinstance(record, Model):
            for shelf in _shelves(record):
                insort(self._models.setdefault(shelf, []), key)
            self._link(record)

    def by_kind(self) -> dict[str, list[Record]]:
        """Everything by kind, ordered by key."""
        return {kind: self.sorted(kind) for kind in KINDS}

    def absorb(self, images: Images) -> None:
        """Become what a changeset left behind."""
        gone = [key for (kind, key), record in images.items() if kind == NAMES[Model] and record is None]
        if len(gone) > MANY:
            self._drop_models(gone)
        for (kind, key), record in images.items():
            if record is None:
                self._drop(kind, key)
            else:
                self.put(record)

    def records(self) -> list[Record]:
        """Everything, in the order of a snapshot."""
        return [record for kind in KINDS for record in self.sorted(kind)]

    def sorted(self, kind: str) -> list[Record]:
        """The records of a kind, ordered by key."""
        table = self.tables[kind]
        match kind:
            case "credential":
                keys: Iterable[str] = self._keys
            case "model":  # a few lists in order: sorting them together is next to nothing
                keys = sorted(
                    key for (_, *narrow), shelf in self._models.items() if narrow == [None, None] for key in shelf
                )
            case _:
                keys = sorted(table)
        return list(map(table.__getitem__, keys))

    def _index_credential(self, credential: Credential) -> None:
        insort(self._places.setdefault(credential.workspace, []), _place(credential))
        insort(self._keys, key_of(credential.id))
        for mark in credential.fingerprints.values():
            self._prints.setdefault((credential.workspace, mark), set()).add(credential.id)
        self._kids.update(sealing_keys(credential))

    def _link(self, model: Model) -> None:
        self._unique[unique_place(model)] = model.id
        self._named.setdefault((model.workspace, model.name), set()).add(model.id)
        if model.credential is not None:
            self._linked.setdefault(model.credential, set()).add(model.id)
            self._links.setdefault(model.workspace, Counter())[model.credential] += 1

    def _drop_models(self, keys: Iterable[str]) -> None:
        """Drop many models: their lists are gone through once, not once for each."""
        table = self.tables[NAMES[Model]]
        old = {key: model for key in keys if isinstance(model := table.pop(key, None), Model)}
        for shelf in {shelf for model in old.values() for shelf in _shelves(model)}:
            self._models[shelf] = [key for key in self._models[shelf] if key not in old]
        for model in old.values():
            self._unlink(model)

    def _drop(self, kind: str, key: str) -> None:
        old = self.tables[kind].pop(key, None)
        if isinstance(old, Credential):
            _remove(self._places[old.workspace], _place(old))
            _remove(self._keys, key)
            for mark in old.fingerprints.values():
                _discard(self._prints, (old.workspace, mark), old.id)
            self._kids.subtract(sealing_keys(old))
        elif isinstance(old, Model):
            for shelf in _shelves(old):
                _remove(self._models[shelf], key)
            self._unlink(old)

    def _relink(self, old: Model, new: Model) -> None:
        if (old.name, old.credential) == (new.name, new.credential):
            return
        if old.name != new.name:
            self._unlink(old)
            self._link(new)
            return
        place = unique_place(old)
        if self._unique.get(place) == old.id:
            del self._unique[place]
        self._unique[unique_place(new)] = new.id
        counts = self._links.setdefault(old.workspace, Counter())
        if old.credential is not None:
            _discard(self._linked, old.credential, old.id)
            _count_down(counts, old.credential)
        if new.credential is not None:
            self._linked.setdefault(new.credential, set()).add(new.id)
            counts[new.credential] += 1

    def _unlink(self, old: Model) -> None:
        if self._unique.get(unique_place(old)) == old.id:
            del self._unique[unique_place(old)]
        _discard(self._named, (old.workspace, old.name), old.id)
        if old.credential is not None:
            _discard(self._linked, old.credential, old.id)
            _count_down(self._links[old.workspace], old.credential)


def unique_place(model: Model) -> tuple[object, ...]:
    """What no two models share."""
    return model.workspace, model.provider, model.credential, model.name, model.type


def sealing_keys(credential: Credential) -> list[int]:
    """The data key of each sealed secret that tells one."""
    return [kid for text in credential.sealed.values() if (kid := kid_of(text)) is not None]


def distinct(records: Iterable[Record]) -> Iterator[Record]:
    """`records`, for a store that holds none yet. Raises DuplicateError for a model in the place of another."""
    places: set[tuple[object, ...]] = set()
    for record in records:
        if isinstance(record, Model):
            if unique_place(record) in places:
                raise DuplicateError
            places.add(unique_place(record))
        yield record


def _place(credential: Credential) -> _Place:
    return credential.provider, credential.created, credential.id


def _count_down(counts: Counter[CredentialId], id: CredentialId) -> None:
    if counts[id] == 1:
        del counts[id]
    else:
        counts[id] -= 1


def _shelves(model: Model) -> tuple[_Shelf, ...]:
    """The lists a model stands in: of all, of its provider, of its type, and of both."""
    place, provider, type = model.workspace, model.provider, model.type
    return (place, None, None), (place, provider, None), (place, None, type), (place, provider, type)


def _provider(place: _Place) -> str:
    return place[0]


def _remove(order: list[_O], item: _O) -> None:
    order.pop(bisect_left(order, item))


def _discard(index: dict[_K, set[_T]], key: _K, item: _T) -> None:
    group = index[key]
    group.discard(item)
    if not group:
        del index[key]
