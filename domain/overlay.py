"""Records as a changeset leaves them, laid over the state it begins with, which stays as it is."""

from typing import Protocol, TypeVar, cast

from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId, ModelId, key_of
from keycairn.domain.model import Model
from keycairn.domain.record import KINDS, NAMES, Record
from keycairn.domain.state import Images, Key, key_for

_R = TypeVar("_R", bound=Record)


class Base(Protocol):
    """What an overlay begins with. `State` is one."""

    def get(self, kind: type[_R], key: str) -> _R | None:
        """See `State.get`."""
        ...

    def has_provider(self, workspace: str, provider: str) -> bool:
        """See `State.has_provider`."""
        ...

    def linked(self, credential: CredentialId) -> list[ModelId]:
        """See `State.linked`."""
        ...

    def holder_of(self, place: tuple[object, ...]) -> ModelId | None:
        """See `State.holder_of`."""
        ...

    def sealed_with(self, kid: int) -> int:
        """See `State.sealed_with`."""
        ...


class Overlay:
    """Records touched so far. `images` is each of them as it is afterwards, None where it is gone."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._images: dict[Key, Record | None] = {}

    @property
    def images(self) -> Images:
        """Each record touched, as it is afterwards."""
        return self._images

    def before(self, key: Key) -> Record | None:
        """The record as it was before the changeset."""
        return self._base.get(KINDS[key[0]], key[1])

    def get(self, kind: type[_R], key: str) -> _R | None:
        """The record as it is by now."""
        place = (NAMES[kind], key)
        return cast("_R | None", self._images[place]) if place in self._images else self._base.get(kind, key)

    def put(self, record: Record) -> None:
        """Store a record, whatever was there."""
        self._images[key_for(record)] = record

    def drop(self, record: Record) -> None:
        """Remove a record."""
        self._images[key_for(record)] = None

    def forget(self, key: Key) -> None:
        """Leave the record as it was before the changeset."""
        del self._images[key]

    def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """The workspace's credential of that id."""
        found = self.get(Credential, key_of(id))
        return found if found is not None and (found.workspace, found.id) == (workspace, id) else None

    def model(self, workspace: str, id: ModelId) -> Model | None:
        """The workspace's model of that id."""
        found = self.get(Model, key_of(id))
        return found if found is not None and (found.workspace, found.id) == (workspace, id) else None

    def linked_before(self, credential: CredentialId) -> list[ModelId]:
        """The models that were linked to a credential before the changeset."""
        return self._base.linked(credential)
