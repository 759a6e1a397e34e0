"""Google AI (Gemini). Source: ai.google.dev/api (models, generate-content, embeddings) and its error model.

The key goes into a header, never into the query, where proxies and logs would keep it.

esperanto 2.28 takes no base URL for this provider from its config: it reads `GEMINI_API_BASE_URL` from its process. An
account with a base URL is therefore to be used with the variable set, or through the gateway.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.dialect import Dialect
from keycairn.domain.env_variable import TRUE, EnvSwitch, EnvVariable
from keycairn.domain.errors import GarbledAnswerError
from keycairn.domain.modality import Modality
from keycairn.domain.modeltypes import classify
from keycairn.domain.outcome import DiscoveredModel
from keycairn.domain.provider import Account
from keycairn.plugins.base import MOST_PAGES, Headers, ListedProvider, authorized, dimensions, unique
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import own_url, required_header_secret
from keycairn.plugins.listing import context_of, page
from keycairn.plugins.managing.gemini import MANAGEMENT, GeminiKeys
from keycairn.plugins.openai_base import keyed_spec
from keycairn.plugins.payloads import ANSWER_TOKENS, GREETING, silent_wav
from keycairn.ports.http import Http, Request

URL = "https://generativelanguage.googleapis.com/v1beta"
PAGE = 1000
VOICE = "Kore"
_LIVE = re.compile(r"/v1(?:beta)?(/ws/google\.ai\.[^/]+)$")
_METHODS = "supportedGenerationMethods"
_VERBS = ("generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents", "predict")


class _Generated(Struct):
    candidates: list[dict[str, Any]]


class _Vector(Struct):
    values: list[float]


class _Embedded(Struct):
    embedding: _Vector


class Google(GeminiKeys, ListedProvider):
    """Google AI."""

    def base_url(self, account: Account, type: Modality | None = None) -> str:  # noqa: ARG002  # the port's
        """The base URL with the version of the API, which the account may leave out."""
        url = own_url(account, "base_url", strip=("/models",)) or URL
        return url if url.endswith(("/v1beta", "/v1")) else f"{url}/v1beta"

    def openai_base_url(self, account: Account, type: Modality | None = None) -> str:
        """Google's OpenAI-compatible API. Source: ai.google.dev/gemini-api/docs/openai."""
        return f"{self.base_url(account, type)}/openai"

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        """The key, as a bearer token where the path is of the OpenAI-compatible API.

        The live API stands beside the version that the base URL ends with. Source: ai.google.dev/api/live.
        """
        parts = urlsplit(request.url)
        if (live := _LIVE.search(parts.path)) is not None:
            request = replace(request, url=parts._replace(path=parts.path[: live.start()] + live[1]).geturl())
        if "/openai/" not in parts.path:
            return await super().authorize(account, request, http)
        return authorized(request, {"Authorization": required_header_secret(account, prefix="Bearer ")})

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # the port's
        """The key."""
        return {"x-goog-api-key": required_header_secret(account)}

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """All pages, at most twenty."""
        headers = self.headers(account)
        query: Mapping[str, str | int] = {"pageSize": PAGE}
        models: list[DiscoveredModel] = []
        for _ in range(MOST_PAGES):
            url = f"{self.base_url(account)}/models?{urlencode(query)}"
            listed = page(await http.send(Request(url=url, headers=headers)), "models", optional=True)
            models += listed.models(self._model, ("name",))
            token = listed.more.get("nextPageToken")
            if not token or not isinstance(token, str):
                break
            query = {"pageSize": PAGE, "pageToken": token}
        return unique(models)

    def _model(self, path: str, item: Mapping[str, Any]) -> DiscoveredModel:
        name, methods, label = path.removeprefix("models/"), item.get(_METHODS), item.get("displayName")
        type = type_of(name, [one for one in methods if isinstance(one, str)] if isinstance(methods, list) else ())
        return self.found(
            name, type, description=label if isinstance(label, str) else "", context_length=context_of(item)
        )

    async def try_language(self, account: Account, name: str, http: Http) -> str:
        """A greeting."""
        await self._generate(account, name, [{"text": GREETING}], {"maxOutputTokens": ANSWER_TOKENS}, http)
        return "It answered a greeting."

    async def try_embedding(self, account: Account, name: str, http: Http) -> str:
        """One embedding; its dimensions."""
        body = {"model": f"models/{name}", "content": {"parts": [{"text": GREETING}]}}
        url = self._url(account, name, "embedContent")
        response = await self.post(http, url, body, self.headers(account))
        vector = decode(response, _Embedded, of_model=True).embedding.values
        return dimensions(vector, response.status)

    async def try_listening(self, account: Account, name: str, http: Http) -> str:
        """Silence, as audio inside a prompt."""
        sound = {"mimeType": "audio/wav", "data": b64encode(silent_wav()).decode()}
        parts: list[dict[str, Any]] = [{"text": "Transcribe this audio."}, {"inlineData": sound}]
        await self._generate(account, name, parts, {"maxOutputTokens": ANSWER_TOKENS}, http)
        return "It listened to silence."

    async def try_speaking(self, account: Account, name: str, http: Http) -> str:
        """A short speech."""
        voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": VOICE}}}
        config = {"responseModalities": ["AUDIO"], "speechConfig": voice}
        await self._generate(account, name, [{"text": f"Say: {GREETING}"}], config, http)
        return "It spoke a greeting."

    async def _generate(
        self,
        account: Account,
        name: str,
        parts: Sequence[Mapping[str, Any]],
        config: Mapping[str, Any],
        http: Http,
    ) -> None:
        body = {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}
        response = await self.post(http, self._url(account, name, "generateContent"), body, self.headers(account))
        if not decode(response, _Generated, of_model=True).candidates:
            raise GarbledAnswerError(status=response.status)

    def _url(self, account: Account, name: str, method: str) -> str:
        return f"{self.base_url(account)}/models/{quote(name, safe='')}:{method}"


