"""What a store holds: records by kind and key, and the indexes by which they are found."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar, cast

from keycairn.domain.credential import Credential
from keycairn.domain.credential_index import CredentialIndex, Place, sealing_keys
from keycairn.domain.errors import DuplicateError
from keycairn.domain.ids import CredentialId, ModelId, key_of
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.model_index import ModelIndex, unique_place
from keycairn.domain.record import KINDS, NAMES, Record, kind_of, record_key

Key = tuple[str, str]
"""What tells a record from all others: the name of its kind, and `record_key`."""

Images = Mapping[Key, Record | None]
"""What a changeset leaves behind: each record it touched as it is afterwards, None where it is gone."""

CURRENT = "current"
"""The key of a record that there is one of."""

AT_ONCE = 500
"""Records that are absorbed in one turn: a few milliseconds."""

_R = TypeVar("_R", bound=Record)
_CREDENTIAL, _MODEL, _ROTATION = NAMES[Credential], NAMES[Model], NAMES[KeyRotation]


def key_for(record: Record) -> Key:
    """What tells `record` from all others."""
    return kind_of(record), record_key(record)


class State:
    """Records by kind and key, with indexes for what is asked of them. Kinds of record may be left out."""

    def __init__(self, kinds: Collection[str] = tuple(KINDS)) -> None:
        self.kinds: frozenset[str] = frozenset(kinds)
        self.tables: dict[str, dict[str, Record]] = {kind: {} for kind in KINDS}
        self._credentials = CredentialIndex()
        self._models = ModelIndex()

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

    def places(self, workspace: str, *, provider: str | None, after: Place | None) -> Iterator[CredentialId]:
        """The credentials of a workspace in the order of the list, from the one after `after`."""
        return self._credentials.places(workspace, provider=provider, after=after)

    def credentials_after(self, key: str, limit: int) -> list[Credential]:
        """The credentials of all workspaces ordered by key, from the one after `key`, `limit` of them at most."""
        keys = self._credentials.keys
        start = bisect_right(keys, key)
        table = self.tables[_CREDENTIAL]
        return [cast("Credential", table[each]) for each in keys[start : start + limit]]

    def has_provider(self, workspace: str, provider: str) -> bool:
        """Whether the workspace has a credential of the provider."""
        return self._credentials.has_provider(workspace, provider)

    def providers(self, workspace: str) -> frozenset[str]:
        """The providers of the workspace's credentials."""
        return self._credentials.providers(workspace)

    def with_fingerprint(self, workspace: str, fingerprint: str) -> frozenset[CredentialId]:
        """The credentials of the workspace with this fingerprint."""
        return self._credentials.with_fingerprint(workspace, fingerprint)

    def sealed_with(self, kid: int) -> int:
        """How many secrets the data key `kid` seals."""
        rotations = cast("Mapping[str, KeyRotation]", self.tables[_ROTATION])
        return self._credentials.sealed_with(kid) + sum(sealing_keys(one).count(kid) for one in rotations.values())

    def linked(self, credential: CredentialId) -> list[ModelId]:
        """The models linked to a credential, of whatever workspace, ordered."""
        return self._models.linked(credential)

    def models_of(self, workspace: str, credential: CredentialId) -> list[Model]:
        """The models of the workspace that are linked to a credential, ordered by id."""
        table = cast("Mapping[str, Model]", self.tables[_MODEL])
        models = [table[key_of(id)] for id in self._models.linked(credential)]
        return [model for model in models if model.workspace == workspace]

    def unlinked(self, workspace: str, provider: str) -> list[Model]:
        """The models of the workspace and the provider that no credential is linked to, ordered by id."""
        table = cast("Mapping[str, Model]", self.tables[_MODEL])
        return [table[key_of(id)] for id in self._models.unlinked(workspace, provider)]

    def link_counts(self, workspace: str, credentials: Collection[CredentialId] | None) -> dict[CredentialId, int]:
        """How many models of the workspace are linked to each credential (None: to all) that has any."""
        return self._models.link_counts(workspace, credentials)

    def named(self, workspace: str, name: str) -> list[ModelId]:
        """The models of the workspace with this name, ordered."""
        return self._models.named(workspace, name)

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
        keys = self._models.listed(workspace, provider=provider, type=type, after=after, limit=limit)
        return list(map(cast("dict[str, Model]", self.tables[_MODEL]).__getitem__, keys))

    def holder_of(self, place: tuple[object, ...]) -> ModelId | None:
        """The model that holds a place only one can hold; see `unique_place`."""
        return self._models.holder_of(place)

    def put(self, record: Record) -> None:
        """Take a record in, in place of the one with its key."""
        self.absorb({key_for(record): record})

    def absorb(self, images: Images) -> None:
        """Become what a changeset left behind: all of it, without others running in between. Some 5 us a record."""
        for _ in self._steps(images, max(1, len(images))):
            pass

    def absorbing(self, images: Images, *, at_once: int = AT_ONCE) -> Iterator[None]:
        """As `absorb`, in turns of some milliseconds where there are many: until the last one, all is as it was."""
        if len(images) <= at_once:
            self.absorb(images)
            return
        fresh = State(self.kinds)
        for kind, table in self.tables.items():
            fresh.tables[kind] = table.copy()
            yield
        yield from fresh._credentials.copying(self._credentials)
        yield from fresh._models.copying(self._models)
        yield from fresh._steps(images, at_once)
        self.tables, self._credentials, self._models = fresh.tables, fresh._credentials, fresh._models

    def _steps(self, images: Images, at_once: int) -> Iterator[None]:
        credentials: list[tuple[Credential | None, Credential | None]] = []
        models: list[tuple[Model | None, Model | None]] = []
        for number, ((kind, key), after) in enumerate(images.items(), 1):
            if kind in self.kinds:
                table = self.tables[kind]
                before = table.get(key)
                if after is not None:
                    table[key] = after
                elif before is not None:
                    del table[key]
                if kind == _MODEL:
                    models.append((cast("Model | None", before), cast("Model | None", after)))
                elif kind == _CREDENTIAL:
                    credentials.append((cast("Credential | None", before), cast("Credential | None", after)))
            if number % at_once == 0:
                yield
        for start in range(0, len(credentials), at_once):
            self._credentials.change(credentials[start : start + at_once])
            yield
        yield from self._models.changing(models)

    def by_kind(self) -> dict[str, list[Record]]:
        """Everything by kind, ordered by key."""
        return {kind: self.sorted(kind) for kind in KINDS}

    def records(self) -> list[Record]:
        """Everything, in the order of a snapshot."""
        return [record for kind in KINDS for record in self.sorted(kind)]

    def sorted(self, kind: str) -> list[Record]:
        """The records of a kind, ordered by key."""
        table = self.tables[kind]
        if kind == _CREDENTIAL:
            keys = self._credentials.keys
        elif kind == _MODEL:
            keys = self._models.keys()
        else:
            keys = sorted(table)
        return list(map(table.__getitem__, keys))


def distinct(records: Iterable[Record]) -> Iterator[Record]:
    """`records`, for a store that holds none yet. Raises DuplicateError for a model in the place of another."""
    places: set[tuple[object, ...]] = set()
    for record in records:
        if isinstance(record, Model):
            if unique_place(record) in places:
                raise DuplicateError
            places.add(unique_place(record))
        yield record
