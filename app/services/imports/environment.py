"""What the environment holds, and moving it into the database."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.services.audit import DELETED_HERE, Deleted, Deletions, Journal
from keycairn.app.services.credentials import Credentials
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import IN_PROCESS, Action, Caller
from keycairn.domain.change import AddCredential, ExpectNoCredential, ReplaceModel
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential
from keycairn.domain.environment import EnvironmentAccount, read_account
from keycairn.domain.errors import ConflictError, InvalidInputError
from keycairn.domain.ids import CredentialId
from keycairn.domain.model import Model
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock
from keycairn.ports.environment import Environment
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

MIGRATED_NAME = "Default (Migrated from env)"
_HAS_ONE = "the database has a credential of this provider"
_MEANWHILE = "somebody else changed this provider meanwhile; run it again"
ATTEMPTS = 8
"""How often a provider is worked out anew when others write in between."""


class Step(StrEnum):
    """What migration does, or would do, with a provider."""

    MIGRATE = "migrate"
    SKIP = "skip"
    NOT_CONFIGURED = "not_configured"
    ERROR = "error"


class MigrationEntry(Struct, frozen=True, kw_only=True):
    """One provider in a migration. `variables` maps fields to the variables they are read from; no values.

    `removable` are those that stand in the database as they are, so that nobody needs them in the environment.

    `duplicates` are stored credentials with the same secret.
    """

    provider: str
    step: Step
    reason: str = ""
    variables: Mapping[str, str] = {}
    linked_models: tuple[str, ...] = ()
    removable: tuple[str, ...] = ()
    credential: CredentialId | None = None
    duplicates: tuple[Credential, ...] = ()


class Migration(Struct, frozen=True):
    """A migration, done or (with `dry_run`) planned: an entry for every known provider."""

    entries: tuple[MigrationEntry, ...]
    dry_run: bool

    def of(self, step: Step) -> list[MigrationEntry]:
        """The entries of one kind."""
        return [entry for entry in self.entries if entry.step is step]


class Source(StrEnum):
    """Where a provider's configuration comes from. The database wins."""

    DATABASE = "database"
    ENVIRONMENT = "environment"
    NONE = "none"


class EnvironmentAccounts:
    """Reads provider accounts from the environment, and migrates them. Leaves the environment as it is."""

    def __init__(
        self,
        store: Store,
        registry: ProviderRegistry,
        environment: Environment,
        vault: Vault,
        credentials: Credentials,
        deletions: Deletions,
        clock: Clock,
        journal: Journal,
    ) -> None:
        self._store = store
        self._vault = vault
        self._deletions = deletions
        self._registry = registry
        self._environment = environment
        self._credentials = credentials
        self._clock = clock
        self._journal = journal

    def found(self, workspace: str = DEFAULT_WORKSPACE) -> list[EnvironmentAccount]:
        """What the environment says about every known provider, in declaration order.

        It is the installation's own: only the default workspace finds anything in it.
        """
        variables = self._environment.variables() if workspace == DEFAULT_WORKSPACE else {}
        return [read_account(provider.spec, variables) for provider in self._registry.all()]

    def variable(self, name: str) -> Secret | None:
        """One variable that is not blank, None where it is not set."""
        value = self._environment.variables().get(name)
        return value if value is not None and value.reveal().strip() else None

    async def sources(self, *, workspace: str = DEFAULT_WORKSPACE) -> dict[str, Source]:
        """Where each known provider is configured."""
        stored = await self._store.providers_in_use(workspace)
        return {
            account.provider: Source.DATABASE
            if account.provider in stored
            else Source.ENVIRONMENT
            if account.configured
            else Source.NONE
            for account in self.found(workspace)
        }

    async def migrate(self, *, dry_run: bool = False, again: bool = False, by: Caller = IN_PROCESS) -> Migration:
        """Make a credential of every configured provider that has none, and link its unlinked models to it.

        A key that was deleted here comes back only with `again`. One commit a provider: what fails is reported in its
        entry, and the others go on. Running it again changes nothing. Raises SealedError before anything is done.
        """
        stored = await self._store.providers_in_use(by.workspace)
        gone = Deleted() if again else await self._deletions.of(by.workspace)
        entries = [
            await self._migrate(account, stored, gone, by, dry_run=dry_run) for account in self.found(by.workspace)
        ]
        return Migration(tuple(entries), dry_run)

    async def _migrate(
        self, account: EnvironmentAccount, stored: frozenset[str], gone: Deleted, by: Caller, *, dry_run: bool
    ) -> MigrationEntry:
        """One provider, worked out anew when others write in between, a rotation of the data key too."""
        for _ in range(ATTEMPTS):
            try:
                return await self._attempt(account, stored, gone, by, dry_run=dry_run)
            except ConflictError:
                await self._vault.refresh()
                stored = await self._store.providers_in_use(by.workspace)
        return MigrationEntry(provider=account.provider, step=Step.SKIP, reason=_MEANWHILE, variables=account.variables)

    async def _attempt(
        self, account: EnvironmentAccount, stored: frozenset[str], gone: Deleted, by: Caller, *, dry_run: bool
    ) -> MigrationEntry:
        entry = MigrationEntry(provider=account.provider, step=Step.NOT_CONFIGURED, variables=account.variables)
        if not account.variables:
            return entry
        if not account.configured:
            missing = ", ".join(" or ".join(group) for group in account.missing)
            return replace(entry, reason=f"incomplete, also set: {missing}")
        try:
            draft = self._credentials.draft(
                account.provider, name=MIGRATED_NAME, settings=account.settings, secrets=account.secrets, by=by
            ).credential
        except InvalidInputError as error:
            step = Step.SKIP if account.provider in stored else Step.ERROR
            return replace(entry, step=step, reason=_HAS_ONE if account.provider in stored else str(error))
        if account.provider in stored:
            return replace(entry, step=Step.SKIP, reason=_HAS_ONE, removable=await self._removable(account, draft))
        if gone.covers(draft):
            return replace(entry, step=Step.SKIP, reason=DELETED_HERE)
        models = await self._store.unlinked_models(by.workspace, account.provider)
        entry = replace(
            entry,
            step=Step.MIGRATE,
            linked_models=tuple(model.name for model in models),
            duplicates=await self._credentials.duplicates(draft),
        )
        return entry if dry_run else await self._store_draft(entry, draft, models, by)

    async def _removable(self, account: EnvironmentAccount, draft: Credential) -> tuple[str, ...]:
        """The account's variables, where the database has the same key with the same settings."""
        twins = await self._credentials.duplicates(draft)
        same = any(twin.provider == draft.provider and twin.settings == draft.settings for twin in twins)
        return tuple(sorted(set(account.variables.values()))) if same else ()

    async def _store_draft(
        self, entry: MigrationEntry, draft: Credential, models: Sequence[Model], by: Caller
    ) -> MigrationEntry:
        now = self._clock.now()
        links = [
            ReplaceModel(
                replace(model, credential=draft.id, updated=now, version=model.version + 1), expected=model.version
            )
            for model in models
        ]
        event = self._journal.event(
            by,
            Action.CREDENTIAL_MIGRATED,
            draft.id,
            details={"provider": draft.provider, "variables": sorted(entry.variables.values())},
        )
        alone = ExpectNoCredential(by.workspace, draft.provider)
        await self._journal.commit((alone, AddCredential(draft), *links, event))
        return replace(entry, credential=draft.id, removable=tuple(sorted(set(entry.variables.values()))))