def type_of(name: str, methods: Sequence[str]) -> Modality | None:
    """What a model does by the methods it supports; the name tells speech and images from text.

    Without any method the name alone decides. A model of other methods, such as `predict`, is none of the four.
    """
    if not methods:
        return classify(name)
    if "embedContent" in methods:
        return Modality.EMBEDDING
    return classify(name) if "generateContent" in methods else None


PROVIDER = Google(
    keyed_spec(
        "google",
        "Google AI",
        docs_url="https://aistudio.google.com/app/apikey",
        dialect=Dialect.GOOGLE,
        key_env=(
            "GOOGLE_API_KEY",
            "GEMINI_API_KEY",
            "GOOGLE_GENERATIVE_AI_API_KEY",
            "GOOGLE_KEY",
            "LLM_GEMINI_KEY",
        ),
        url_env=(
            *("GEMINI_API_BASE_URL", "GEMINI_API_BASE", "GEMINI_PROXY_URL"),
            *tuple(
                EnvVariable(name=name, adds="/v1beta")
                for name in ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_API_BASE", "GOOGLE_PROXY_URL", "GOOGLE_REVERSE_PROXY")
            ),
        ),
        key_management=MANAGEMENT,
        hosts=("generativelanguage.googleapis.com", "apikeys.googleapis.com"),
        key_prefixes=("AIza",),
        env_families=("GOOGLE", "GEMINI"),
        env_besides=(
            "GOOGLE_REDIRECT_UR*",
            "GOOGLE_CALLBACK_UR*",
            "GOOGLE_OAUTH*",
            "GOOGLE_ANALYTICS*",
            "GOOGLE_MAPS*",
        ),
        env_switches=(
            EnvSwitch(name="GOOGLE_GENAI_USE_VERTEXAI", values=TRUE, why="the key is one of Vertex AI then"),
            EnvSwitch(
                name="GOOGLE_CSE_ID",
                of=("GOOGLE_API_KEY",),
                why="GOOGLE_API_KEY is a key of Google's search beside it. Set GEMINI_API_KEY",
            ),
        ),
        native_operations=(
            *(f"POST models/*:{verb}" for verb in _VERBS),
            *(f"POST openai/{call}" for call in ("chat/completions", "embeddings", "images/generations")),
            "WEBSOCKET ws/google.ai.generativelanguage.*.GenerativeService.BidiGenerateContent",
            *(f"GET {list}" for list in ("models", "models/*", "openai/models", "openai/models/**")),
        ),
        preferred_models=("gemini-2.5-flash", "gemini-2.5-pro", "gemini-embedding", "text-embedding"),
    )
)
