"""What clients receive. No field of any view can hold a secret, but for `NewTokenView.token`, shown once."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from keycairn.app.api.bodies import WELL_KNOWN
from keycairn.app.api.probing_views import CheckView, check_view
from keycairn.app.services.credentials import Listed
from keycairn.app.services.imports import Migration, MigrationEntry, Step
from keycairn.domain.audit import Action, AuditEvent
from keycairn.domain.credential import Credential
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.options import Options
from keycairn.domain.provider import FieldSpec, ProviderSpec, SettingValue
from keycairn.domain.reach import Reach
from keycairn.domain.token import Scope, Token
from keycairn.ports.provider import PluginStatus


class DuplicateView(Struct, frozen=True, kw_only=True):
    """Another credential that holds the same secret."""

    id: str
    name: str
    provider: str


class CredentialView(Struct, frozen=True, kw_only=True):
    """A credential. `config` holds what the provider calls its own; `has_secrets` says which secrets are stored.

    `duplicates` names other credentials with one of the same secrets; lists leave it out. `healed` says, in the answer
    to what was sent, by field what was put right in it.
    """

    id: str
    name: str
    provider: str
    modalities: Sequence[Modality]
    base_url: str | None = None
    endpoint: str | None = None
    api_version: str | None = None
    endpoint_llm: str | None = None
    endpoint_embedding: str | None = None
    endpoint_stt: str | None = None
    endpoint_tts: str | None = None
    project: str | None = None
    location: str | None = None
    credentials_path: str | None = None
    num_ctx: int | None = None
    has_api_key: bool
    created: datetime
    updated: datetime
    model_count: int
    decryption_error: str | None
    config: Mapping[str, Any]
    has_secrets: Mapping[str, bool]
    workspace: str
    version: int
    last_check: CheckView | None
    limits: Limits
    options: Options
    duplicates: list[DuplicateView] | UnsetType = UNSET
    healed: Mapping[str, str] | UnsetType = UNSET


def duplicate_views(credentials: Sequence[Credential], reach: Reach) -> list[DuplicateView]:
    """The views of credentials that are named because they hold the same secret; those out of `reach` stay unnamed."""
    return [
        DuplicateView(id=found.id, name=found.name, provider=found.provider)
        for found in credentials
        if reach.holds(found.provider, found.id)
    ]


def credential_view(listed: Listed, spec: ProviderSpec | None, reach: Reach) -> CredentialView:
    """The view of a credential; `spec` is None where its plugin is not loaded."""
    credential = listed.credential
    settings = spec.renamed(credential.settings) if spec else credential.settings
    flat: dict[str, Any] = {name: settings[name] for name in WELL_KNOWN if name in settings}
    own: dict[str, Any] = {name: value for name, value in settings.items() if name not in flat}
    declared = [field.name for field in spec.secrets] if spec else []
    check = credential.last_check
    return CredentialView(
        id=credential.id,
        name=credential.name,
        provider=credential.provider,
        modalities=credential.modalities,
        has_api_key=credential.has_api_key,
        created=credential.created,
        updated=credential.updated,
        model_count=listed.model_count,
        decryption_error=listed.decryption_error,
        config={**credential.extra, **own},
        has_secrets={name: name in credential.sealed for name in sorted({*declared, *credential.sealed})},
        workspace=credential.workspace,
        version=credential.version,
        last_check=check_view(check, credential) if check else None,
        limits=credential.limits,
        options=credential.options,
        duplicates=UNSET if listed.duplicates is None else duplicate_views(listed.duplicates, reach),
        healed=listed.healed or UNSET,
        **flat,
    )


class HeldBackKey(Struct, frozen=True, kw_only=True):
    """A former key that is not revoked, because credentials of other workspaces use it.

    `used_by` are those, as `workspace/credential`. They store another key, or are deleted, and it goes on.
    """

    workspace: str
    credential: str
    provider: str
    old_key_id: str
    since: datetime
    used_by: Sequence[str]


def held_back_views(rotations: Sequence[KeyRotation]) -> list[HeldBackKey]:
    """Views of rotations that wait for other workspaces."""
    return [
        HeldBackKey(
            workspace=one.workspace,
            credential=one.credential,
            provider=one.provider,
            old_key_id=run.old_id,
            since=run.since,
            used_by=run.used_by,
        )
        for one in rotations
        if (run := one.run) is not None
    ]


class StatusView(Struct, frozen=True):
    """Where each provider is configured, whether secrets can be sealed, and whether a volume keeps the data folder.

    `refused` says of providers whose variables are set why the environment configures no account of theirs,
    `env_file_faults` what of the .env file cannot be read; both are left out where there is none.
    `keys_held_back` is there for the installation's keeper alone.
    `damaged` counts, for the installation's own tokens, the records that are refused and what the last verification
    found wrong with the audit log; it is left out where there is none.
    """

    configured: Mapping[str, bool]
    source: Mapping[str, str]
    encryption_configured: bool
    data_folder_kept: bool
    refused: Mapping[str, str] | UnsetType = UNSET
    env_file_faults: Sequence[str] | UnsetType = UNSET
    keys_held_back: Sequence[HeldBackKey] | UnsetType = UNSET
    damaged: int | UnsetType = UNSET


class DeletionView(Struct, frozen=True, kw_only=True):
    """What a deletion did or, with `dry_run`, would do. The model lists hold ids."""

    message: str
    deleted_models: int
    dry_run: bool
    deleted: Sequence[str]
    moved: Sequence[str]
    merged: Sequence[str]
    cleared_defaults: Sequence[str]
    redirected_defaults: Sequence[str]


class FieldView(Struct, frozen=True, kw_only=True):
    """One field of a provider's account, in the order a person is asked for them.

    `in_config`: it is sent inside `config` (or `secrets`), not flat. `choices`: the only values it takes, if any.
    `pattern`: a regular expression that all of the value matches, "" for none. `multi_line`: it may have several lines.
    """

    name: str
    label: str
    kind: str
    secret: bool
    required: bool
    env: Sequence[str]
    default: SettingValue | None
    help: str
    in_config: bool
    choices: Sequence[str]
    pattern: str
    multi_line: bool


class KeyManagementView(Struct, frozen=True, kw_only=True):
    """How the keys of a provider's accounts are rotated. `fields` are asked for where a rotation is set up.

    `automatic`: keys are made and revoked by the provider's API; else a person does it at `page`.
    """

    automatic: bool
    page: str
    fields: Sequence[FieldView]


class ProviderView(Struct, frozen=True, kw_only=True):
    """A provider. `any_of`: of each group, one field must be given."""

    name: str
    display_name: str
    modalities: Sequence[Modality]
    docs_url: str | None
    env_configured: bool
    fields: Sequence[FieldView]
    any_of: Sequence[Sequence[str]]
    key_management: KeyManagementView | None


def provider_view(spec: ProviderSpec, *, env_configured: bool) -> ProviderView:
    """The view of a provider."""
    return ProviderView(
        name=spec.name,
        display_name=spec.label,
        modalities=spec.modalities,
        docs_url=spec.docs_url or None,
        env_configured=env_configured,
        any_of=spec.any_of,
        fields=[_field_view(field) for field in spec.ordered_fields],
        key_management=None if spec.key_management is None else _managing_view(spec.key_management),
    )


def _managing_view(management: KeyManagement) -> KeyManagementView:
    return KeyManagementView(
        automatic=management.makes, page=management.page, fields=[_field_view(field) for field in management.fields]
    )


def _field_view(field: FieldSpec) -> FieldView:
    return FieldView(
        name=field.name,
        label=field.label,
        kind=field.kind,
        secret=field.secret,
        required=field.required,
        env=field.env_names,
        default=field.default,
        help=field.help,
        in_config=field.name not in {*WELL_KNOWN, "api_key"},
        choices=field.choices,
        pattern=field.pattern,
        multi_line=field.multi_line,
    )


class TokenView(Struct, frozen=True, kw_only=True):
    """A token, without its text."""

    id: str
    name: str
    scopes: Sequence[Scope]
    workspace: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None
    limits: Limits
    reach: Reach
    maker: str | None


class NewTokenView(TokenView, frozen=True, kw_only=True):
    """A token that was made just now. `token` is its text, which nobody can ask for again."""

    token: str


def token_view(token: Token) -> TokenView:
    """The view of a token."""
    return TokenView(**_token_fields(token))


def new_token_view(token: Token, text: str) -> NewTokenView:
    """The view of a new token with its text."""
    return NewTokenView(token=text, **_token_fields(token))


def _token_fields(token: Token) -> dict[str, Any]:
    return {name: getattr(token, name) for name in TokenView.__struct_fields__}


class EventView(Struct, frozen=True, kw_only=True):
    """An audit event."""

    id: str
    at: datetime
    actor: str
    action: Action
    target: str
    outcome: str
    source: str
    request_id: str
    details: Mapping[str, Any]
    seq: int


def event_view(event: AuditEvent) -> EventView:
    """The view of an audit event."""
    return EventView(**{name: getattr(event, name) for name in EventView.__struct_fields__})


class MigrationEntryView(Struct, frozen=True, kw_only=True):
    """One account in a migration. `variables` maps fields to the names of the variables they came from.

    `goes_to` is where its keys go. `removable` names the variables that nobody needs any more: what they hold stands in
    the database as it is. `refused`: what they hold did not come in, and is not here.
    """

    provider: str
    step: str
    reason: str
    variables: Mapping[str, str]
    goes_to: Sequence[str]
    linked_models: Sequence[str]
    removable: Sequence[str]
    credential: str | None
    refused: bool
    notes: Sequence[str]
    duplicates: list[DuplicateView] = []


class MigrationView(Struct, frozen=True, kw_only=True):
    """A migration of the environment. The lists hold provider names, `errors` and `refused` a reason with each."""

    message: str
    migrated: Sequence[str]
    skipped: Sequence[str]
    not_configured: Sequence[str]
    errors: Sequence[str]
    refused: Sequence[str]
    dry_run: bool
    entries: Sequence[MigrationEntryView]


def migration_view(migration: Migration, reach: Reach) -> MigrationView:
    """The view of a migration."""
    migrated = [entry.provider for entry in migration.of(Step.MIGRATE)]
    verb = "would be migrated" if migration.dry_run else "migrated"
    return MigrationView(
        message=f"{len(migrated)} {'provider' if len(migrated) == 1 else 'providers'} {verb}.",
        migrated=migrated,
        skipped=[entry.provider for entry in migration.of(Step.SKIP)],
        not_configured=[entry.provider for entry in migration.of(Step.NOT_CONFIGURED)],
        errors=[f"{entry.provider}: {entry.reason}" for entry in migration.of(Step.ERROR)],
        refused=[f"{entry.provider}: {entry.reason}" for entry in migration.entries if entry.refused],
        dry_run=migration.dry_run,
        entries=[_entry_view(entry, reach) for entry in migration.entries],
    )


def _entry_view(entry: MigrationEntry, reach: Reach) -> MigrationEntryView:
    same = {name: getattr(entry, name) for name in MigrationEntryView.__struct_fields__ if name != "duplicates"}
    return MigrationEntryView(**same, duplicates=duplicate_views(entry.duplicates, reach))


class PluginView(Struct, frozen=True, kw_only=True):
    """One plugin as it was found at start. `failure` says why it is not in use."""

    name: str
    origin: str
    providers: Sequence[str]
    api_version: int | None
    failure: str | None


def plugin_view(status: PluginStatus) -> PluginView:
    """The view of a plugin."""
    return PluginView(**{name: getattr(status, name) for name in PluginView.__struct_fields__})
