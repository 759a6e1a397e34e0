"""Cohere. Source: docs.cohere.com/reference (list-models, chat, embed)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from keycairn.domain.env_variable import EnvVariable
from keycairn.domain.errors import GarbledAnswerError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import DiscoveredModel
from keycairn.domain.provider import Account
from keycairn.plugins.base import MOST_PAGES, Headers, ListedProvider, dimensions, unique
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import own_url, required_header_secret
from keycairn.plugins.listing import context_of, page
from keycairn.plugins.openai_base import keyed_spec
from keycairn.plugins.payloads import ANSWER_TOKENS, GREETING
from keycairn.ports.http import Http, Request

URL = "https://api.cohere.com"
PAGE = 1000
_TYPES = {"chat": Modality.LANGUAGE, "embed": Modality.EMBEDDING}

NATIVE_OPERATIONS = (
    *(f"POST {version}/{call}" for version in ("v1", "v2") for call in ("chat", "embed", "rerank", "classify")),
    *(f"POST v1/{call}" for call in ("tokenize", "detokenize")),
    *(f"POST compatibility/v1/{call}" for call in ("chat/completions", "embeddings")),
    "GET v1/models",
    "GET v1/models/*",
)
"""Calls of models; not the data sets, connectors and keys of the account."""


class _Chat(Struct):
    message: dict[str, Any]


class _Vectors(Struct, rename={"floats": "float"}):
    floats: list[list[float]]


class _Embedded(Struct):
    embeddings: _Vectors


class Cohere(ListedProvider):
    """Cohere's own API, the second version of it for calls of models."""

    def base_url(self, account: Account, type: Modality | None = None) -> str:  # noqa: ARG002  # the port's
        """The root, above the versions of the API."""
        return own_url(account, "base_url", strip=("/models", "/v1", "/v2")) or URL

    def openai_base_url(self, account: Account, type: Modality | None = None) -> str:
        """Its OpenAI-compatible API. Source: docs.cohere.com/docs/compatibility-api."""
        return f"{self.base_url(account, type)}/compatibility/v1"

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # the port's
        """A bearer token."""
        return {"Authorization": required_header_secret(account, prefix="Bearer ")}

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """Those that chat or embed; others, such as rerankers, are no use here."""
        headers = self.headers(account)
        query: Mapping[str, str | int] = {"page_size": PAGE}
        models: list[DiscoveredModel] = []
        for _ in range(MOST_PAGES):
            url = f"{self.base_url(account)}/v1/models?{urlencode(query)}"
            listed = page(await http.send(Request(url=url, headers=headers)), "models", "data")
            models += listed.models(self._model, ("name", "id"))
            token = listed.more.get("next_page_token")
            if not token or not isinstance(token, str):
                break
            query = {"page_size": PAGE, "page_token": token}
        return unique(models)

    def _model(self, name: str, item: Mapping[str, Any]) -> DiscoveredModel | None:
        endpoints = item.get("endpoints")
        served = endpoints if isinstance(endpoints, list) else []
        type = next((type for endpoint, type in _TYPES.items() if endpoint in served), None)
        return None if type is None else self.found(name, type, context_length=context_of(item))

    async def try_language(self, account: Account, name: str, http: Http) -> str:
        """A chat."""
        body = {"model": name, "messages": [{"role": "user", "content": GREETING}], "max_tokens": ANSWER_TOKENS}
        response = await self.post(http, f"{self.base_url(account)}/v2/chat", body, self.headers(account))
        decode(response, _Chat, of_model=True)
        return "It answered a greeting."

    async def try_embedding(self, account: Account, name: str, http: Http) -> str:
        """One embedding; its dimensions."""
        body = {"model": name, "texts": [GREETING], "input_type": "search_query", "embedding_types": ["float"]}
        response = await self.post(http, f"{self.base_url(account)}/v2/embed", body, self.headers(account))
        vectors = decode(response, _Embedded, of_model=True).embeddings.floats
        if not vectors:
            raise GarbledAnswerError(status=response.status)
        return dimensions(vectors[0], response.status)


PROVIDER = Cohere(
    keyed_spec(
        "cohere",
        "Cohere",
        Modality.LANGUAGE,
        Modality.EMBEDDING,
        docs_url="https://dashboard.cohere.com/api-keys",
        key_env=("COHERE_API_KEY", "CO_API_KEY"),
        url_env=(
            *("CO_API_URL", "COHERE_BASE_URL", "COHERE_API_URL", "COHERE_PROXY_URL"),
            *(EnvVariable(name="COHERE_API_BASE", ends="/chat"),),
        ),
        hosts=("api.cohere.com", "api.cohere.ai"),
        env_families=("COHERE", "CO"),
        native_operations=NATIVE_OPERATIONS,
        preferred_models=("command-a", "command-r", "embed-v4", "embed-multilingual"),
    )
)
