"""Turning an incoming row into a credential and models of our own, before anything is written."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from keycairn.app.services.credentials import CredentialSealer
from keycairn.app.services.imports.ids import digested
from keycairn.app.services.models import check_public_name, checked_model_name
from keycairn.domain.credential import Credential, check_not_repeated, destinations
from keycairn.domain.errors import (
    InvalidInputError,
    SecretLikeFieldError,
    UndeclaredFieldError,
)
from keycairn.domain.healing import Given, is_short_word
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.incoming import COMMON_SETTINGS, IncomingCredential, IncomingModel, unusable_secret
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, check_context, check_share
from keycairn.domain.modeltypes import classify
from keycairn.domain.options import Options
from keycairn.domain.provider import FieldSpec, ProviderSpec, SettingValue
from keycairn.domain.sealed import UNOPENED, UNOPENED_REASON
from keycairn.domain.secret import Secret
from keycairn.domain.secretlike import holds_secretlike, looks_secret
from keycairn.ports.provider import ProviderRegistry

Identity = tuple[str, tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


class MappedRow(Struct, frozen=True, kw_only=True):
    """A row as it would be stored. `keyed`: its id was made here, of its key, for want of one of its own."""

    row: IncomingCredential
    credential: Credential
    models: tuple[Model, ...]
    keyed: bool
    notes: tuple[str, ...]
    refused: Mapping[str, str]
    """Models that cannot come in, by name, and why."""


class _Fields(Struct):
    settings: dict[str, SettingValue]
    secrets: dict[str, Secret]
    unopened: dict[str, str]
    extra: dict[str, Any]
    notes: list[str]


class RowMapper:
    """Reads rows against the declared fields of their providers, and seals their secrets to their own destinations."""

    def __init__(self, registry: ProviderRegistry, sealer: CredentialSealer) -> None:
        self._registry = registry
        self._sealer = sealer

    def mapped(
        self, row: IncomingCredential, workspace: str, now: datetime, id: CredentialId | None = None
    ) -> MappedRow:
        """The row, checked and sealed. Its ids are those `ImportIds` gave it; `id` takes their place.

        A secret its source could not read is stored as one that does not open, so that sending it heals the record.
        Raises UnknownProviderError, InvalidInputError or SealedError.
        """
        spec = self._registry.get(row.provider).spec
        if why := unusable_secret(row):
            raise InvalidInputError(f"This cannot come in: {why}.")
        fields = _fields(spec, row)
        _check_clear(row, fields)
        given = self._sealer.looked_at(spec.name, settings=fields.settings, secrets=fields.secrets)
        own = CredentialId(row.id) if row.id else None
        modalities = tuple(modality for modality in spec.modalities if modality in row.modalities)
        start = Credential(
            id=id or own or self._made_id(spec, row, workspace, given),
            workspace=workspace,
            provider=spec.name,
            name=row.name.strip() or "Imported",
            modalities=modalities or spec.modalities,
            sealed=dict.fromkeys(fields.unopened, UNOPENED),
            broken=dict.fromkeys(fields.unopened, UNOPENED_REASON),
            extra=fields.extra,
            options=Options(any_model=row.any_model),
            created=_aware(row.created) or now,
            updated=_aware(row.updated) or _aware(row.created) or now,
        )
        credential = self._sealer.filled(start, given)
        models, refused = self._models(row.models, credential, now)
        notes = (*row.notes, *fields.notes, *(f"{name}: {said}" for name, said in given.notes.items()))
        return MappedRow(row=row, credential=credential, models=models, keyed=own is None, notes=notes, refused=refused)

    def _made_id(self, spec: ProviderSpec, row: IncomingCredential, workspace: str, given: Given) -> CredentialId:
        """The id of an account whose source has none: made of its keys and where they go, so of no place or name."""
        marks = sorted(
            f"{name}={self._sealer.fingerprint(workspace, secret)}"
            for name, secret in given.secrets.items()
            if secret is not None
        )
        if not marks:
            return named_id(workspace, spec.name, row.name)
        settings = {name: value for name, value in given.settings.items() if value is not None}
        places = [f"{name}={place}" for name, place in destinations(spec, settings)]
        return CredentialId(f"credential:{digested(workspace, spec.name, 'key', *places, *marks)}")

    def loose(self, row: IncomingModel, workspace: str, now: datetime) -> Model:
        """A model that is linked to nothing. Raises UnknownProviderError or InvalidInputError."""
        return _model(row, self._registry.get(row.provider).spec.name, workspace, None, now)

    def identity(self, credential: Credential) -> Identity:
        """What two records of one account share: the provider, the destinations and the keys."""
        spec = self._registry.get(credential.provider).spec
        return spec.name, destinations(spec, credential.settings), tuple(sorted(credential.fingerprints.items()))

    def same_place(self, one: Credential, other: Credential) -> bool:
        """Whether both send their secrets to the same destinations."""
        return self.identity(one)[:2] == self.identity(other)[:2]

    def _models(
        self, rows: Iterable[IncomingModel], credential: Credential, now: datetime
    ) -> tuple[tuple[Model, ...], dict[str, str]]:
        models: dict[tuple[str, str, Modality], Model] = {}
        refused: dict[str, str] = {}
        for row in rows:
            try:
                if row.provider and self._registry.get(row.provider).spec.name != credential.provider:
                    raise InvalidInputError("It is another provider's than its credential.")  # noqa: TRY301
                model = _model(row, credential.provider, credential.workspace, credential.id, now)
                models.setdefault(model.offer, model)
            except InvalidInputError as error:
                refused[row.where or row.name] = str(error)
        return tuple(models.values()), refused


def named_id(workspace: str, provider: str, name: str) -> CredentialId:
    """The id of a credential without a readable key: the same for the same provider and name, at every import."""
    return CredentialId(f"credential:{digested(workspace, provider, name.strip())}")


def _model(row: IncomingModel, provider: str, workspace: str, credential: CredentialId | None, now: datetime) -> Model:
    name = checked_model_name(row.name)
    own = None if row.provider_model is None else checked_model_name(row.provider_model)
    if own is not None:
        check_public_name(name)
    check_share(row.priority, row.weight)
    check_context(row.context_length)
    try:
        type = Modality(row.type) if row.type else classify(own or name)
    except ValueError:
        type = None
    if type is None:
        raise InvalidInputError(f"A model's type is one of: {', '.join(Modality)}.")
    created = _aware(row.created) or now
    parts = [workspace, credential or provider, name, type, *([] if own is None else [own])]
    return Model(
        id=ModelId(row.id) if row.id else ModelId(f"model:{digested(*parts)}"),
        workspace=workspace,
        provider=provider,
        name=name,
        provider_model=own,
        type=type,
        credential=credential,
        priority=row.priority,
        weight=row.weight,
        context_length=row.context_length,
        created=created,
        updated=_aware(row.updated) or created,
    )


def _fields(spec: ProviderSpec, row: IncomingCredential) -> _Fields:
    """The row's fields by what the provider declares them to be. Raises UndeclaredFieldError.

    What Open Notebook has for every provider, and this one does not, is kept for the way back.
    """
    fields = _Fields({}, {}, {}, dict(row.extra), [])
    for name, setting in row.settings.items():
        if _plain(spec.field(name)):
            fields.settings[name] = setting
        elif setting != "":
            if name not in COMMON_SETTINGS:
                raise UndeclaredFieldError(spec.name, [declared.name for declared in spec.fields])
            fields.extra[name] = setting
    for name, secret in row.secrets.items():
        if _secret(spec.field(name)):
            fields.secrets[name] = secret
        elif secret:
            fields.notes.append(f"left behind: a secret that {spec.label} does not have")
    fields.unopened |= {
        name: why for name, why in row.unopened.items() if _secret(spec.field(name)) and name not in fields.secrets
    }
    _sort(spec, row.values, fields)
    return fields


def _check_clear(row: IncomingCredential, fields: _Fields) -> None:
    """Raise SecretInPlainFieldError or SecretLikeFieldError where a secret would be kept, and shown, in the clear."""
    secrets = [*row.secrets.values(), *fields.secrets.values()]
    # The key of a local server, `ollama` say, is also a word in names.
    long = [secret for secret in secrets if not is_short_word(secret.reveal())]
    named = [row.id, *((model.name, model.provider_model, model.id) for model in row.models)]
    check_not_repeated(long, {"config": fields.extra, "name": row.name, **fields.settings, "models": named})
    if looks_secret(row.name):
        raise SecretLikeFieldError("name")
    if holds_secretlike(fields.extra):
        raise SecretLikeFieldError("config")


def _sort(spec: ProviderSpec, values: Mapping[str, Secret], fields: _Fields) -> None:
    for name, value in values.items():
        field = spec.field(name)
        if field is None:
            raise UndeclaredFieldError(spec.name, [declared.name for declared in spec.fields])
        if field.secret:
            fields.secrets[name] = value
        else:
            fields.settings[name] = value.reveal()


def _plain(field: FieldSpec | None) -> bool:
    return field is not None and not field.secret


def _secret(field: FieldSpec | None) -> bool:
    return field is not None and field.secret


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
