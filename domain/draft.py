"""How a changeset alters what a store holds. Every store follows these rules, whatever it keeps records in."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeVar, assert_never

from msgspec.structs import replace

from keycairn.domain.audit import AuditEvent
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    AddUsage,
    Append,
    Change,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    Discard,
    DropEvent,
    DropKeyRotation,
    DropToken,
    DropUsage,
    ExpectCredential,
    ExpectModel,
    ExpectNoCredential,
    MarkBroken,
    PutDefaults,
    PutFingerprints,
    PutKeyRotation,
    PutKeyset,
    PutToken,
    RecordCheck,
    RecordUse,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
    Reseal,
    Touch,
    check_text,
)
from keycairn.domain.credential import Credential
from keycairn.domain.credential_index import sealing_keys
from keycairn.domain.errors import DuplicateError, KeyInUseError, StaleVersionError
from keycairn.domain.ids import CredentialId, ModelId, key_of
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.keyset import Keyset, KeyState
from keycairn.domain.model import Defaults, Model
from keycairn.domain.model_index import unique_place
from keycairn.domain.overlay import Base, Overlay
from keycairn.domain.record import KINDS, NAMES, UsageRecord, own, usage_text
from keycairn.domain.references import check_references
from keycairn.domain.sealed import kid_of
from keycairn.domain.state import CURRENT, Key
from keycairn.domain.token import Token
from keycairn.domain.usage import Usage

_T = TypeVar("_T")
_Sealed = Credential | KeyRotation


class Draft(Overlay):
    """A changeset worked out against a state, which stays as it is.

    `apply` raises what each change says when it cannot be made. `appended` are the audit events, in order.
    """

    def __init__(self, base: Base) -> None:
        super().__init__(base)
        self._unique: dict[tuple[object, ...], ModelId | None] = {}
        self._discarded: set[Key] = set()
        self.appended: list[AuditEvent] = []

    def references(self) -> Iterator[None]:
        """See `check_references`."""
        return check_references(self, self._discarded)

    def steps(self, change: Change) -> Iterator[None]:
        """As `apply`, in many small steps where it is about many records."""
        if isinstance(change, RelinkModels | DeleteModelsOf):
            yield from self._models_of(change)
        else:
            self.apply(change)
            yield

    def apply(self, change: Change) -> None:  # noqa: C901, PLR0912, PLR0915  # a case for each kind of change
        """Work out one change. Raises as the change says."""
        match change:
            case AddCredential(credential=new):
                self._create_credential(new)
            case ReplaceCredential():
                self._replace_credential(change)
            case DeleteCredential(workspace=workspace, id=id, expected=expected):
                self.drop(self._expected(workspace, id, expected))
            case RecordCheck(workspace=workspace, id=id, check=check):
                if old := self.credential(workspace, id):
                    self.put(replace(old, last_check=check))
            case MarkBroken() | PutFingerprints() | Reseal():
                self._mark(change)
            case AddModel(model=model):
                if self.get(Model, key_of(model.id)) is not None:
                    raise DuplicateError
                self._put_model(model)
            case ReplaceModel(model=model, expected=expected):
                old_model = self.model(model.workspace, model.id)
                if old_model is None or old_model.version != expected:
                    raise StaleVersionError
                self._drop_model(old_model)
                self._put_model(model)
            case DeleteModel(workspace=workspace, id=model_id):
                old_model = self.model(workspace, model_id)
                if old_model is None:
                    raise StaleVersionError
                self._drop_model(old_model)
            case RelinkModels() | DeleteModelsOf():
                for _ in self._models_of(change):
                    pass
            case PutDefaults(defaults=defaults, expected=expected):
                check_text(defaults)
                stored = self.get(Defaults, defaults.workspace)
                if (stored.version if stored else 0) != expected:
                    raise StaleVersionError
                self.put(own(defaults))
            case PutKeyset():
                self._put_keyset(change)
            case PutToken():
                self._put_token(change)
            case PutKeyRotation(rotation=rotation, expected=expected):
                check_text(rotation)
                self._check_sealed(rotation, unless=self._rotation(rotation.id, expected))
                self.put(own(rotation))
            case DropKeyRotation(id=rotation_id, expected=expected):
                if (gone := self._rotation(rotation_id, expected)) is not None:
                    self.drop(gone)
            case RecordUse(id=token_id, at=at):
                if found := self.get(Token, key_of(token_id)):
                    self.put(replace(found, last_used=at))
            case Append(event=event):
                check_text(event)
                if self.get(AuditEvent, key_of(event.id)) is not None:
                    raise DuplicateError
                self.appended.append(own(event))
                self.put(self.appended[-1])
            case AddUsage(key=key, usage=usage):
                check_text(key)
                sums = self.get(UsageRecord, usage_text(key))
                self.put(UsageRecord(key, (sums.usage if sums else Usage()).plus(usage)))
            case DropEvent() | DropUsage() | DropToken():
                self._images[_dropped(change)] = None
            case ExpectCredential(workspace=workspace, id=id, version=version):
                self._expected(workspace, id, version)
            case ExpectModel(workspace=workspace, id=model_id):
                if self.model(workspace, model_id) is None:
                    raise StaleVersionError
            case ExpectNoCredential(workspace=workspace, provider=provider):
                check_text(change)
                if self._base.has_provider(workspace, provider):
                    raise StaleVersionError
            case Touch(kind=kind, key=key):
                if (as_it_is := self.get(KINDS[kind], key)) is not None:
                    self.put(as_it_is)
            case Discard(kind=kind, key=key):
                discarded = self.get(KINDS[kind], key)
                if isinstance(discarded, Model):
                    self._drop_model(discarded)
                self._images[kind, key] = None
                self._discarded.add((kind, key))
            case _:
                assert_never(change)

    def _expected(self, workspace: str, id: CredentialId, version: int | None) -> Credential:
        found = self.credential(workspace, id)
        if found is None or version not in {None, found.version}:
            raise StaleVersionError
        return found

    def _rotation(self, id: str, expected: int) -> KeyRotation | None:
        found = self.get(KeyRotation, key_of(id))
        if (found.version if found else 0) != expected:
            raise StaleVersionError
        return found

    def _create_credential(self, new: Credential) -> None:
        check_text(new)
        if self.get(Credential, key_of(new.id)) is not None:
            raise DuplicateError
        self._check_sealed(new)
        self.put(own(new))

    def _replace_credential(self, change: ReplaceCredential) -> None:
        new = change.credential
        check_text(new)
        old = self._expected(new.workspace, new.id, change.expected)
        merged = replace(
            new,
            sealed=_kept(old.sealed, change.kept) | _others(new.sealed, change.kept),
            fingerprints=_kept(old.fingerprints, change.kept) | _others(new.fingerprints, change.kept),
            broken=_kept(old.broken, change.kept) | _others(new.broken, change.kept),
        )
        self._check_sealed(merged, unless=old)
        self.put(own(merged))

    def _mark(self, change: MarkBroken | PutFingerprints | Reseal) -> None:
        old = self.credential(change.workspace, change.id)
        if old is None or old.version != change.expected:
            return
        match change:
            case MarkBroken(broken=broken):
                self.put(replace(old, broken=dict(broken)))
            case PutFingerprints(fingerprints=fingerprints):
                self.put(replace(old, fingerprints=dict(fingerprints)))
            case Reseal(sealed=sealed):
                new = replace(old, sealed=dict(sealed))
                self._check_sealed(new, unless=old)
                self.put(new)

    def _check_sealed(self, new: _Sealed, unless: _Sealed | None = None) -> None:
        """Raise StaleVersionError for a secret newly sealed with a key that was retired since, or even forgotten."""
        keyset = self.get(Keyset, CURRENT)
        states = keyset.keys if keyset else {}
        for name, text in new.sealed.items():
            known = unless is not None and unless.sealed.get(name) == text
            kid = kid_of(text)
            if states and kid is not None and not known and states.get(kid) in {None, KeyState.RETIRED}:
                raise StaleVersionError

    def _put_token(self, change: PutToken) -> None:
        check_text(change.token)
        if change.expected is not None:
            stored = self.get(Token, key_of(change.token.id))
            if stored is None or _unused(stored) != _unused(change.expected):
                raise StaleVersionError
        self.put(change.token)

    def _put_keyset(self, change: PutKeyset) -> None:
        stored = self.get(Keyset, CURRENT)
        if (stored.generation if stored else 0) != change.expected:
            raise StaleVersionError
        if stored is not None and stored.install_id == change.keyset.install_id:
            for kid, state in stored.keys.items():
                opened, opens = (each not in {None, KeyState.RETIRED} for each in (state, change.keyset.keys.get(kid)))
                given_up = (opened and not opens) or kid not in change.keyset.keys
                if given_up and self._base.sealed_with(kid) + self._newly_sealed_with(kid) > 0:
                    raise KeyInUseError(kid)
        self.put(own(change.keyset))

    def _newly_sealed_with(self, kid: int) -> int:
        """How many more secrets the changeset so far seals with `kid` than there were; negative for fewer."""
        more = 0
        for key, image in self._images.items():
            before = self.before(key)
            more += sealing_keys(image).count(kid) if isinstance(image, _Sealed) else 0
            more -= sealing_keys(before).count(kid) if isinstance(before, _Sealed) else 0
        return more

    def _models_of(self, change: RelinkModels | DeleteModelsOf) -> Iterator[None]:
        holder = change.source if isinstance(change, RelinkModels) else change.credential
        for id in self._base.linked(holder):
            yield
            before = self._base.get(Model, key_of(id))
            model = self.model(change.workspace, id)
            if model is None or before is None or before.workspace != change.workspace:
                continue
            self._drop_model(model)
            if isinstance(change, RelinkModels):
                self._put_model(replace(model, credential=change.target, version=model.version + 1))

    def _put_model(self, model: Model) -> None:
        check_text(model)
        place = unique_place(model)
        holder = self._unique[place] if place in self._unique else self._base.holder_of(place)
        if holder not in {None, model.id}:
            raise DuplicateError
        self._unique[place] = model.id
        self.put(model)

    def _drop_model(self, model: Model) -> None:
        self._unique[unique_place(model)] = None
        self.drop(model)


def worked_out(base: Base, changes: Iterable[Change]) -> Draft:
    """The draft of a changeset. Raises as its changes say, and InvalidInputError for text no database can hold."""
    draft = Draft(base)
    for change in changes:
        draft.apply(change)
    for _ in draft.references():
        pass
    return draft


def _unused(token: Token) -> Token:
    """The token without what changes by its use, and by its proof being made anew."""
    return replace(token, last_used=None, proof="")


def _dropped(change: DropEvent | DropUsage | DropToken) -> Key:
    match change:
        case DropEvent(id=event_id):
            return NAMES[AuditEvent], key_of(event_id)
        case DropUsage(key=key):
            check_text(key)
            return NAMES[UsageRecord], usage_text(key)
        case DropToken(id=token_id):
            return NAMES[Token], key_of(token_id)


def _kept(mapping: Mapping[str, _T], names: Collection[str]) -> dict[str, _T]:
    return {name: value for name, value in mapping.items() if name in names}


def _others(mapping: Mapping[str, _T], names: Collection[str]) -> dict[str, _T]:
    return {name: value for name, value in mapping.items() if name not in names}
