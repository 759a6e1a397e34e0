"""Asking providers: does this key work, which models are there, does this model answer."""

from collections.abc import Callable, Sequence

from keycairn.app.lookup import linked, require_credential, require_model
from keycairn.app.services.audit import Journal
from keycairn.app.services.credentials import CredentialOpener
from keycairn.app.services.models.registration import NewModel, Registered, Registration
from keycairn.app.services.models.synced import AccountSync, Checked, Synced
from keycairn.domain.audit import IN_PROCESS, Action, Caller
from keycairn.domain.change import RecordCheck
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential, account_mark
from keycairn.domain.drift import Drift, compare
from keycairn.domain.env_accounts import read_accounts
from keycairn.domain.errors import (
    ConflictError,
    CredentialNotFoundError,
    EgressRefusedError,
    InvalidInputError,
    KeycairnError,
    ProviderError,
    UndecryptableError,
)
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.outcome import CheckRecord, ConnectionReport, Discovery, ModelReport, Outcome, outcome_of
from keycairn.domain.provider import Account, canonical_name
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.environment import Environment
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

ENVIRONMENT = "environment"
"""What an account is called that is in the environment only."""
_NOT_STORED = "This account is in the environment only. Migrate it, and its models can be registered and used."
_OF_ONE_ACCOUNT = (ProviderError, UndecryptableError, ConflictError, InvalidInputError, EgressRefusedError)
"""What can be wrong with one account, whatever the others do."""


