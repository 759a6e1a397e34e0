"""The records that are measured with."""

from datetime import UTC, datetime

from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.sealed import SealedSecret

NOW = datetime.now(UTC)
SEALED = SealedSecret("kc1:" + "A" * 230)


def credential(number: int) -> Credential:
    """One of many credentials, of the first data key there is."""
    return Credential(
        id=CredentialId(f"credential:01J{number:023}"),
        provider=("openai", "anthropic", "groq")[number % 3],
        name=f"Account {number}",
        modalities=(Modality.LANGUAGE, Modality.EMBEDDING),
        settings={"base_url": "https://api.example.com/v1"},
        sealed={"api_key": SEALED},
        created=NOW,
        updated=NOW,
    )


def model(number: int, credentials: int) -> Model:
    """One of many models, of one of so many credentials."""
    owner = credential(number % credentials)
    return Model(
        id=ModelId(f"model:01J{number:023}"),
        provider=owner.provider,
        name=f"model-{number}",
        type=Modality.LANGUAGE,
        credential=owner.id,
        created=NOW,
        updated=NOW,
    )
