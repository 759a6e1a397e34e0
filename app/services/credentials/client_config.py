"""Handing a model's configuration to an in-process client."""

from collections.abc import Mapping

from msgspec import Struct

from keycairn.app.lookup import linked, require_credential, require_model
from keycairn.app.services.credentials.opener import CredentialOpener
from keycairn.domain.audit import IN_PROCESS, Caller
from keycairn.domain.errors import NoDefaultError, UnlinkedModelError
from keycairn.domain.ids import ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot
from keycairn.domain.provider import Account
from keycairn.domain.secret import MASK
from keycairn.ports.provider import LoadedProvider, ProviderRegistry
from keycairn.ports.store import Store


class Provisioned(Struct, frozen=True, kw_only=True):
    """Everything a client needs to call a model. `config` holds the key in the clear; its repr does not show it."""

    provider: str
    model: str
    type: Modality
    config: Mapping[str, str | int]

    def __repr__(self) -> str:
        shown = dict.fromkeys(self.config, MASK)
        return f"Provisioned(provider={self.provider!r}, model={self.model!r}, type={self.type!r}, config={shown!r})"


class Target(Struct, frozen=True):
    """A model with its opened account and provider: what a call needs. Let it go after the call."""

    model: Model
    account: Account
    provider: LoadedProvider


class Provisioning:
    """Resolves a model to what is needed to call it, from the database, at every call: a rotated key is used next."""

    def __init__(self, store: Store, registry: ProviderRegistry, opener: CredentialOpener) -> None:
        self._store = store
        self._registry = registry
        self._opener = opener

    async def provision(self, model: ModelId | Slot, *, by: Caller = IN_PROCESS) -> Provisioned:
        """The config of a model, or of the default model of a slot, as `esperanto`'s AIFactory takes it.

        Raises ModelNotFoundError, UnlinkedModelError, NoDefaultError, UndecryptableError, SealedError or ProviderError.
        """
        target = await self.resolve(model, by=by)
        return Provisioned(
            provider=target.provider.client_name_for(target.model.type),
            model=target.model.own_name,
            type=target.model.type,
            config=target.provider.client_config(target.account, target.model.type),
        )

    async def resolve(self, model: ModelId | Slot, *, by: Caller = IN_PROCESS) -> Target:
        """The model, its opened account and its provider. Raises as `provision`."""
        id = await self._default(model, by.workspace) if isinstance(model, Slot) else model
        (found,) = await linked(self._store, [await require_model(self._store, by.workspace, id)])
        if found.credential is None:
            raise UnlinkedModelError
        credential = await require_credential(self._store, by.workspace, found.credential)
        account = await self._opener.open(credential, purpose="provisioning", by=by)
        return Target(found, account, self._registry.get(credential.provider))

    async def _default(self, slot: Slot, workspace: str) -> ModelId:
        id = (await self._store.defaults(workspace)).model_for(slot)
        if id is None:
            raise NoDefaultError(slot.called)
        return id
