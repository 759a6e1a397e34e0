"""Asking providers: does this key work, which models are there, does this model answer."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.lookup import require_credential, require_model
from keycairn.app.services.audit import Journal
from keycairn.app.services.credentials import CredentialOpener
from keycairn.app.services.models.naming import checked_model_name
from keycairn.domain.audit import IN_PROCESS, Action, Caller, Details
from keycairn.domain.change import (
    AddModel,
    Change,
    Changeset,
    ExpectCredential,
    RecordCheck,
    ReplaceModel,
)
from keycairn.domain.credential import Credential
from keycairn.domain.drift import Drift, compare
from keycairn.domain.errors import (
    ConflictError,
    CredentialNotFoundError,
    InvalidInputError,
    KeycairnError,
    ProviderError,
    UndecryptableError,
)
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.outcome import CheckRecord, ConnectionReport, Discovery, ModelReport, Outcome, outcome_of
from keycairn.domain.provider import canonical_name
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store


class NewModel(Struct, frozen=True):
    """A model to register."""

    name: str
    type: Modality


class Registered(Struct, frozen=True):
    """What registering did: the models made, and how many were there already."""

    created: tuple[Model, ...]
    existing: int


class Synced(Struct, frozen=True, kw_only=True):
    """One provider brought up to date over all its credentials. `failures` maps a credential to why it was skipped."""

    provider: str
    discovered: int = 0
    new: int = 0
    existing: int = 0
    missing: int = 0
    withheld: int = 0
    """Discovered models that were left out because their names cannot be kept; see `Discovery`."""
    failures: dict[CredentialId, str] = {}


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
    ) -> None:
        self._store = store
        self._registry = registry
        self._opener = opener
        self._http = http
        self._clock = clock
        self._ids = ids
        self._journal = journal

    async def test(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> ConnectionReport:
        """Prove the credential's key at its provider, and store the result with it.

        A failure is a report, not an exception. Raises CredentialNotFoundError or SealedError.
        """
        credential = await require_credential(self._store, by.workspace, id)
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
        check = CheckRecord(
            outcome=report.outcome,
            message=report.message,
            at=self._clock.now(),
            duration_ms=round((self._clock.monotonic() - started) * 1000),
        )
        event = self._journal.event(by, Action.CREDENTIAL_TESTED, id, outcome=report.outcome)
        await self._journal.commit((RecordCheck(by.workspace, id, check), event))
        return report

    async def discover(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> Discovery:
        """The models the credential can use now. Raises CredentialNotFoundError, UndecryptableError, ProviderError."""
        return await self._discover(await require_credential(self._store, by.workspace, id), by)

    async def drift(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> tuple[Discovery, Drift]:
        """What `discover` finds, beside how the registered models of the credential differ from it. Raises as it."""
        discovery = await self.discover(id, by=by)
        registered = await self._store.models(by.workspace, credential=id, limit=None)
        return discovery, compare(registered, discovery)

    async def discover_provider(self, provider: str, *, by: Caller = IN_PROCESS) -> Discovery:
        """The models of all credentials of a provider, each name once.

        Raises UnknownProviderError, CredentialNotFoundError when it has none, or the first failure when all fail.
        """
        credentials = await self._credentials_of(provider, by.workspace)
        if not credentials:
            raise CredentialNotFoundError
        found: list[Discovery] = []
        failures: list[KeycairnError] = []
        for credential in credentials:
            try:
                found.append(await self._discover(credential, by))
            except (ProviderError, UndecryptableError) as error:
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
        """Register `models` and link them to the credential, in one commit. Those it has already are left alone.

        Raises CredentialNotFoundError or InvalidInputError.
        """
        wanted = {(checked_model_name(model.name), model.type): None for model in models}

        async def plan() -> tuple[Changeset, Registered]:
            credential = await require_credential(self._store, by.workspace, id)
            owned = await self._store.models(by.workspace, credential=id, limit=None)
            have = {model.offer for model in owned}
            fresh = tuple(
                self._fresh(credential, name, type) for name, type in wanted if (name, name, type) not in have
            )
            result = Registered(fresh, len(wanted) - len(fresh))
            if not fresh:
                return (), result
            event = self._journal.event(by, Action.MODELS_REGISTERED, id, details={"created": len(fresh)})
            return (ExpectCredential(by.workspace, id), *map(AddModel, fresh), event), result

        return await self._journal.retried(plan)

    async def sync(self, provider: str, *, by: Caller = IN_PROCESS) -> Synced:
        """Register what is new, mark what vanished, for every credential of the provider. Deletes nothing.

        A credential that fails is reported in the result; the others go on. Raises UnknownProviderError.
        """
        result = Synced(provider=self._registry.get(provider).spec.name)
        for credential in await self._credentials_of(provider, by.workspace):
            try:
                discovery = await self._discover(credential, by)
                if discovery.failure:
                    result.failures[credential.id] = discovery.failure
                    continue
                drift = await self._apply(credential, discovery, by)
            except (ProviderError, UndecryptableError, ConflictError) as error:
                result.failures[credential.id] = str(error)
                continue
            result = replace(
                result,
                discovered=result.discovered + len(discovery.models),
                new=result.new + len(drift.new),
                existing=result.existing + drift.known,
                missing=result.missing + len(drift.vanished),
                withheld=result.withheld + discovery.withheld,
            )
        return result

    async def try_model(self, id: ModelId, *, by: Caller = IN_PROCESS) -> ModelReport:
        """One small real call of the model. A failure is a report. Raises ModelNotFoundError or SealedError."""
        model = await require_model(self._store, by.workspace, id)
        if model.credential is None:
            return ModelReport(outcome=Outcome.UNKNOWN, message="The model is linked to no credential.")
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

    async def _apply(self, credential: Credential, discovery: Discovery, by: Caller) -> Drift:
        async def plan() -> tuple[Changeset, Drift]:
            registered = await self._store.models(by.workspace, credential=credential.id, limit=None)
            drift = compare(registered, discovery)
            now = self._clock.now()
            changes: list[Change] = [ExpectCredential(by.workspace, credential.id)]
            changes += [AddModel(self._fresh(credential, m.name, m.type)) for m in drift.new if m.type is not None]
            changes += [_marked(model, now, now) for model in drift.vanished]
            changes += [_marked(model, None, now) for model in drift.returned]
            if len(changes) == 1:
                return (), drift
            details: Details = {"new": len(drift.new), "vanished": len(drift.vanished)}
            event = self._journal.event(by, Action.MODELS_SYNCED, credential.id, details=details)
            return (*changes, event), drift

        return await self._journal.retried(plan)

    async def _discover(self, credential: Credential, by: Caller) -> Discovery:
        account = await self._opener.open(credential, purpose="discovery", by=by)
        provider = self._registry.get(credential.provider)
        return await provider.discover(account, self._http)

    async def _credentials_of(self, provider: str, workspace: str) -> Sequence[Credential]:
        name = self._registry.get(canonical_name(provider)).spec.name
        return await self._store.credentials(workspace, provider=name)

    def _fresh(self, credential: Credential, name: str, type: Modality) -> Model:
        now = self._clock.now()
        return Model(
            id=self._ids.model(),
            workspace=credential.workspace,
            provider=credential.provider,
            name=name,
            type=type,
            credential=credential.id,
            created=now,
            updated=now,
        )


def _marked(model: Model, missing_since: datetime | None, now: datetime) -> ReplaceModel:
    marked = replace(model, missing_since=missing_since, updated=now, version=model.version + 1)
    return ReplaceModel(marked, expected=model.version)


def _model_failure(error: KeycairnError) -> ModelReport:
    outcome = outcome_of(error)
    return ModelReport(outcome=Outcome.PROVIDER_ERROR if outcome is Outcome.OK else outcome, message=str(error))
