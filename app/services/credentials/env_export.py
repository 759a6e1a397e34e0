"""Handing a credential out as environment variables, for programs that take it in no other way. Always audited."""

from collections.abc import Mapping

from keycairn.app.lookup import linked, require_credential, require_model
from keycairn.app.services.audit import Journal
from keycairn.app.services.credentials.opener import CredentialOpener
from keycairn.domain.audit import IN_PROCESS, Action, Caller, Details
from keycairn.domain.credential import Credential
from keycairn.domain.errors import UnlinkedModelError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.provider import Account, ProviderSpec
from keycairn.domain.secret import Secret
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store


class EnvExport:
    """Opens credentials for use outside. The audit has the event before anybody has the key."""

    def __init__(self, store: Store, registry: ProviderRegistry, opener: CredentialOpener, journal: Journal) -> None:
        self._store = store
        self._registry = registry
        self._opener = opener
        self._journal = journal

    async def to_program(self, id: CredentialId, program: str, *, by: Caller = IN_PROCESS) -> dict[str, Secret]:
        """The variables of a credential, for a program to be started; its name goes into the audit, no argument.

        Raises CredentialNotFoundError, UndecryptableError or SealedError.
        """
        credential, account = await self._open(id, by)
        details: Details = {"secrets": sorted(account.secrets), "program": program}
        await self._journal.commit((self._journal.event(by, Action.SECRET_USED, credential.id, details=details),))
        return variables(self._registry.get(credential.provider).spec, account)

    async def to_reader(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> dict[str, Secret]:
        """The variables of a credential, to be shown. Raises as `to_program`."""
        credential, account = await self._open(id, by)
        details: Details = {"secrets": sorted(account.secrets)}
        await self._journal.commit((self._journal.event(by, Action.SECRET_REVEALED, credential.id, details=details),))
        return variables(self._registry.get(credential.provider).spec, account)

    async def credential_of(self, id: ModelId, *, by: Caller = IN_PROCESS) -> CredentialId:
        """The credential that serves a model. Raises ModelNotFoundError or UnlinkedModelError."""
        (model,) = await linked(self._store, [await require_model(self._store, by.workspace, id)])
        if model.credential is None:
            raise UnlinkedModelError
        return model.credential

    def provider_variables(self) -> frozenset[str]:
        """Every variable any provider reads."""
        return frozenset(name for one in self._registry.all() for name in one.spec.env_names)

    async def _open(self, id: CredentialId, by: Caller) -> tuple[Credential, Account]:
        credential = await require_credential(self._store, by.workspace, id)
        return credential, await self._opener.open(credential, purpose="")


def variables(spec: ProviderSpec, account: Account) -> dict[str, Secret]:
    """Every variable the provider's fields are read from, set to what the account holds, as its readers write it."""
    values: Mapping[str, Secret] = {
        **{name: Secret(str(value)) for name, value in account.settings.items()},
        **account.secrets,
    }
    given = {name: values[field.name] for field in spec.fields if field.name in values for name in field.env}
    for field in spec.settings:
        for variable in field.variables if field.name in values else ():
            written = variable.written(values[field.name].reveal())
            if written is not None:
                given[variable.name] = Secret(written)
    return given
