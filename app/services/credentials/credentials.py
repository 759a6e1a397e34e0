"""The credential lifecycle: create, read, update, delete."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.contested import check_any_model, check_deletion
from keycairn.app.lookup import require_credential
from keycairn.app.services.audit import Journal, deletion_details
from keycairn.app.services.credentials.bounded_tokens import BoundedTokens
from keycairn.app.services.credentials.opener import CredentialOpener
from keycairn.app.services.credentials.sealing import CredentialPatch, CredentialSealer
from keycairn.app.turns import in_turns
from keycairn.domain.audit import IN_PROCESS, Action, Caller, Details
from keycairn.domain.change import AddCredential, Changeset, ReplaceCredential
from keycairn.domain.credential import DEFAULT_WORKSPACE, LATER_COLUMNS, Credential
from keycairn.domain.deletion import Deletion, check_target, plan_deletion, plan_move
from keycairn.domain.errors import PreconditionFailedError, SealedError
from keycairn.domain.ids import CredentialId
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.options import Options
from keycairn.domain.provider import SettingValue, canonical_name
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import MOST, Position, Store


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


class Credentials:
    """Manages credentials. Every mutation is one commit together with its audit event."""

    def __init__(
        self,
        store: Store,
        sealer: CredentialSealer,
        registry: ProviderRegistry,
        opener: CredentialOpener,
        http: Http,
        clock: Clock,
        ids: Ids,
        journal: Journal,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._registry = registry
        self._opener = opener
        self._http = http
        self._clock = clock
        self._ids = ids
        self._journal = journal
        self._bounded = BoundedTokens(store, journal)

    async def list(
        self,
        *,
        provider: str | None = None,
        after: Position | None = None,
        limit: int = MOST,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> Sequence[Listed]:
        """A page of credentials, ordered by provider and age. Two queries whatever its size, nothing decrypted."""
        page = await self.counted(provider=provider, after=after, limit=limit, workspace=workspace)
        await self.learn([credential for credential, _ in page])
        return await in_turns(page, lambda item: self.listed(*item))

    async def counted(
        self, *, provider: str | None, after: Position | None, limit: int, workspace: str
    ) -> Sequence[tuple[Credential, int]]:
        """The same page, each credential with the number of its models, its secrets not looked at."""
        name = canonical_name(provider) if provider else None
        page = await self._store.credentials(workspace, provider=name, after=after, limit=limit)
        counts = await self._store.model_counts(workspace, [item.id for item in page])
        return [(item, counts.get(item.id, 0)) for item in page]

    def listed(self, credential: Credential, model_count: int) -> Listed:
        """A credential as lists show it. The keys of its secrets are learnt; see `learn`."""
        return Listed(credential, model_count, self._opener.unreadable(credential))

    async def learn(self, credentials: Sequence[Credential]) -> None:
        """As `CredentialOpener.learn`, but nothing listed is opened: keys that do not open are told of elsewhere."""
        with suppress(SealedError):
            await self._opener.learn(credentials)

    async def get(self, id: CredentialId, *, workspace: str = DEFAULT_WORKSPACE) -> Listed:
        """One credential. Raises CredentialNotFoundError."""
        credential = await require_credential(self._store, workspace, id)
        return await self._listed(credential)

    async def linked_models(self, id: CredentialId, *, workspace: str = DEFAULT_WORKSPACE) -> Sequence[Model]:
        """The models linked to a credential. Raises CredentialNotFoundError."""
        await require_credential(self._store, workspace, id)
        return await self._store.models(workspace, credential=id, limit=None)

    def new_id(self) -> CredentialId:
        """An id for `create`, from whoever may have to ask twice: two records of one id are never made."""
        return self._ids.credential()

    async def create(
        self,
        provider: str,
        *,
        id: CredentialId | None = None,
        name: str,
        settings: Mapping[str, SettingValue] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        modalities: Sequence[Modality] | None = None,
        limits: Limits | None = None,
        options: Options | None = None,
        by: Caller = IN_PROCESS,
    ) -> Listed:
        """Store a new credential, under `id` where one is given.

        Raises UnknownProviderError, InvalidInputError (its subclasses name the field) or SealedError; DuplicateError
        where there is a record of that id.
        """
        patch = CredentialPatch(
            name=name,
            modalities=tuple(modalities) if modalities else None,
            settings=dict(settings or {}),
            secrets=dict(secrets or {}),
            limits=limits,
            options=options,
        )
        return await self.create_from(provider, patch, id=id, by=by)

    def draft(
        self, provider: str, patch: CredentialPatch, *, id: CredentialId | None = None, by: Caller = IN_PROCESS
    ) -> Credential:
        """What `create_from` would store. Raises as it does."""
        return self._sealer.patched(self._blank(provider, by, id), replace(patch, name=patch.name or "")).credential

    async def changed(self, id: CredentialId, patch: CredentialPatch, *, by: Caller = IN_PROCESS) -> Credential:
        """What `update` would make of the credential as it is stored: its next version. Raises as it does."""
        before = await require_credential(self._store, by.workspace, id)
        await self._opener.learn([before])
        return replace(self._sealer.patched(before, patch).credential, version=before.version + 1)

    async def create_from(
        self, provider: str, patch: CredentialPatch, *, id: CredentialId | None = None, by: Caller = IN_PROCESS
    ) -> Listed:
        """Store a new credential that is what `patch` says, and else the defaults; see `create`."""
        patch = replace(patch, name=patch.name or "")

        async def plan() -> tuple[Changeset, Listed]:
            draft = self._sealer.patched(self._blank(provider, by, id), patch)
            made = draft.credential
            await check_any_model(self._store, None, made, by)
            details: Details = {"provider": made.provider, "secrets": sorted(made.sealed)}
            event = self._journal.event(by, Action.CREDENTIAL_CREATED, made.id, details=details)
            answer = Listed(made, 0, {}, await self.duplicates(made), draft.healed)
            return (AddCredential(made), event), answer  # nothing is read behind the commit: it might fail

        return await self._journal.retried(plan)

    async def duplicates(self, credential: Credential) -> tuple[Credential, ...]:
        """The other credentials of the workspace that hold one of the same secrets; found without opening any."""
        found = await self._store.with_same_secret(credential.workspace, frozenset(credential.fingerprints.values()))
        return tuple(twin for twin in found if twin.id != credential.id)

    async def update(
        self, id: CredentialId, patch: CredentialPatch, *, if_match: int | None = None, by: Caller = IN_PROCESS
    ) -> Listed:
        """Apply `patch`. With `if_match`, only to that version.

        Raises CredentialNotFoundError, PreconditionFailedError, InvalidInputError or SealedError.
        """

        async def plan() -> tuple[Changeset, Listed]:
            before = await require_credential(self._store, by.workspace, id)
            if if_match is not None and before.version != if_match:
                raise PreconditionFailedError
            await self._opener.learn([before])
            draft = self._sealer.patched(before, patch)
            after = draft.credential
            await check_any_model(self._store, before, after, by)
            if after == before:
                return (), replace(await self._listed(before), healed=draft.healed)
            after = replace(after, updated=self._clock.now(), version=before.version + 1)
            event = self._journal.event(
                by, Action.CREDENTIAL_UPDATED, id, details={"fields": _changed(before, after, patch)}
            )
            kept = frozenset(key for key, text in before.sealed.items() if after.sealed.get(key) == text)
            answer = replace(await self._listed(after), healed=draft.healed)
            return (ReplaceCredential(after, expected=before.version, kept=kept), event), answer

        done = await self._journal.retried(plan)
        self._http.tokens.forget(id)
        return done

    async def delete(
        self,
        id: CredentialId,
        *,
        migrate_to: CredentialId | None = None,
        if_match: int | None = None,
        dry_run: bool = False,
        redirect_tokens: bool = True,
        by: Caller = IN_PROCESS,
    ) -> Deletion:
        """Delete a credential, its models with it, or handed to `migrate_to`. With `dry_run`, only say what would be.

        With `redirect_tokens`, tokens that are bounded to it reach `migrate_to` in its place from then on: for callers
        who may give out tokens. Works on a record whose secrets do not open. Raises CredentialNotFoundError,
        InvalidMigrationTargetError or PreconditionFailedError.
        """

        async def plan() -> tuple[Changeset, Deletion]:
            credential = await require_credential(self._store, by.workspace, id)
            if if_match is not None and credential.version != if_match:
                raise PreconditionFailedError
            deletion = await self._plan(credential, migrate_to)
            await check_deletion(self._store, deletion, by)
            heir = migrate_to if redirect_tokens else None
            now = self._clock.now()
            deletion = await self._bounded.with_tokens(deletion, credential, heir, now=now, by=by)
            if dry_run:
                return (), deletion
            details = {**_impact(deletion, migrate_to), **deletion_details(credential)}
            event = self._journal.event(by, Action.CREDENTIAL_DELETED, id, details=details)
            return (*deletion.changes, event), deletion

        deletion = await self._journal.retried(plan)
        if not dry_run:
            self._http.tokens.forget(id)
        return deletion

    def _blank(self, provider: str, by: Caller, id: CredentialId | None) -> Credential:
        spec = self._registry.get(provider).spec
        now = self._clock.now()
        return Credential(
            id=id or self._ids.credential(),
            workspace=by.workspace,
            provider=spec.name,
            name="",
            modalities=spec.modalities,
            created=now,
            updated=now,
        )

    async def _plan(self, credential: Credential, migrate_to: CredentialId | None) -> Deletion:
        workspace = credential.workspace
        models = await self._store.models(workspace, credential=credential.id, limit=None)
        defaults = await self._store.defaults(workspace)
        if migrate_to is None:
            return await asyncio.to_thread(plan_deletion, credential, models, defaults)  # of thousands of models
        target = check_target(credential, await self._store.credential(workspace, migrate_to))
        await asyncio.sleep(0)  # either list may be of thousands
        target_models = await self._store.models(workspace, credential=target.id, limit=None)
        return await asyncio.to_thread(plan_move, credential, models, target, target_models, defaults)

    async def _listed(self, credential: Credential) -> Listed:
        await self.learn([credential])
        models = await self._store.models(credential.workspace, credential=credential.id, limit=None)
        duplicates = await self.duplicates(credential)
        return Listed(credential, len(models), self._opener.unreadable(credential), duplicates)


def _changed(before: Credential, after: Credential, patch: CredentialPatch) -> list[str]:
    columns = ("name", "modalities", "limits", *LATER_COLUMNS)
    plain = [key for key in columns if getattr(before, key) != getattr(after, key)]
    keys = before.settings.keys() | after.settings.keys()
    settings = [key for key in keys if before.settings.get(key) != after.settings.get(key)]
    return sorted([*plain, *settings, *patch.secrets])


def _impact(plan: Deletion, migrate_to: CredentialId | None) -> Details:
    counts: Details = {
        "deleted_models": len(plan.deleted),
        "moved_models": len(plan.moved),
        "merged_models": len(plan.merged),
        "followed_tokens": len(plan.followed),
        "stranded_tokens": len(plan.stranded),
    }
    return {**counts, "migrate_to": migrate_to} if migrate_to else counts
