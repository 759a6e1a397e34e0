"""Voyage AI. Source: docs.voyageai.com/reference/embeddings-api. It has no list of models."""

from keycairn.domain.env_variable import EnvSwitch
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Outcome, Provenance
from keycairn.domain.provider import Account
from keycairn.plugins.fields import url_names
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec
from keycairn.ports.http import Http

KNOWN = (
    "voyage-3",
    "voyage-3-lite",
    "voyage-code-3",
    "voyage-finance-2",
    "voyage-law-2",
    "voyage-multilingual-2",
)
CHEAPEST = "voyage-3-lite"


class Voyage(OpenAICompatible):
    """Only embeds, in OpenAI's format."""

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:  # noqa: ARG002  # the base's
        """The models known here."""
        return tuple(self.found(name, Modality.EMBEDDING, provenance=Provenance.STATIC) for name in KNOWN)

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """One embedding by the cheapest model."""
        await self.try_embedding(account, CHEAPEST, http)
        return ConnectionReport(outcome=Outcome.OK, message="The key works.")


PROVIDER = Voyage(
    keyed_spec(
        "voyage",
        "Voyage AI",
        Modality.EMBEDDING,
        docs_url="https://dashboard.voyageai.com/organization/api-keys",
        url_env=url_names("VOYAGE"),
        hosts=("api.voyageai.com", "ai.mongodb.com"),
        env_switches=(
            EnvSwitch(name="VOYAGE_API_KEY_PATH", why="programs take the key in that file before VOYAGE_API_KEY"),
        ),
        preferred_models=("voyage-3",),
        native_operations=tuple(
            f"POST {call}" for call in ("embeddings", "contextualizedembeddings", "multimodalembeddings", "rerank")
        ),
        key_addresses={"al-": "https://ai.mongodb.com/v1"},
    ),
    url="https://api.voyageai.com/v1",
)
