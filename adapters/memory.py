"""The store in memory: for tests and for trying things out. Nothing survives the process."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy, deepcopy
from datetime import date
from functools import singledispatch
from itertools import islice
from operator import attrgetter

from msgspec.structs import replace

from keycairn.domain.audit import EVERY_EVENT, AuditEvent, EventFilter, Head
from keycairn.domain.change import (
    AddUsage,
    Append,
    Change,
    Changeset,
    CreateCredential,
    CreateModel,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    ExpectCredential,
    ExpectModel,
    ExpectNoCredential,
    MarkBroken,
    MoveHead,
    PutDefaults,
    PutFingerprints,
    PutKeyset,
    PutToken,
    RecordCheck,
    RecordUse,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
    Reseal,
    check_text,
    only_counts,
)
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    DuplicateError,
    HeadMovedError,
    StaleVersionError,
    StoreNotEmptyError,
    StoreUnavailableError,
)
from keycairn.domain.ids import CredentialId, EventId, ModelId, TokenId
from keycairn.domain.keyset import Keyset
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model
from keycairn.domain.record import Record, UsageRecord, record_key
from keycairn.domain.token import Token
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import MOST, Position


class _State:
    """Everything that is stored. A commit changes a copy and then puts it in place of the original."""

    def __init__(self) -> None:
        self.credentials: dict[CredentialId, Credential] = {}
        self.models: dict[ModelId, Model] = {}
        self.model_keys: dict[tuple[object, ...], ModelId] = {}
        self.defaults: dict[str, Defaults] = {}
        self.keyset: Keyset | None = None
        self.tokens: dict[TokenId, Token] = {}
        self.events: dict[EventId, AuditEvent] = {}
        self.head: Head | None = None
        self.usage: dict[UsageKey, Usage] = {}
        self.revision = 0
        self.before = self
        """The state a commit began with, where scans look."""

    def copy(self) -> "_State":
        twin = _State()
        for name, value in vars(self).items():
            setattr(twin, name, copy(value) if isinstance(value, dict) else value)
        twin.before = self
        return twin

    def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        found = self.credentials.get(id)
        return found if found is not None and found.workspace == workspace else None

    def model(self, workspace: str, id: ModelId) -> Model | None:
        found = self.models.get(id)
        return found if found is not None and found.workspace == workspace else None

    def models_of(self, workspace: str, credential: CredentialId) -> list[Model]:
        return [
            model for model in self.models.values() if (model.workspace, model.credential) == (workspace, credential)
        ]

    def put_model(self, model: Model) -> None:
        check_text(model)
        if self.model_keys.setdefault(_key(model), model.id) != model.id:
            raise DuplicateError
        self.models[model.id] = model

    def drop_model(self, model: Model) -> None:
        del self.models[model.id], self.model_keys[_key(model)]

    def records(self) -> list[Record]:
        """Everything, in the order of a snapshot."""
        tables: tuple[Iterable[Record], ...] = (
            (self.keyset,) if self.keyset else (),
            self.credentials.values(),
            self.models.values(),
            self.defaults.values(),
            self.tokens.values(),
            (UsageRecord(key, sums) for key, sums in self.usage.items()),
            self.events.values(),
            (self.head,) if self.head else (),
        )
        return [record for table in tables for record in sorted(table, key=record_key)]

    def put(self, record: Record) -> None:
        """Take one record of a snapshot in."""
        match record:
            case Keyset():
                self.keyset = record
            case Credential():
                self.credentials[record.id] = record
            case Model():
                self.put_model(record)
            case Defaults():
                self.defaults[record.workspace] = record
            case Token():
                self.tokens[record.id] = record
            case UsageRecord():
                self.usage[record.key] = record.usage
            case AuditEvent():
                self.events[record.id] = record
            case Head():
                self.head = record


def _key(model: Model) -> tuple[object, ...]:
    return model.workspace, model.provider, model.credential, model.name, model.type


@singledispatch
def _apply(change: Change, state: _State) -> None:
    """Apply one change to `state`."""
    raise NotImplementedError(type(change).__name__, state)


@_apply.register
def _(change: CreateCredential, state: _State) -> None:
    check_text(change.credential)
    if change.credential.id in state.credentials:
        raise DuplicateError
    state.credentials[change.credential.id] = deepcopy(change.credential)


@_apply.register
def _(change: ReplaceCredential, state: _State) -> None:
    new = change.credential
    check_text(new)
    old = state.credential(new.workspace, new.id)
    if old is None or old.version != change.expected:
        raise StaleVersionError
    state.credentials[new.id] = deepcopy(new)


@_apply.register
def _(change: DeleteCredential, state: _State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is None or old.version != change.expected:
        raise StaleVersionError
    del state.credentials[change.id]


@_apply.register
def _(change: RecordCheck, state: _State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is not None:
        state.credentials[change.id] = replace(old, last_check=change.check)


@_apply.register
def _(change: MarkBroken, state: _State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is not None and old.version == change.expected:
        state.credentials[change.id] = replace(old, broken=dict(change.broken))


@_apply.register
def _(change: Reseal, state: _State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is not None and old.version == change.expected:
        state.credentials[change.id] = replace(old, sealed=dict(change.sealed))


@_apply.register
def _(change: PutFingerprints, state: _State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is not None and old.version == change.expected:
        state.credentials[change.id] = replace(old, fingerprints=dict(change.fingerprints))


@_apply.register
def _(change: CreateModel, state: _State) -> None:
    if change.model.id in state.models:
        raise DuplicateError
    state.put_model(change.model)


@_apply.register
def _(change: ReplaceModel, state: _State) -> None:
    old = state.model(change.model.workspace, change.model.id)
    if old is None or old.version != change.expected:
        raise StaleVersionError
    state.drop_model(old)
    state.put_model(change.model)


@_apply.register
def _(change: DeleteModel, state: _State) -> None:
    old = state.model(change.workspace, change.id)
    if old is None:
        raise StaleVersionError
    state.drop_model(old)


@_apply.register
def _(change: RelinkModels, state: _State) -> None:
    for linked in state.before.models_of(change.workspace, change.source):
        model = state.models.get(linked.id)
        if model is None:
            continue
        state.drop_model(model)
        state.put_model(replace(model, credential=change.target, version=model.version + 1))


@_apply.register
def _(change: DeleteModelsOf, state: _State) -> None:
    for linked in state.before.models_of(change.workspace, change.credential):
        if model := state.models.get(linked.id):
            state.drop_model(model)


@_apply.register
def _(change: PutDefaults, state: _State) -> None:
    check_text(change.defaults)
    old = state.defaults.get(change.defaults.workspace)
    if (old.version if old else 0) != change.expected:
        raise StaleVersionError
    state.defaults[change.defaults.workspace] = deepcopy(change.defaults)


@_apply.register
def _(change: PutKeyset, state: _State) -> None:
    if (state.keyset.generation if state.keyset else 0) != change.expected:
        raise StaleVersionError
    state.keyset = deepcopy(change.keyset)


@_apply.register
def _(change: PutToken, state: _State) -> None:
    check_text(change.token)
    state.tokens[change.token.id] = change.token


@_apply.register
def _(change: RecordUse, state: _State) -> None:
    if token := state.tokens.get(change.id):
        state.tokens[change.id] = replace(token, last_used=change.at)


@_apply.register
def _(change: Append, state: _State) -> None:
    check_text(change.event)
    if change.event.id in state.events:
        raise DuplicateError
    state.events[change.event.id] = deepcopy(change.event)


@_apply.register
def _(change: MoveHead, state: _State) -> None:
    if state.head != change.expected:
        raise HeadMovedError
    state.head = change.head


@_apply.register
def _(change: AddUsage, state: _State) -> None:
    check_text(change.key)
    state.usage[change.key] = state.usage.get(change.key, Usage()).plus(change.usage)


@_apply.register
def _(change: ExpectCredential, state: _State) -> None:
    found = state.credential(change.workspace, change.id)
    if found is None or change.version not in {None, found.version}:
        raise StaleVersionError


@_apply.register
def _(change: ExpectModel, state: _State) -> None:
    if state.model(change.workspace, change.id) is None:
        raise StaleVersionError


@_apply.register
def _(change: ExpectNoCredential, state: _State) -> None:
    check_text(change)
    wanted = (change.workspace, change.provider)
    if any((found.workspace, found.provider) == wanted for found in state.before.credentials.values()):
        raise StaleVersionError


class MemoryStore:
    """A `keycairn.ports.store.Store` whose commits swap one whole state for the next.

    Entities are copied on the way in; what a read gives is shared, so treat its mappings as read-only.
    """

    def __init__(self) -> None:
        self._current: _State | None = _State()
        self._writing = threading.Lock()

    @property
    def _state(self) -> _State:
        if self._current is None:
            raise StoreUnavailableError("The database is closed.")
        return self._current

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """See `Store.credential`."""
        return self._state.credential(workspace, id)

    async def credentials(
        self, workspace: str, *, provider: str | None = None, after: Position | None = None, limit: int = MOST
    ) -> Sequence[Credential]:
        """See `Store.credentials`."""
        place = attrgetter("provider", "created", "id")
        start = place(after) if after else None
        rows = (
            found
            for found in sorted(self._state.credentials.values(), key=place)
            if found.workspace == workspace
            and provider in {None, found.provider}
            and (start is None or place(found) > start)
        )
        return list(islice(rows, min(limit, MOST)))

    async def all_credentials(self, *, after: CredentialId | None = None, limit: int = MOST) -> Sequence[Credential]:
        """See `Store.all_credentials`."""
        found = sorted(self._state.credentials.values(), key=attrgetter("id"))
        return [credential for credential in found if after is None or credential.id > after][:limit]

    async def twins(self, workspace: str, fingerprints: Collection[str]) -> Sequence[Credential]:
        """See `Store.twins`."""
        wanted = frozenset(fingerprints)
        found = (
            credential
            for credential in self._state.credentials.values()
            if credential.workspace == workspace and not wanted.isdisjoint(credential.fingerprints.values())
        )
        return sorted(found, key=attrgetter("provider", "created", "id"))[:MOST]

    async def model(self, workspace: str, id: ModelId) -> Model | None:
        """See `Store.model`."""
        return self._state.model(workspace, id)

    async def models(
        self,
        workspace: str,
        *,
        type: Modality | None = None,
        provider: str | None = None,
        credential: CredentialId | None = None,
        name: str | None = None,
        after: ModelId | None = None,
        limit: int | None = MOST,
    ) -> Sequence[Model]:
        """See `Store.models`."""
        rows = (
            found
            for found in sorted(self._state.models.values(), key=attrgetter("id"))
            if found.workspace == workspace
            and type in {None, found.type}
            and provider in {None, found.provider}
            and credential in {None, found.credential}
            and name in {None, found.name}
            and (after is None or found.id > after)
        )
        return list(islice(rows, None if limit is None else min(limit, MOST)))

    async def model_counts(self, workspace: str) -> Mapping[CredentialId, int]:
        """See `Store.model_counts`."""
        rows = self._state.models.values()
        return Counter(found.credential for found in rows if found.workspace == workspace and found.credential)

    async def unlinked_models(self, workspace: str, provider: str) -> Sequence[Model]:
        """See `Store.unlinked_models`."""
        found = await self.models(workspace, provider=provider, limit=None)
        return [model for model in found if model.credential is None]

    async def providers_in_use(self, workspace: str) -> frozenset[str]:
        """See `Store.providers_in_use`."""
        return frozenset(found.provider for found in self._state.credentials.values() if found.workspace == workspace)

    async def defaults(self, workspace: str) -> Defaults:
        """See `Store.defaults`."""
        return self._state.defaults.get(workspace) or Defaults(workspace=workspace)

    async def keyset(self) -> Keyset | None:
        """See `Store.keyset`."""
        return self._state.keyset

    async def any_sealed(self) -> bool:
        """See `Store.any_sealed`."""
        return any(found.sealed for found in self._state.credentials.values())

    async def token(self, id: TokenId) -> Token | None:
        """See `Store.token`."""
        return self._state.tokens.get(id)

    async def tokens(self, workspace: str) -> Sequence[Token]:
        """See `Store.tokens`."""
        rows = sorted(self._state.tokens.values(), key=attrgetter("id"))
        return [found for found in rows if found.workspace == workspace]

    async def events(
        self,
        workspace: str,
        *,
        matching: EventFilter = EVERY_EVENT,
        after: EventId | None = None,
        limit: int = MOST,
    ) -> Sequence[AuditEvent]:
        """See `Store.events`."""
        rows = (
            found
            for found in sorted(self._state.events.values(), key=attrgetter("id"))
            if found.workspace == workspace and (after is None or found.id > after) and matching.accepts(found)
        )
        return list(islice(rows, min(limit, MOST)))

    async def chain(self, *, after: int = 0, limit: int = MOST) -> Sequence[AuditEvent]:
        """See `Store.chain`."""
        rows = sorted(self._state.events.values(), key=attrgetter("seq"))
        return list(islice((found for found in rows if found.seq > after), min(limit, MOST)))

    async def event_count(self) -> int:
        """See `Store.event_count`."""
        return len(self._state.events)

    async def head(self) -> Head | None:
        """See `Store.head`."""
        return self._state.head

    async def usage(self, workspace: str, *, since: date, until: date) -> Mapping[UsageKey, Usage]:
        """See `Store.usage`."""
        rows = self._state.usage.items()
        return {key: sums for key, sums in rows if key.workspace == workspace and since <= key.day <= until}

    async def commit(self, changes: Changeset) -> None:
        """See `Store.commit`."""
        await asyncio.sleep(0)  # let others run, as a database would: a missing compare-and-set then shows in tests
        with self._writing:
            state = self._state.copy()
            for change in changes:
                _apply(change, state)
            state.revision += not only_counts(changes)
            state.before = state
            self._current = state

    async def revision(self) -> int:
        """See `Store.revision`."""
        return self._state.revision

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncIterator[Record]]:
        """See `Store.snapshot`. No commit has to wait: a state is never changed, only followed by another."""
        state = self._state

        async def records() -> AsyncIterator[Record]:
            for record in state.records():
                yield record

        yield records()

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        state = _State()
        for record in records:
            state.put(deepcopy(record))
        await asyncio.sleep(0)
        with self._writing:
            if self._state.records():
                raise StoreNotEmptyError
            state.revision = self._state.revision + 1
            self._current = state

    async def ping(self) -> None:
        """See `Store.ping`."""
        _ = self._state

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        self._current = None
