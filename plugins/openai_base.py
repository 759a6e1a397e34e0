"""Providers that speak OpenAI's API: one of them is a few lines of data.

Wire format: the OpenAPI description in github.com/openai/openai-openapi.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from msgspec import Struct

from keycairn.domain.dialect import Dialect
from keycairn.domain.env_variable import EnvSwitch, EnvVariable
from keycairn.domain.errors import GarbledAnswerError
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.modality import Modality
from keycairn.domain.modeltypes import classify
from keycairn.domain.outcome import DiscoveredModel
from keycairn.domain.provider import Account, FieldSpec, ProviderSpec
from keycairn.plugins.base import MODEL_DEADLINE, Headers, ListedProvider, dimensions, unique
from keycairn.plugins.failures import audio, decode
from keycairn.plugins.fields import api_key, header_secret, own_url, required_header_secret, required_url, url_field
from keycairn.plugins.listing import context_of, page
from keycairn.plugins.payloads import ANSWER_TOKENS, GREETING, multipart, silent_wav
from keycairn.ports.http import Http, Request, Response

ALL_MODALITIES = tuple(Modality)
OPENAI_OPERATIONS = (
    "POST chat/completions",
    "POST completions",
    "POST responses",
    "POST responses/input_tokens",
    "POST embeddings",
    "POST audio/transcriptions",
    "POST audio/translations",
    "POST audio/speech",
    "POST images/generations",
    "POST images/edits",
    "POST images/variations",
    "POST moderations",
    "POST rerank",
    "GET models",
    "GET models/**",
    "WEBSOCKET realtime",
    "WEBSOCKET realtime/translations",
)
"""Calls of models: nothing that manages the account, and nothing that reads or changes what others stored in it."""
MAX_TOKENS = "max_tokens"
MAX_COMPLETION_TOKENS = "max_completion_tokens"
"""What OpenAI's newer models demand in its place; they answer 400 to `max_tokens`."""


class MoreOfSpec(TypedDict, total=False):
    """Fields of `ProviderSpec` that not every provider has."""

    any_of: tuple[tuple[str, ...], ...]
    dialect: Dialect
    elsewhere: str
    hosts: tuple[str, ...]
    key_prefixes: tuple[str, ...]
    key_addresses: Mapping[str, str]
    env_families: tuple[str, ...]
    env_besides: tuple[str, ...]
    env_switches: tuple[EnvSwitch, ...]
    key_management: KeyManagement


def keyed_spec(
    name: str,
    label: str,
    *modalities: Modality,
    docs_url: str,
    key_env: Sequence[str] = (),
    url_env: Sequence[str | EnvVariable] = (),
    more_fields: Sequence[FieldSpec] = (),
    preferred_models: Sequence[str] = (),
    native_operations: Sequence[str] = OPENAI_OPERATIONS,
    request_headers: Sequence[str] = (),
    **more: Unpack[MoreOfSpec],
) -> ProviderSpec:
    """A provider with a required key, from `<NAME>_API_KEY` unless told otherwise, and an optional base URL.

    `more` goes into the spec as it is.
    """
    return ProviderSpec(
        name=name,
        label=label,
        modalities=modalities or ALL_MODALITIES,
        fields=(
            api_key(*(key_env or (f"{name.upper()}_API_KEY",))),
            url_field(env=url_env),
            *more_fields,
        ),
        preferred_models=tuple(preferred_models),
        native_operations=tuple(native_operations),
        request_headers=tuple(request_headers),
        docs_url=docs_url,
        **more,
    )


class _Chat(Struct):
    choices: list[dict[str, Any]]


class _Embedding(Struct):
    embedding: list[float] | str


class _Embeddings(Struct):
    data: list[_Embedding]


class Transcription(Struct):
    """What was heard."""

    text: str


