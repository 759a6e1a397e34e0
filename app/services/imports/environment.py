"""What the environment holds, and moving it into the database."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.services.audit import DELETED_HERE
from keycairn.app.services.imports.importer import Importer
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import IN_PROCESS, Caller
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential
from keycairn.domain.env_accounts import incoming, read_accounts
from keycairn.domain.environment import EnvironmentAccount
from keycairn.domain.errors import UrlRefusedError
from keycairn.domain.ids import CredentialId, credential_id
from keycairn.domain.incoming import ImportReport, Refused
from keycairn.domain.provider import FieldKind, ProviderSpec
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.ports.environment import Environment
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store


class Step(StrEnum):
    """What migration does, or would do, with a provider."""

    MIGRATE = "migrate"
    SKIP = "skip"
    NOT_CONFIGURED = "not_configured"
    ERROR = "error"


class MigrationEntry(Struct, frozen=True, kw_only=True):
    """One account in a migration. `variables` maps fields to the variables they are read from; no values.

    `goes_to` is where its keys go: the origins its variables name, else the provider's own host. `removable` are the
    variables whose values stand in the database as they are, so that nobody needs them in the environment. `refused`:
    what they hold did not come in, and is not here. `duplicates` are stored credentials with the same secret.
    """

    provider: str
    step: Step
    reason: str = ""
    variables: Mapping[str, str] = {}
    goes_to: tuple[str, ...] = ()
    linked_models: tuple[str, ...] = ()
    removable: tuple[str, ...] = ()
    credential: CredentialId | None = None
    refused: bool = False
    notes: tuple[str, ...] = ()
    duplicates: tuple[Credential, ...] = ()


class Migration(Struct, frozen=True):
    """A migration, done or (with `dry_run`) planned: an entry or more for every known provider."""

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
    """The accounts of the environment, which the importer takes in. Leaves the environment as it is."""

    def __init__(
        self, store: Store, registry: ProviderRegistry, environment: Environment, vault: Vault, importer: Importer
    ) -> None:
        self._store = store
        self._registry = registry
        self._environment = environment
        self._vault = vault
        self._importer = importer

    def found(self, workspace: str = DEFAULT_WORKSPACE, *, anyway: bool = False) -> list[EnvironmentAccount]:
        """What the environment says about every known provider, in declaration order.

        It is the installation's own: only the default workspace finds anything in it.
        """
        places = self._environment.places() if workspace == DEFAULT_WORKSPACE else ()
        specs = [provider.spec for provider in self._registry.all()]
        return read_accounts(specs, places, anyway=anyway)

    def faults(self, workspace: str = DEFAULT_WORKSPACE) -> Sequence[str]:
        """What of the .env file cannot be read, a sentence each; for the default workspace, as what is in it."""
        return self._environment.faults() if workspace == DEFAULT_WORKSPACE else ()

    def variable(self, name: str) -> Secret | None:
        """One variable that is not blank, None where it is not set."""
        value = self._environment.variables().get(name)
        return value if value is not None and value.reveal().strip() else None

    async def sources(self, *, workspace: str = DEFAULT_WORKSPACE) -> dict[str, Source]:
        """Where each known provider is configured."""
        stored = await self._store.providers_in_use(workspace)
        usable = {account.provider for account in self.found(workspace) if account.usable}

        def source(provider: str) -> Source:
            if provider in stored:
                return Source.DATABASE
            return Source.ENVIRONMENT if provider in usable else Source.NONE

        return {provider.spec.name: source(provider.spec.name) for provider in self._registry.all()}

    async def migrate(
        self,
        *,
        dry_run: bool = False,
        again: bool = False,
        anyway: bool = False,
        only: Collection[frozenset[str]] | None = None,
        by: Caller = IN_PROCESS,
    ) -> Migration:
        """Make a credential of every configured provider that has none, and link its unlinked models to it.

        With `only`, of those accounts alone whose variables, all of them, are one of these sets.
        A key that was deleted here comes back only with `again`; `anyway` takes variables that are not understood for
        irrelevant. One commit an account: what fails is reported in its entry, and the others go on. Running it again
        changes nothing. Raises SealedError before anything is done.
        """
        self._vault.check_open()
        stored = await self._store.providers_in_use(by.workspace)
        entries: list[MigrationEntry] = []
        for account in self.found(by.workspace, anyway=anyway):
            if only is not None and frozenset(account.variables.values()) not in only:
                continue
            first = not any(one.provider == account.provider for one in entries if one.step is Step.MIGRATE)
            entries.append(await self._migrate(account, stored, first, by, dry_run=dry_run, again=again))
            if account.provider != account.family:
                reason = f"its variables describe an account of {account.provider}"
                entries.append(MigrationEntry(provider=account.family, step=Step.NOT_CONFIGURED, reason=reason))
        told = {one.provider for one in entries if one.step is not Step.NOT_CONFIGURED}
        return Migration(
            tuple(one for one in entries if one.variables or one.reason or one.provider not in told), dry_run
        )

    async def _migrate(
        self,
        account: EnvironmentAccount,
        stored: frozenset[str],
        alone: bool,  # noqa: FBT001  # no flag of a caller's
        by: Caller,
        *,
        dry_run: bool,
        again: bool,
    ) -> MigrationEntry:
        entry = MigrationEntry(
            provider=account.provider,
            step=Step.NOT_CONFIGURED,
            variables=account.variables,
            goes_to=self._goes_to(account) if account.usable else (),
            notes=account.notes,
            reason=account.why_not,
        )
        has_one = account.provider in stored
        if not account.variables or (account.missing and not account.refused):
            return entry
        # Another host's account, such as that of `openai_compatible`, is one of several by nature.
        row = incoming(account, alone=alone and account.provider == account.family, migrated=True)
        if isinstance(row, Refused):
            return replace(entry, step=Step.SKIP if has_one else Step.ERROR, refused=True)
        report = await self._importer.take([row], dry_run=dry_run, again=again, by=by)
        return await self._entry(entry, report, account, by, has_one=has_one)

    async def _entry(
        self, entry: MigrationEntry, report: ImportReport, account: EnvironmentAccount, by: Caller, *, has_one: bool
    ) -> MigrationEntry:
        """The entry, with what the importer says of its one row."""
        if report.refused:
            reason = report.refused[0].reason
            return replace(entry, step=Step.SKIP if has_one else Step.ERROR, reason=reason, refused=True)
        if report.skipped:
            skipped = report.skipped[0]
            removable = await self._removable(account, skipped.id, by) if skipped.reason != DELETED_HERE else ()
            return replace(entry, step=Step.SKIP, reason=skipped.reason, removable=removable)
        [made] = report.created or report.repaired  # or its secret did not open, and does again
        return replace(
            entry,
            step=Step.MIGRATE,
            reason="",
            linked_models=made.linked,
            duplicates=await self._duplicates(account, made.id, by),
            notes=made.notes,
            credential=None if report.dry_run else made.id,
            removable=() if report.dry_run else await self._removable(account, made.id, by),
        )

    async def _removable(self, account: EnvironmentAccount, id: str | None, by: Caller) -> tuple[str, ...]:
        """The variables whose values the credential has, as they are."""
        stored = await self._store.credential(by.workspace, credential_id(id)) if id else None
        if stored is None or stored.provider != account.provider:
            return ()
        settings = {name: str(value) for name, value in stored.settings.items()}
        marks = {name: self._vault.fingerprint(by.workspace, secret) for name, secret in account.secrets.items()}
        if settings != account.settings or marks != stored.fingerprints:
            return ()
        return tuple(sorted({name for names in account.agreeing.values() for name in names}))

    async def _duplicates(self, account: EnvironmentAccount, id: str, by: Caller) -> tuple[Credential, ...]:
        marks = frozenset(self._vault.fingerprint(by.workspace, secret) for secret in account.secrets.values())
        found = await self._store.with_same_secret(by.workspace, marks)
        return tuple(one for one in found if one.id != id)

    def _goes_to(self, account: EnvironmentAccount) -> tuple[str, ...]:
        spec: ProviderSpec = self._registry.get(account.provider).spec
        places = (field for field in spec.places() if field.kind is FieldKind.URL)
        urls = [account.settings[field.name] for field in places if field.name in account.settings]
        return tuple(dict.fromkeys(map(_host_of, urls))) or (spec.hosts[:1] if account.secrets else ())


def _host_of(text: str) -> str:
    try:
        url = parse_url(text)
    except UrlRefusedError:  # the door will say what is wrong with it
        return "an address that cannot be used"
    return f"{url.scheme}://{url.authority}"
