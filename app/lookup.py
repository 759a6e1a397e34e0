"""Records that have to be there, models with the credential that serves them, and a provider's spec."""

from collections.abc import Sequence

from msgspec.structs import replace

from keycairn.domain.credential import Credential
from keycairn.domain.errors import CredentialNotFoundError, ModelNotFoundError, UnknownProviderError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Model
from keycairn.domain.provider import ProviderSpec
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store


async def require_credential(store: Store, workspace: str, id: CredentialId) -> Credential:
    """The credential of the workspace. Raises CredentialNotFoundError."""
    credential = await store.credential(workspace, id)
    if credential is None:
        raise CredentialNotFoundError
    return credential


async def require_model(store: Store, workspace: str, id: ModelId) -> Model:
    """The model of the workspace. Raises ModelNotFoundError."""
    model = await store.model(workspace, id)
    if model is None:
        raise ModelNotFoundError
    return model


async def linked(store: Store, models: Sequence[Model]) -> Sequence[Model]:
    """The models as they are served: one that is linked to no credential by the oldest of its provider.

    Where there is none it stays as it is. What comes back is not for storing.
    """
    loose = {(model.workspace, model.provider) for model in models if model.credential is None}
    if not loose:
        return models
    oldest: dict[tuple[str, str], CredentialId] = {}
    for workspace, provider in loose:
        for credential in await store.credentials(workspace, provider=provider, limit=1):
            oldest[workspace, provider] = credential.id
    return [
        model
        if model.credential is not None or (first := oldest.get((model.workspace, model.provider))) is None
        else replace(model, credential=first)
        for model in models
    ]


def spec_of(registry: ProviderRegistry, provider: str) -> ProviderSpec | None:
    """The provider's spec, None where its plugin is not loaded."""
    try:
        return registry.get(provider).spec
    except UnknownProviderError:
        return None
