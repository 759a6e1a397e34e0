"""The credential lifecycle: create, read, update, delete."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.lookup import require_credential
from keycairn.app.services.audit import Journal, deletion_details
from keycairn.app.services.credentials.opener import CredentialOpener
from keycairn.app.services.keys import Vault
from keycairn.app.turns import in_turns
from keycairn.domain.audit import IN_PROCESS, Action, Caller, Details
from keycairn.domain.authorities import certificates_in
from keycairn.domain.change import AddCredential, Changeset, ReplaceCredential
from keycairn.domain.credential import (
    DEFAULT_WORKSPACE,
    Credential,
    check_not_repeated,
    destinations,
    seal_context,
)
from keycairn.domain.deletion import Deletion, check_target, plan_deletion, plan_move
from keycairn.domain.errors import (
    InvalidInputError,
    PreconditionFailedError,
    SealedError,
    SecretInPlainFieldError,
    SecretReentryRequiredError,
    UndeclaredFieldError,
    UndecryptableError,
)
from keycairn.domain.healing import Given, healed, is_short_word
from keycairn.domain.ids import CredentialId
from keycairn.domain.limits import Limits, check_limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.options import Options, checked_options
from keycairn.domain.provider import FieldKind, ProviderSpec, SettingValue, canonical_name
from keycairn.domain.sealed import SealedSecret, is_former
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import MOST, Position, Store

LONGEST_NAME = 200
LONGEST_SECRET = 32_768
"""Characters; a service-account JSON has about 2,400."""


class Listed(Struct, frozen=True):
    """A credential with the number of its models and the secrets that do not open.

    `duplicates` are the other credentials with the same secret; None where nobody looked.
    """

    credential: Credential
    model_count: int
    broken: Mapping[str, str]
    duplicates: tuple[Credential, ...] | None = None
    healed: Mapping[str, str] = {}
    """What was put right in the fields that were sent, by field."""

    @property
    def decryption_error(self) -> str | None:
        """Why a secret of this record cannot be opened, or None."""
        return "; ".join(f"{name}: {why}" for name, why in sorted(self.broken.items())) or None


class CheckedCredential(Struct, frozen=True):
    """A checked and sealed credential that is not stored yet. `healed` says by field what was put right in it."""

    credential: Credential
    healed: Mapping[str, str]


class CredentialPatch(Struct, frozen=True, kw_only=True):
    """What to change. Absent: keep. A setting or secret that maps to None is cleared; all else that is None stays."""

    name: str | None = None
    modalities: tuple[Modality, ...] | None = None
    settings: Mapping[str, SettingValue | None] = {}
    secrets: Mapping[str, Secret | None] = {}
    limits: Limits | None = None
    options: Options | None = None


class Credentials:
    """Manages credentials. Every mutation is one commit together with its audit event."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        registry: ProviderRegistry,
        opener: CredentialOpener,
        http: Http,
        clock: Clock,
        ids: Ids,
        journal: Journal,
    ) -> None:
        self._store = store
        self._vault = vault
        self._registry = registry
        self._opener = opener
        self._http = http
        self._clock = clock
        self._ids = ids
        self._journal = journal

    async def list(
        self,
        *,
        provider: str | None = None,
        after: Position | None = None,
        limit: int = MOST,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> Sequence[Listed]:
        """A page of credentials, ordered by provider and age. Two queries whatever its size, nothing decrypted."""
        name = canonical_name(provider) if provider else None
        page = await self._store.credentials(workspace, provider=name, after=after, limit=limit)
        await self._learn(page)
        counts = await self._store.model_counts(workspace, [item.id for item in page])
        return await in_turns(page, lambda item: Listed(item, counts.get(item.id, 0), self._opener.unreadable(item)))

    async def get(self, id: CredentialId, *, workspace: str = DEFAULT_WORKSPACE) -> Listed:
        """One credential. Raises CredentialNotFoundError."""
        credential = await require_credential(self._store, workspace, id)
        return await self._listed(credential)

    async def linked_models(self, id: CredentialId, *, workspace: str = DEFAULT_WORKSPACE) -> Sequence[Model]:
        """The models linked to a credential. Raises CredentialNotFoundError."""
        await require_credential(self._store, workspace, id)
        return await self._store.models(workspace, credential=id, limit=None)

    async def create(
        self,
        provider: str,
        *,
        name: str,
        settings: Mapping[str, SettingValue] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        modalities: Sequence[Modality] | None = None,
        limits: Limits | None = None,
        options: Options | None = None,
        by: Caller = IN_PROCESS,
    ) -> Listed:
        """Store a new credential.

        Raises UnknownProviderError, InvalidInputError (its subclasses name the field) or SealedError.
        """

        async def plan() -> tuple[Changeset, CheckedCredential]:
            draft = self.draft(
                provider,
                name=name,
                settings=settings,
                secrets=secrets,
                modalities=modalities,
                limits=limits,
                options=options,
                by=by,
            )
            made = draft.credential
            details: Details = {"provider": made.provider, "secrets": sorted(made.sealed)}
            event = self._journal.event(by, Action.CREDENTIAL_CREATED, made.id, details=details)
            return (AddCredential(made), event), draft

        created = await self._journal.retried(plan)
        return Listed(created.credential, 0, {}, await self.duplicates(created.credential), created.healed)

    async def duplicates(self, credential: Credential) -> tuple[Credential, ...]:
        """The other credentials of the workspace that hold one of the same secrets; found without opening any."""
        found = await self._store.with_same_secret(credential.workspace, frozenset(credential.fingerprints.values()))
        return tuple(twin for twin in found if twin.id != credential.id)

    def draft(
        self,
        provider: str,
        *,
        name: str,
        settings: Mapping[str, SettingValue] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        modalities: Sequence[Modality] | None = None,
        limits: Limits | None = None,
        options: Options | None = None,
        by: Caller,
    ) -> CheckedCredential:
        """A checked and sealed credential that is not stored yet. Raises as `create` does."""
        spec = self._registry.get(provider).spec
        now = self._clock.now()
        empty = Credential(
            id=self._ids.credential(),
            workspace=by.workspace,
            provider=spec.name,
            name="",
            modalities=spec.modalities,
            created=now,
            updated=now,
        )
        patch = CredentialPatch(
            name=name,
            modalities=tuple(modalities) if modalities else None,
            settings=dict(settings or {}),
            secrets=dict(secrets or {}),
            limits=limits,
            options=options,
        )
        return self._patched(spec, empty, patch)

    def looked_at(self, provider: str, *, settings: Mapping[str, SettingValue], secrets: Mapping[str, Secret]) -> Given:
        """Fields healed as `create` heals them. Raises UnknownProviderError, InvalidInputError or SealedError."""
        spec = self._registry.get(provider).spec
        return healed(spec, settings, _checked_secrets(spec, secrets), before={}, elsewhere=self._others_keys(spec))

    def filled(self, start: Credential, given: Given) -> Credential:
        """`start`, which holds neither settings nor a secret that opens, with what `looked_at` gave; not stored yet.

        Raises as `create` does.
        """
        spec = self._registry.get(start.provider).spec
        placed = replace(start, settings=self._merged_settings(spec, start, given.settings))
        patch = CredentialPatch(name=start.name, modalities=start.modalities, secrets=given.secrets)
        return self._applied(spec, placed, patch)

    def fingerprint(self, workspace: str, secret: Secret) -> str:
        """See `Vault.fingerprint`."""
        return self._vault.fingerprint(workspace, secret)

    async def update(
        self, id: CredentialId, patch: CredentialPatch, *, if_match: int | None = None, by: Caller = IN_PROCESS
    ) -> Listed:
        """Apply `patch`. With `if_match`, only to that version.

        Raises CredentialNotFoundError, PreconditionFailedError, InvalidInputError or SealedError.
        """

        async def plan() -> tuple[Changeset, CheckedCredential]:
            before = await require_credential(self._store, by.workspace, id)
            if if_match is not None and before.version != if_match:
                raise PreconditionFailedError
            spec = self._registry.get(before.provider).spec
            await self._opener.learn([before])
            draft = self._patched(spec, before, patch)
            after = draft.credential
            if after == before:
                return (), draft
            after = replace(after, updated=self._clock.now(), version=before.version + 1)
            event = self._journal.event(
                by, Action.CREDENTIAL_UPDATED, id, details={"fields": _changed(before, after, patch)}
            )
            kept = frozenset(key for key, text in before.sealed.items() if after.sealed.get(key) == text)
            return (ReplaceCredential(after, expected=before.version, kept=kept), event), CheckedCredential(
                after, draft.healed
            )

        done = await self._journal.retried(plan)
        self._http.tokens.forget(id)
        return replace(await self._listed(done.credential), healed=done.healed)

    async def delete(
        self,
        id: CredentialId,
        *,
        migrate_to: CredentialId | None = None,
        if_match: int | None = None,
        dry_run: bool = False,
        by: Caller = IN_PROCESS,
    ) -> Deletion:
        """Delete a credential, its models with it, or handed to `migrate_to`. With `dry_run`, only say what would be.

        Works on a record whose secrets do not open. Raises CredentialNotFoundError, InvalidMigrationTargetError or
        PreconditionFailedError.
        """

        async def plan() -> tuple[Changeset, Deletion]:
            credential = await require_credential(self._store, by.workspace, id)
            if if_match is not None and credential.version != if_match:
                raise PreconditionFailedError
            deletion = await self._plan(credential, migrate_to)
            if dry_run:
                return (), deletion
            details = {**_impact(deletion, migrate_to), **deletion_details(credential)}
            event = self._journal.event(by, Action.CREDENTIAL_DELETED, id, details=details)
            return (*deletion.changes, event), deletion

        deletion = await self._journal.retried(plan)
        if not dry_run:
            self._http.tokens.forget(id)
        return deletion

    async def _plan(self, credential: Credential, migrate_to: CredentialId | None) -> Deletion:
        workspace = credential.workspace
        models = await self._store.models(workspace, credential=credential.id, limit=None)
        defaults = await self._store.defaults(workspace)
        if migrate_to is None:
            return plan_deletion(credential, models, defaults)
        target = check_target(credential, await self._store.credential(workspace, migrate_to))
        target_models = await self._store.models(workspace, credential=target.id, limit=None)
        return plan_move(credential, models, target, target_models, defaults)

    async def _learn(self, credentials: Sequence[Credential]) -> None:
        """As `CredentialOpener.learn`, but nothing listed is opened: keys that do not open are told of elsewhere."""
        with suppress(SealedError):
            await self._opener.learn(credentials)

    async def _listed(self, credential: Credential) -> Listed:
        await self._learn([credential])
        models = await self._store.models(credential.workspace, credential=credential.id, limit=None)
        duplicates = await self.duplicates(credential)
        return Listed(credential, len(models), self._opener.unreadable(credential), duplicates)

    def _others_keys(self, spec: ProviderSpec) -> dict[str, str]:
        """How keys begin that are certainly another provider's than `spec`, and whose they are."""
        others = {
            start: f"those of {other.spec.label} do"
            for other in self._registry.all()
            if other.spec.name != spec.name
            for start in other.spec.key_prefixes
        }
        return {start: whose for start, whose in others.items() if start not in spec.key_prefixes}

    def _patched(self, spec: ProviderSpec, before: Credential, patch: CredentialPatch) -> CheckedCredential:
        """`before` with `patch` applied, healed, and its secrets sealed; version and times untouched."""
        given = healed(
            spec,
            patch.settings,
            _checked_secrets(spec, patch.secrets),
            before=before.settings,
            elsewhere=self._others_keys(spec),
        )
        patch = replace(patch, settings=given.settings, secrets=given.secrets)
        return CheckedCredential(self._applied(spec, before, patch), given.notes)

    def _applied(self, spec: ProviderSpec, before: Credential, patch: CredentialPatch) -> Credential:
        secrets = patch.secrets
        settings = self._merged_settings(spec, before, patch.settings)
        name = before.name if patch.name is None else _checked_name(patch.name)
        modalities = before.modalities if patch.modalities is None else _checked_modalities(spec, patch.modalities)
        limits = before.limits if patch.limits is None else patch.limits
        check_limits(limits)
        options = before.options if patch.options is None else _checked_options(patch.options)
        given = {key: secret for key, secret in secrets.items() if secret is not None}
        sought = (secret for secret in given.values() if not is_short_word(secret.reveal()))
        kept = {key: sealed for key, sealed in before.sealed.items() if key not in secrets}
        check_not_repeated(sought, {"name": name, **settings, "options.headers": options.headers})
        self._check_not_stored(before, {"name": patch.name, **patch.settings})
        for value in options.headers.values():
            self._check_not_stored(before, {"options.headers": value})
        spec.check_complete({*settings, *kept, *given})
        after = replace(before, name=name, modalities=modalities, settings=settings, limits=limits, options=options)
        moved = [key for key in kept if destinations(spec, settings, key) != destinations(spec, before.settings, key)]
        if options.ca_certificates not in {"", before.options.ca_certificates}:
            moved = [*kept]  # whoever an authority vouches for gets the secrets
        if moved:
            raise SecretReentryRequiredError(sorted(moved))
        return replace(
            after,
            sealed={**self._kept(spec, before, after, kept), **self._sealed(spec, after, given)},
            fingerprints={
                **{key: mark for key, mark in before.fingerprints.items() if key in kept},
                **{key: self._vault.fingerprint(before.workspace, secret) for key, secret in given.items()},
            },
            broken={key: why for key, why in before.broken.items() if key in kept},
        )

    def _check_not_stored(self, before: Credential, plain: Mapping[str, object]) -> None:
        """Raise SecretInPlainFieldError for a text that is a stored secret. Fingerprints tell; nothing is opened."""
        marks = frozenset(before.fingerprints.values())
        for name, value in plain.items() if marks else ():
            if not isinstance(value, str) or is_short_word(value):
                continue
            if self._vault.fingerprint(before.workspace, Secret(value.strip())) in marks:
                raise SecretInPlainFieldError(name)

    def _kept(
        self, spec: ProviderSpec, before: Credential, after: Credential, kept: Mapping[str, SealedSecret]
    ) -> dict[str, SealedSecret]:
        """`kept`, whose destinations stay. The former suite is bound to all URLs alike, so that one is sealed anew."""
        anew = dict(kept)
        if before.settings == after.settings:
            return anew
        cipher = self._vault.cipher
        for key in filter(lambda key: is_former(kept[key]), kept):
            with suppress(UndecryptableError):  # what does not open stays as it is, and is told of elsewhere
                secret = cipher.open(kept[key], seal_context(spec, before, key), retired=True)
                anew[key] = cipher.seal(secret, seal_context(spec, after, key))
        return anew

    def _sealed(
        self, spec: ProviderSpec, credential: Credential, secrets: Mapping[str, Secret]
    ) -> dict[str, SealedSecret]:
        cipher = self._vault.cipher
        return {key: cipher.seal(secret, seal_context(spec, credential, key)) for key, secret in secrets.items()}

    def _merged_settings(
        self, spec: ProviderSpec, before: Credential, changes: Mapping[str, SettingValue | None]
    ) -> dict[str, SettingValue]:
        settings = spec.renamed(before.settings)
        for key, value in changes.items():
            if value is None or value == "":
                settings.pop(key, None)
                continue
            field = spec.field(key)
            checked = spec.check_setting(key, value)
            if field is not None and field.kind is FieldKind.PATH and before.workspace != DEFAULT_WORKSPACE:
                message = f"{field.label}: the service's files belong to its default workspace. Send the content."
                raise InvalidInputError(message, {key: "is for the default workspace only"})
            if field is not None and field.kind is FieldKind.URL:
                self._http.vet(str(checked), field=key)
            settings[key] = checked
        return settings


def _checked_name(name: str) -> str:
    text = name.strip()
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        message = f"The name must be 1 to {LONGEST_NAME} printable characters."
        raise InvalidInputError(message, {"name": f"must be 1 to {LONGEST_NAME} printable characters"})
    return text


def _checked_modalities(spec: ProviderSpec, modalities: tuple[Modality, ...]) -> tuple[Modality, ...]:
    unknown = [modality for modality in modalities if modality not in spec.modalities]
    if unknown:
        message = f"{spec.label} offers only: {', '.join(spec.modalities)}."
        raise InvalidInputError(message, {"modalities": f"must be of: {', '.join(spec.modalities)}"})
    return tuple(dict.fromkeys(modalities)) or spec.modalities


def _checked_options(options: Options) -> Options:
    """The options as they are stored. Raises InvalidInputError."""
    checked = checked_options(options)
    if not checked.ca_certificates.strip():
        return replace(checked, ca_certificates="")
    try:
        return replace(checked, ca_certificates=certificates_in(checked.ca_certificates))
    except InvalidInputError as error:
        raise InvalidInputError(str(error), {"options.ca_certificates": "must be certificates in PEM"}) from None


def _checked_secrets(spec: ProviderSpec, secrets: Mapping[str, Secret | None]) -> dict[str, Secret | None]:
    declared = {field.name for field in spec.secrets}
    if not declared.issuperset(secrets):
        raise UndeclaredFieldError(spec.name, [field.name for field in spec.fields])
    checked: dict[str, Secret | None] = {}
    for key, secret in secrets.items():
        text = secret.reveal().strip() if secret is not None else ""
        if len(text) > LONGEST_SECRET:
            message = f"A secret has at most {LONGEST_SECRET} characters."
            raise InvalidInputError(message, {key: "is too long"})
        checked[key] = Secret(text) if text else None
    return checked


def _changed(before: Credential, after: Credential, patch: CredentialPatch) -> list[str]:
    plain = [key for key in ("name", "modalities", "limits", "options") if getattr(before, key) != getattr(after, key)]
    keys = before.settings.keys() | after.settings.keys()
    settings = [key for key in keys if before.settings.get(key) != after.settings.get(key)]
    return sorted([*plain, *settings, *patch.secrets])


def _impact(plan: Deletion, migrate_to: CredentialId | None) -> Details:
    counts: Details = {
        "deleted_models": len(plan.deleted),
        "moved_models": len(plan.moved),
        "merged_models": len(plan.merged),
    }
    return {**counts, "migrate_to": migrate_to} if migrate_to else counts
