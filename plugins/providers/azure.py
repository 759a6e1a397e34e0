"""Azure OpenAI. Source: learn.microsoft.com/azure/ai-services/openai/reference, as of its version 2024-10-21."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from keycairn.domain.env_variable import EnvVariable
from keycairn.domain.modality import Modality
from keycairn.domain.modeltypes import classify
from keycairn.domain.provider import Account, FieldSpec, ProviderSpec
from keycairn.plugins.base import Headers, authorized
from keycairn.plugins.fields import SUFFIXES, api_key, own_url, required_header_secret, required_url, url_field
from keycairn.plugins.managing.azure import MANAGEMENT, AzureKeys
from keycairn.plugins.openai_base import ALL_MODALITIES, MAX_COMPLETION_TOKENS, OPENAI_OPERATIONS, OpenAICompatible
from keycairn.ports.http import Http, Request

API_VERSION = "2024-10-21"
_DEPLOYED = frozenset(
    {
        "/chat/completions",
        "/completions",
        "/embeddings",
        "/audio/transcriptions",
        "/audio/translations",
        "/audio/speech",
        "/images/generations",
        "/images/edits",
    }
)
RESPONSES_SINCE = "2025-03-01-preview"
"""The first version of the API with responses. Source: learn.microsoft.com/azure/ai-foundry/openai/how-to/responses."""
REALTIME = "/realtime"
"""Of the API without versions. Source: learn.microsoft.com/azure/ai-foundry/openai/how-to/realtime-audio-websockets."""


class Azure(AzureKeys, OpenAICompatible):
    """Azure OpenAI: the key in a header of its own, the deployment in the path, the API's version in the query."""

    token_limit = MAX_COMPLETION_TOKENS

    def base_url(self, account: Account, type: Modality | None = None) -> str:
        """`<endpoint>/openai` of the endpoint for that type, else of the general one, else of `base_url`."""
        names = (*((f"endpoint_{SUFFIXES[type]}",) if type else ()), "endpoint", "base_url")
        if type is None:
            names += tuple(f"endpoint_{suffix}" for suffix in SUFFIXES.values())
        url = own_url(account, *names, strip=("/models", "/v1", "/openai"))
        return required_url(account, url, "endpoint", "base_url") + "/openai"

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # the port's
        """The key."""
        return {"api-key": required_header_secret(account)}

    def url(self, account: Account, path: str, type: Modality | None = None, *, model: str = "") -> str:
        """With the deployment in the path, and the version of the API."""
        deployment = f"/deployments/{quote(model, safe='')}" if model else ""
        query = urlencode({"api-version": _version(account)})
        return f"{self.base_url(account, type)}{deployment}{path}?{query}"

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:  # noqa: ARG002  # the port's
        """The key, the version of the API when absent, and the model's deployment in an OpenAI path."""
        ready = authorized(request, self.headers(account))
        parts = urlsplit(request.url)
        head, openai, path = parts.path.rpartition("/openai")
        if openai and path in _DEPLOYED and request.model:
            parts = parts._replace(path=f"{head}/openai/deployments/{quote(request.model, safe='')}{path}")
        query = parse_qsl(parts.query, keep_blank_values=True)
        if openai and path == REALTIME:
            parts = parts._replace(path=f"{head}/openai/v1{path}")
        elif not any(name == "api-version" for name, _ in query):
            version = _version(account)
            if path.startswith("/responses"):
                version = max(version, RESPONSES_SINCE)
            parts = parts._replace(query=urlencode([*query, ("api-version", version)]))
        return Request(method=ready.method, url=parts.geturl(), headers=ready.headers, body=ready.body)

    def type_of(self, item: Mapping[str, Any], name: str) -> Modality | None:
        """By the capabilities Azure lists, else by the name; what cannot chat is no language model."""
        capabilities = item.get("capabilities")
        by_name = classify(name)
        if not isinstance(capabilities, dict):
            return by_name
        if capabilities.get("embeddings") is True:
            return Modality.EMBEDDING
        if capabilities.get("chat_completion") is True:
            return Modality.LANGUAGE
        return None if by_name is Modality.LANGUAGE else by_name

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        """What esperanto's Azure classes take. The one for speech to text takes it a level deeper than the others."""
        config = {
            "api_key": required_header_secret(account).reveal(),
            "azure_endpoint": self.base_url(account, type).removesuffix("/openai"),
            "api_version": _version(account),
        }
        return {"config": config} if type is Modality.SPEECH_TO_TEXT else config


def _version(account: Account) -> str:
    return account.text("api_version") or API_VERSION


def _endpoint(type: Modality, suffix: str) -> FieldSpec:
    words = type.replace("_", " ")
    return url_field(
        f"endpoint_{suffix}",
        f"Endpoint, {words}",
        env=(f"AZURE_OPENAI_ENDPOINT_{suffix.upper()}",),
        help=f"Only where {words} models have a resource of their own.",
    )


_PER_MODE = tuple(_endpoint(type, suffix) for type, suffix in SUFFIXES.items())

PROVIDER = Azure(
    ProviderSpec(
        name="azure",
        label="Azure OpenAI",
        modalities=ALL_MODALITIES,
        fields=(
            api_key("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
            url_field(
                "endpoint",
                "Endpoint",
                env=(
                    "AZURE_OPENAI_ENDPOINT",
                    "AZURE_API_BASE",
                    "AZURE_ENDPOINT",
                    EnvVariable(name="AZURE_RESOURCE_NAME", bare="https://{}.openai.azure.com"),
                ),
                help="Such as https://NAME.openai.azure.com.",
            ),
            url_field(help="Stands for the endpoint where that is not set."),
            FieldSpec(
                name="api_version",
                label="API version",
                env=("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION", "AZURE_API_VERSION"),
                default=API_VERSION,
            ),
            *_PER_MODE,
        ),
        any_of=(("endpoint", "base_url", *(field.name for field in _PER_MODE)),),
        env_requires=(("endpoint",), ("api_version",)),
        docs_url="https://portal.azure.com/",
        key_management=MANAGEMENT,
        hosts=(
            "*.openai.azure.com",
            "*.cognitiveservices.azure.com",
            "*.services.ai.azure.com",
            "*.api.cognitive.microsoft.com",
            "*.azure-api.net",
            "*.openai.azure.us",
            "*.openai.azure.cn",
        ),
        keeps_to_hosts=True,
        env_besides=(
            "AZURE_AUTHORITY_HOST",
            *(f"AZURE_{service}*" for service in ("STORAGE", "SEARCH", "KEYVAULT", "KEY_VAULT", "COSMOS", "SPEECH")),
        ),
        native_operations=(
            *(
                operation.replace("POST ", "POST deployments/*/")
                for operation in OPENAI_OPERATIONS
                if operation.startswith(
                    ("POST chat", "POST completions", "POST embeddings", "POST audio", "POST images")
                )
            ),
            "GET models",
            "GET models/*",
        ),
    )
)
