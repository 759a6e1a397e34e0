"""Records that have to be there."""

from keycairn.domain.credential import Credential
from keycairn.domain.errors import CredentialNotFoundError, ModelNotFoundError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Model
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