class Probing:
    """Test, discover, register and sync. The secret is opened for the call and let go after it."""

    def __init__(
        self,
        store: Store,
        registry: ProviderRegistry,
        opener: CredentialOpener,
        http: Http,
        clock: Clock,
        ids: Ids,
        journal: Journal,
        environment: Environment,
    ) -> None:
        self._store = store
        self._registry = registry
        self._opener = opener
        self._http = http
        self._clock = clock
        self._ids = ids
        self._journal = journal
        self._environment = environment
        self.proven: Callable[[Credential], None] = lambda _: None
        """Is told of each credential whose test was good, as it was tested: the gateway asks it again at once."""
        self._registration = Registration(store, clock, ids, journal)

    async def test(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> ConnectionReport:
        """Prove the credential's key at its provider, and store the result with it.

        A failure is a report, not an exception. Raises CredentialNotFoundError or SealedError.
        """
        credential = await require_credential(self._store, by.workspace, id)
        return await self.keep(credential, await self.checked(credential), by=by)

    async def checked(self, credential: Credential) -> Checked:
        """What its provider says of a credential, stored or not; nothing is kept of it. Raises SealedError."""
        started = self._clock.monotonic()
        try:
            account = await self._opener.open(credential, purpose="")
            provider = self._registry.get(credential.provider)
            report = await provider.check(account, self._http)
        except (ProviderError, UndecryptableError, InvalidInputError) as error:
            report = ConnectionReport(outcome=outcome_of(error), message=str(error))
        except KeycairnError as error:
            if outcome_of(error) is Outcome.UNKNOWN:
                raise
            report = ConnectionReport(outcome=outcome_of(error), message=str(error))
        return Checked(report, round((self._clock.monotonic() - started) * 1000))

    async def keep(self, credential: Credential, checked: Checked, *, by: Caller) -> ConnectionReport:
        """Store with a credential what was said of it."""
        report = checked.report
        check = CheckRecord(
            outcome=report.outcome,
            message=report.message,
            at=self._clock.now(),
            duration_ms=checked.duration_ms,
            success=report.success,
            version=credential.version,
            account=account_mark(credential),
        )
        event = self._journal.event(by, Action.CREDENTIAL_TESTED, credential.id, outcome=report.outcome)
        await self._journal.commit((RecordCheck(by.workspace, credential.id, check), event))
        if report.success:
            self.proven(credential)
        return report

    async def note(self, credential: Credential, checked: Checked, *, by: Caller) -> None:
        """Put on record that a provider was asked about a credential which is not stored so."""
        event = self._journal.event(by, Action.CREDENTIAL_TESTED, credential.id, outcome=checked.report.outcome)
        await self._journal.commit((event,))

    async def discover(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> Discovery:
        """The models the credential can use now. Raises CredentialNotFoundError, UndecryptableError, ProviderError."""
        return await self._discover(await require_credential(self._store, by.workspace, id), by)

    async def drift(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> tuple[Discovery, Drift]:
        """What `discover` finds, beside how the registered models of the credential differ from it. Raises as it."""
        discovery = await self.discover(id, by=by)
        registered = await self._store.models(by.workspace, credential=id, limit=None)
        return discovery, compare(registered, discovery)

    async def discover_provider(self, provider: str, *, by: Caller = IN_PROCESS) -> Discovery:
        """The models of all credentials of a provider, each name once; without any, those of the environment's account.

        Raises UnknownProviderError, CredentialNotFoundError when it has none, or the first failure when all fail.
        """
        credentials = await self._credentials_of(provider, by.workspace)
        if not credentials:
            account = self._in_environment(self._registry.get(provider).spec.name, by.workspace)
            if account is None:
                raise CredentialNotFoundError
            return await self._ask_environment(account, by)
        found: list[Discovery] = []
        failures: list[KeycairnError] = []
        for credential in credentials:
            try:
                found.append(await self._discover(credential, by))
            except _OF_ONE_ACCOUNT as error:
                failures.append(error)
        if not found:
            raise failures[0]
        models = {(model.name, model.type): model for discovery in reversed(found) for model in discovery.models}
        return Discovery(
            models=tuple(models.values()),
            failure=next((str(failure) for failure in failures), None),
            withheld=sum(discovery.withheld for discovery in found),
        )

    async def register(self, id: CredentialId, models: Sequence[NewModel], *, by: Caller = IN_PROCESS) -> Registered:
        """See `Registration.register`."""
        return await self._registration.register(id, models, by=by)

    async def sync(self, provider: str, *, by: Caller = IN_PROCESS) -> Synced:
        """Register what is new, mark what vanished, for every credential of the provider. Deletes nothing.

        Each account has its own result; one that fails holds up no other. Without a credential, the environment's
        account is discovered, and nothing is registered. Raises UnknownProviderError.
        """
        name = self._registry.get(provider).spec.name
        credentials = await self._credentials_of(provider, by.workspace)
        results = [await self._synced(credential, by) for credential in credentials]
        if not credentials and (of_environment := await self._of_environment(name, by)) is not None:
            results.append(of_environment)
        return Synced(provider=name, accounts=tuple(results))

    async def _synced(self, credential: Credential, by: Caller) -> AccountSync:
        try:
            discovery = await self._discover(credential, by)
            if discovery.failure:
                outcome = Outcome.UNKNOWN if discovery.outcome is Outcome.OK else discovery.outcome
                return AccountSync(account=credential.id, outcome=outcome, message=discovery.failure)
            drift, left_out = await self._registration.apply(credential, discovery, by)
        except _OF_ONE_ACCOUNT as error:
            return AccountSync(account=credential.id, outcome=outcome_of(error), message=str(error))
        return AccountSync(
            account=credential.id,
            discovered=len(discovery.models),
            new=len(drift.new),
            existing=drift.known,
            missing=len(drift.vanished),
            withheld=discovery.withheld + left_out,
        )

    async def _of_environment(self, provider: str, by: Caller) -> AccountSync | None:
        try:
            account = self._in_environment(provider, by.workspace)
            if account is None:
                return None
            found = await self._ask_environment(account, by)
        except _OF_ONE_ACCOUNT as error:
            return AccountSync(account=ENVIRONMENT, outcome=outcome_of(error), message=str(error))
        return AccountSync(account=ENVIRONMENT, message=_NOT_STORED, discovered=len(found.models))

    async def try_model(self, id: ModelId, *, by: Caller = IN_PROCESS) -> ModelReport:
        """One small real call of the model. A failure is a report. Raises ModelNotFoundError or SealedError."""
        (model,) = await linked(self._store, [await require_model(self._store, by.workspace, id)])
        if model.credential is None:
            why = f"The model is linked to no credential, and {model.provider} has none."
            return ModelReport(outcome=Outcome.UNKNOWN, message=why)
        credential = await require_credential(self._store, by.workspace, model.credential)
        try:
            account = await self._opener.open(credential, purpose="model test", by=by)
            provider = self._registry.get(credential.provider)
            return await provider.try_model(account, model.own_name, model.type, self._http)
        except (ProviderError, UndecryptableError, InvalidInputError) as error:
            return _model_failure(error)
        except KeycairnError as error:
            if outcome_of(error) is Outcome.UNKNOWN:
                raise
            return _model_failure(error)

    async def _discover(self, credential: Credential, by: Caller) -> Discovery:
        account = await self._opener.open(credential, purpose="discovery", by=by)
        provider = self._registry.get(credential.provider)
        return await provider.discover(account, self._http)

    def _in_environment(self, provider: str, workspace: str) -> Account | None:
        """The account that the environment describes, None where it does not; it is the default workspace's.

        Raises InvalidInputError where it cannot be used.
        """
        if workspace != DEFAULT_WORKSPACE:
            return None
        spec = self._registry.get(provider).spec
        read = read_accounts([one.spec for one in self._registry.all()], self._environment.places())
        mine = [one for one in read if one.provider == spec.name and one.variables]
        found = next((one for one in mine if one.usable), None)
        if found is None:
            if mine:
                raise InvalidInputError(f"The environment's account of {spec.label} cannot be used: {mine[0].why_not}")
            return None
        settings = {name: spec.check_setting(name, value) for name, value in found.settings.items()}
        return Account(
            provider=spec.name, settings=spec.effective(settings), secrets=found.secrets, workspace=workspace
        )

    async def _ask_environment(self, account: Account, by: Caller) -> Discovery:
        self._opener.used(account, f"{ENVIRONMENT}:{account.provider}", purpose="discovery", by=by)
        return await self._registry.get(account.provider).discover(account, self._http)

    async def _credentials_of(self, provider: str, workspace: str) -> Sequence[Credential]:
        name = self._registry.get(canonical_name(provider)).spec.name
        return await self._store.credentials(workspace, provider=name)


def _model_failure(error: KeycairnError) -> ModelReport:
    outcome = outcome_of(error)
    return ModelReport(outcome=Outcome.NOT_FOUND if outcome is Outcome.OK else outcome, message=str(error))
