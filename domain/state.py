"""What a store holds: records by kind and key, and the indexes by which they are found."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar, cast

from keycairn.domain.credential import Credential
from keycairn.domain.errors import DuplicateError
from keycairn.domain.ids import CredentialId, ModelId, key_of
from keycairn.domain.model import Model
from keycairn.domain.record import KINDS, NAMES, Record, kind_of, record_key
from keycairn.domain.sealed import kid_of

Key = tuple[str, str]
"""What tells a record from all others: the name of its kind, and `record_key`."""

Images = Mapping[Key, Record | None]
"""What a changeset leaves behind: each record it touched as it is afterwards, None where it is gone."""

CURRENT = "current"
"""The key of a record that there is one of."""

_R = TypeVar("_R", bound=Record)
_T = TypeVar("_T")
_K = TypeVar("_K")
_Place = tuple[str, datetime, CredentialId]
_O = TypeVar("_O", _Place, str, ModelId)


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
        self._models: dict[str, list[ModelId]] = {}
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
        start = 0 if after is None else bisect_right(order, after)
        if provider is not None:
            start = max(start, bisect_left(order, provider, key=_provider))
        for place in order[start:] if provider is None else order[start : bisect_right(order, provider, key=_provider)]:
            yield place[2]

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
        return frozenset(place[0] for place in self._places.get(workspace, []))

    def with_fingerprint(self, workspace: str, fingerprint: str) -> frozenset[CredentialId]:
        """The credentials of the workspace with this fingerprint."""
        return frozenset(self._prints.get((workspace, fingerprint), ()))

    def linked(self, credential: CredentialId) -> list[ModelId]:
        """The models linked to a credential, of whatever workspace, ordered."""
        return sorted(self._linked.get(credential, ()))

    def link_counts(self, workspace: str, credentials: Collection[CredentialId] | None) -> dict[CredentialId, int]:
        """How many models of the workspace are linked to each credential (None: to all) that has any."""
        counts: dict[CredentialId, int] = {}
        for id in self._linked if credentials is None else credentials:
            linked = self._linked.get(id, set())
            if count := sum(1 for model in linked if self.model(workspace, model) is not None):
                counts[id] = count
        return counts

    def named(self, workspace: str, name: str) -> list[ModelId]:
        """The models of the workspace with this name, ordered."""
        return sorted(self._named.get((workspace, name), ()))

    def model_ids(self, workspace: str, after: ModelId | None = None) -> list[ModelId]:
        """The models of the workspace, ordered, from the one after `after`."""
        order = self._models.get(workspace, [])
        return order[0 if after is None else bisect_right(order, after) :]

    def holder_of(self, place: tuple[object, ...]) -> ModelId | None:
        """The model that holds a place only one can hold; see `unique_place`."""
        return self._unique.get(place)

    def sealed_with(self, kid: int) -> int:
        """How many secrets the data key `kid` seals."""
        return self._kids[kid]

    def put(self, record: Record) -> None:
        """Take a record in, in place of the one with its key."""
        kind, key = key_for(record)
        if kind in self.kinds:
            self._drop(kind, key)
            self.tables[kind][key] = record
            if isinstance(record, Credential):
                self._index_credential(record)
            elif isinstance(record, Model):
                self._index_model(record)

    def absorb(self, images: Images) -> None:
        """Become what a changeset left behind."""
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
        return [table[key] for key in sorted(table)]

    def _index_credential(self, credential: Credential) -> None:
        insort(self._places.setdefault(credential.workspace, []), _place(credential))
        insort(self._keys, key_of(credential.id))
        for mark in credential.fingerprints.values():
            self._prints.setdefault((credential.workspace, mark), set()).add(credential.id)
        self._kids.update(sealing_keys(credential))

    def _index_model(self, model: Model) -> None:
        self._unique[unique_place(model)] = model.id
        insort(self._models.setdefault(model.workspace, []), model.id)
        self._named.setdefault((model.workspace, model.name), set()).add(model.id)
        if model.credential is not None:
            self._linked.setdefault(model.credential, set()).add(model.id)

    def _drop(self, kind: str, key: str) -> None:
        old = self.tables[kind].pop(key, None)
        if isinstance(old, Credential):
            _remove(self._places[old.workspace], _place(old))
            _remove(self._keys, key)
            for mark in old.fingerprints.values():
                _discard(self._prints, (old.workspace, mark), old.id)
            self._kids.subtract(sealing_keys(old))
        elif isinstance(old, Model):
            if self._unique.get(unique_place(old)) == old.id:
                del self._unique[unique_place(old)]
            _remove(self._models[old.workspace], old.id)
            _discard(self._named, (old.workspace, old.name), old.id)
            if old.credential is not None:
                _discard(self._linked, old.credential, old.id)


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


def _provider(place: _Place) -> str:
    return place[0]


def _remove(order: list[_O], item: _O) -> None:
    order.pop(bisect_left(order, item))


def _discard(index: dict[_K, set[_T]], key: _K, item: _T) -> None:
    group = index[key]
    group.discard(item)
    if not group:
        del index[key]
