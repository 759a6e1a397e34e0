"""What the store in memory holds, and how each change alters it."""

from collections.abc import Iterable
from copy import copy, deepcopy
from functools import singledispatch

from msgspec.structs import replace

from keycairn.domain.audit import AuditEvent, Head
from keycairn.domain.change import (
    AddUsage,
    Append,
    Change,
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
)
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    DuplicateError,
    HeadMovedError,
    StaleVersionError,
)
from keycairn.domain.ids import CredentialId, EventId, ModelId, TokenId
from keycairn.domain.keyset import Keyset
from keycairn.domain.model import Defaults, Model
from keycairn.domain.record import Record, UsageRecord, record_key
from keycairn.domain.token import Token
from keycairn.domain.usage import Usage, UsageKey


class State:
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

    def copy(self) -> "State":
        """A state of its own with the same entities; it looks back at this one."""
        twin = State()
        for name, value in vars(self).items():
            setattr(twin, name, copy(value) if isinstance(value, dict) else value)
        twin.before = self
        return twin

    def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """The credential, where the workspace has it."""
        found = self.credentials.get(id)
        return found if found is not None and found.workspace == workspace else None

    def model(self, workspace: str, id: ModelId) -> Model | None:
        """The model, where the workspace has it."""
        found = self.models.get(id)
        return found if found is not None and found.workspace == workspace else None

    def models_of(self, workspace: str, credential: CredentialId) -> list[Model]:
        """The models linked to a credential."""
        return [
            model for model in self.models.values() if (model.workspace, model.credential) == (workspace, credential)
        ]

    def put_model(self, model: Model) -> None:
        """Store a model. Raises DuplicateError where another holds its place."""
        check_text(model)
        if self.model_keys.setdefault(_key(model), model.id) != model.id:
            raise DuplicateError
        self.models[model.id] = model

    def drop_model(self, model: Model) -> None:
        """Remove a model that is there."""
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
def apply(change: Change, state: State) -> None:
    """Apply one change to `state`."""
    raise NotImplementedError(type(change).__name__, state)


@apply.register
def _(change: CreateCredential, state: State) -> None:
    check_text(change.credential)
    if change.credential.id in state.credentials:
        raise DuplicateError
    state.credentials[change.credential.id] = deepcopy(change.credential)


@apply.register
def _(change: ReplaceCredential, state: State) -> None:
    new = change.credential
    check_text(new)
    old = state.credential(new.workspace, new.id)
    if old is None or old.version != change.expected:
        raise StaleVersionError
    state.credentials[new.id] = deepcopy(new)


@apply.register
def _(change: DeleteCredential, state: State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is None or old.version != change.expected:
        raise StaleVersionError
    del state.credentials[change.id]


@apply.register
def _(change: RecordCheck, state: State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is not None:
        state.credentials[change.id] = replace(old, last_check=change.check)


@apply.register
def _(change: MarkBroken, state: State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is not None and old.version == change.expected:
        state.credentials[change.id] = replace(old, broken=dict(change.broken))


@apply.register
def _(change: Reseal, state: State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is not None and old.version == change.expected:
        state.credentials[change.id] = replace(old, sealed=dict(change.sealed))


@apply.register
def _(change: PutFingerprints, state: State) -> None:
    old = state.credential(change.workspace, change.id)
    if old is not None and old.version == change.expected:
        state.credentials[change.id] = replace(old, fingerprints=dict(change.fingerprints))


@apply.register
def _(change: CreateModel, state: State) -> None:
    if change.model.id in state.models:
        raise DuplicateError
    state.put_model(change.model)


@apply.register
def _(change: ReplaceModel, state: State) -> None:
    old = state.model(change.model.workspace, change.model.id)
    if old is None or old.version != change.expected:
        raise StaleVersionError
    state.drop_model(old)
    state.put_model(change.model)


@apply.register
def _(change: DeleteModel, state: State) -> None:
    old = state.model(change.workspace, change.id)
    if old is None:
        raise StaleVersionError
    state.drop_model(old)


@apply.register
def _(change: RelinkModels, state: State) -> None:
    for linked in state.before.models_of(change.workspace, change.source):
        model = state.models.get(linked.id)
        if model is None:
            continue
        state.drop_model(model)
        state.put_model(replace(model, credential=change.target, version=model.version + 1))


@apply.register
def _(change: DeleteModelsOf, state: State) -> None:
    for linked in state.before.models_of(change.workspace, change.credential):
        if model := state.models.get(linked.id):
            state.drop_model(model)


@apply.register
def _(change: PutDefaults, state: State) -> None:
    check_text(change.defaults)
    old = state.defaults.get(change.defaults.workspace)
    if (old.version if old else 0) != change.expected:
        raise StaleVersionError
    state.defaults[change.defaults.workspace] = deepcopy(change.defaults)


@apply.register
def _(change: PutKeyset, state: State) -> None:
    if (state.keyset.generation if state.keyset else 0) != change.expected:
        raise StaleVersionError
    state.keyset = deepcopy(change.keyset)


@apply.register
def _(change: PutToken, state: State) -> None:
    check_text(change.token)
    state.tokens[change.token.id] = change.token


@apply.register
def _(change: RecordUse, state: State) -> None:
    if token := state.tokens.get(change.id):
        state.tokens[change.id] = replace(token, last_used=change.at)


@apply.register
def _(change: Append, state: State) -> None:
    check_text(change.event)
    if change.event.id in state.events:
        raise DuplicateError
    state.events[change.event.id] = deepcopy(change.event)


@apply.register
def _(change: MoveHead, state: State) -> None:
    if state.head != change.expected:
        raise HeadMovedError
    state.head = change.head


@apply.register
def _(change: AddUsage, state: State) -> None:
    check_text(change.key)
    state.usage[change.key] = state.usage.get(change.key, Usage()).plus(change.usage)


@apply.register
def _(change: ExpectCredential, state: State) -> None:
    found = state.credential(change.workspace, change.id)
    if found is None or change.version not in {None, found.version}:
        raise StaleVersionError


@apply.register
def _(change: ExpectModel, state: State) -> None:
    if state.model(change.workspace, change.id) is None:
        raise StaleVersionError


@apply.register
def _(change: ExpectNoCredential, state: State) -> None:
    check_text(change)
    wanted = (change.workspace, change.provider)
    if any((found.workspace, found.provider) == wanted for found in state.before.credentials.values()):
        raise StaleVersionError