class OpenAICompatible(ListedProvider):
    """A provider that speaks OpenAI's API.

    `url` is its base URL, "" where the account has to give one; `list_path` is appended to it. `key_required` says
    whether a call without a key is worth sending. `client_name` is the provider's name in esperanto; one that esperanto
    does not know is reached as "openai-compatible", which takes any base URL.
    """

    token_limit = MAX_TOKENS
    voice = "alloy"

    def __init__(
        self,
        spec: ProviderSpec,
        *,
        url: str = "",
        list_path: str = "/models",
        key_required: bool = True,
        client_name: str | None = None,
    ) -> None:
        super().__init__(spec, client_name=client_name)
        self._url = url
        self._list_path = list_path
        self._key_required = key_required

    def base_url(self, account: Account, type: Modality | None = None) -> str:  # noqa: ARG002  # for subclasses
        """The account's base URL, else the provider's. A pasted `/models` at its end is taken off."""
        url = own_url(account, "base_url", strip=("/models",)) or self._url
        return required_url(account, url, "base_url")

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # for subclasses
        """A bearer token."""
        get = required_header_secret if self._key_required else header_secret
        key = get(account, prefix="Bearer ")
        return {} if key is None else {"Authorization": key}

    def url(self, account: Account, path: str, type: Modality | None = None, *, model: str = "") -> str:  # noqa: ARG002
        """Where a call goes. `model` matters to those who have it in the path."""
        return self.base_url(account, type) + path

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """`{data: [{id}]}`; also `{models: [...]}` and a bare array, as some servers give."""
        headers = self.headers(account)
        response = await http.send(Request(url=self.url(account, self._list_path), headers=headers))
        return self.read_list(response)

    def read_list(self, response: Response) -> tuple[DiscoveredModel, ...]:
        """The models in an answer. Raises ProviderError."""
        listed = page(response, "data", "models")

        def make(name: str, item: Mapping[str, Any]) -> DiscoveredModel:
            return self.found(name, self.type_of(item, name), context_length=context_of(item))

        return unique(listed.models(make))

    def type_of(self, item: Mapping[str, Any], name: str) -> Modality | None:  # noqa: ARG002  # for subclasses
        """The type of a listed model: what the item says where the provider says it, else judged by the name."""
        return classify(name)

    async def try_language(self, account: Account, name: str, http: Http) -> str:
        """A chat. When the model refuses one name of the token limit, the other one is tried."""
        limits = (self.token_limit, MAX_COMPLETION_TOKENS if self.token_limit == MAX_TOKENS else MAX_TOKENS)
        response = await self._chat(account, name, limits[0], http)
        if response.status in {400, 422} and limits[0].encode() in response.body:
            response = await self._chat(account, name, limits[1], http)
        if not decode(response, _Chat, of_model=True).choices:
            raise GarbledAnswerError(status=response.status)
        return "It answered a greeting."

    async def _chat(self, account: Account, name: str, limit: str, http: Http) -> Response:
        body = {"model": name, "messages": [{"role": "user", "content": GREETING}], limit: ANSWER_TOKENS}
        url = self.url(account, "/chat/completions", Modality.LANGUAGE, model=name)
        return await self.post(http, url, body, self.headers(account, Modality.LANGUAGE))

    async def try_embedding(self, account: Account, name: str, http: Http) -> str:
        """One embedding; its dimensions."""
        url = self.url(account, "/embeddings", Modality.EMBEDDING, model=name)
        body = {"model": name, "input": GREETING}
        response = await self.post(http, url, body, self.headers(account, Modality.EMBEDDING))
        data = decode(response, _Embeddings, of_model=True).data
        if not data:
            raise GarbledAnswerError(status=response.status)
        return dimensions(data[0].embedding, response.status)

    async def try_listening(self, account: Account, name: str, http: Http) -> str:
        """The transcription of silence, sent as a form."""
        kind, body = multipart(
            {"model": name, "response_format": "json"},
            file="file",
            name="silence.wav",
            type="audio/wav",
            content=silent_wav(),
        )
        response = await http.send(
            Request(
                method="POST",
                url=self.url(account, "/audio/transcriptions", Modality.SPEECH_TO_TEXT, model=name),
                headers={"Content-Type": kind, **self.headers(account, Modality.SPEECH_TO_TEXT)},
                body=body,
            ),
            deadline=MODEL_DEADLINE,
        )
        text = decode(response, Transcription, of_model=True).text
        return f"It heard {len(text.split())} words in silence."

    async def try_speaking(self, account: Account, name: str, http: Http) -> str:
        """A short speech; its size."""
        url = self.url(account, "/audio/speech", Modality.TEXT_TO_SPEECH, model=name)
        body = {"model": name, "input": GREETING, "voice": self.voice, "response_format": "mp3"}
        response = await self.post(http, url, body, self.headers(account, Modality.TEXT_TO_SPEECH))
        return f"{len(audio(response))} bytes of sound"
