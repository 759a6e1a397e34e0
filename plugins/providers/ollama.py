"""Ollama. Source: docs/api.md of github.com/ollama/ollama."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from keycairn.domain.env_variable import EnvVariable
from keycairn.domain.errors import GarbledAnswerError
from keycairn.domain.modality import Modality
from keycairn.domain.modeltypes import classify
from keycairn.domain.outcome import DiscoveredModel
from keycairn.domain.provider import Account, FieldKind, FieldSpec, ProviderSpec
from keycairn.plugins.base import Headers, ListedProvider, dimensions, unique
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import api_key, header_secret, own_url, url_field
from keycairn.plugins.listing import page
from keycairn.plugins.openai_base import OPENAI_OPERATIONS
from keycairn.plugins.payloads import ANSWER_TOKENS, GREETING
from keycairn.ports.http import Http, Request

URL = "http://localhost:11434"
_EMBEDDING_FAMILIES = ("bert", "embed")
"""What the families of models that only embed have in their names: bert, nomic-bert, gemma-embedding."""


class _Chat(Struct):
    message: dict[str, Any]


class _Embeddings(Struct):
    embeddings: list[list[float]]


class Ollama(ListedProvider):
    """A server of one's own. It knows no keys, but what stands before it may ask for one, as ollama.com does."""

    def base_url(self, account: Account, type: Modality | None = None) -> str:  # noqa: ARG002  # the port's
        """The root of the server; a pasted `/api` or `/v1` at its end is taken off."""
        return own_url(account, "base_url", strip=("/tags", "/models", "/api", "/v1")) or URL

    def openai_base_url(self, account: Account, type: Modality | None = None) -> str:
        """Its OpenAI-compatible API. Source: docs.ollama.com/openai."""
        return f"{self.base_url(account, type)}/v1"

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # the port's
        """The key, where there is one."""
        key = header_secret(account, prefix="Bearer ")
        return {} if key is None else {"Authorization": key}

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """The models that were pulled."""
        request = Request(url=f"{self.base_url(account)}/api/tags", headers=self.headers(account))
        listed = page(await http.send(request), "models")
        return unique(listed.models(lambda name, item: self.found(name, _type_of(name, item)), ("name", "model")))

    async def try_language(self, account: Account, name: str, http: Http) -> str:
        """A chat, with the context size the account asks for, as that decides whether the model fits into memory."""
        options: dict[str, int | str] = {"num_predict": ANSWER_TOKENS}
        if "num_ctx" in account.settings:
            options["num_ctx"] = account.settings["num_ctx"]
        messages = [{"role": "user", "content": GREETING}]
        body = {"model": name, "messages": messages, "stream": False, "options": options}
        response = await self.post(http, f"{self.base_url(account)}/api/chat", body, self.headers(account))
        decode(response, _Chat, of_model=True)
        return "It answered a greeting."

    async def try_embedding(self, account: Account, name: str, http: Http) -> str:
        """One embedding; its dimensions."""
        url = f"{self.base_url(account)}/api/embed"
        response = await self.post(http, url, {"model": name, "input": GREETING}, self.headers(account))
        vectors = decode(response, _Embeddings, of_model=True).embeddings
        if not vectors:
            raise GarbledAnswerError(status=response.status)
        return dimensions(vectors[0], response.status)

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        """The base URL; for language models the context size as well."""
        config = dict(super().client_config(account, type))
        if "num_ctx" in account.settings and type in {None, Modality.LANGUAGE}:
            config["num_ctx"] = account.settings["num_ctx"]
        return config


def _type_of(name: str, item: Mapping[str, Any]) -> Modality | None:
    details = item.get("details")
    family = str(details.get("family", "")).lower() if isinstance(details, dict) else ""
    return Modality.EMBEDDING if any(part in family for part in _EMBEDDING_FAMILIES) else classify(name)


PROVIDER = Ollama(
    ProviderSpec(
        name="ollama",
        label="Ollama",
        modalities=(Modality.LANGUAGE, Modality.EMBEDDING),
        native_operations=(
            *(f"POST api/{call}" for call in ("chat", "generate", "embed", "embeddings", "show")),
            "GET api/tags",
            *(operation.replace(" ", " v1/", 1) for operation in OPENAI_OPERATIONS),
        ),
        fields=(
            url_field(
                label="Server URL",
                env=(
                    "OLLAMA_API_BASE",
                    "OLLAMA_BASE_URL",
                    "OLLAMA_PROXY_URL",
                    EnvVariable(name="OLLAMA_HOST", bare="http://{}:11434", listens=True),
                ),
                default=URL,
                help="Where the Ollama server listens.",
            ),
            api_key("OLLAMA_API_KEY", required=False),
            FieldSpec(
                name="num_ctx",
                label="Context size",
                kind=FieldKind.INTEGER,
                help="Tokens of context a model is loaded with; unset leaves it to the client.",
            ),
        ),
        env_requires=(("base_url",),),
        env_besides=("OLLAMA_ORIGINS",),
        docs_url="https://ollama.com/download",
    )
)
