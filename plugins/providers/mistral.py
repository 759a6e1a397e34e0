"""Mistral AI. Source: docs.mistral.ai/api."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from keycairn.domain.env_variable import EnvSwitch, EnvVariable
from keycairn.domain.errors import GarbledAnswerError
from keycairn.domain.modality import Modality
from keycairn.domain.modeltypes import classify
from keycairn.domain.provider import Account
from keycairn.plugins.failures import audio, decode
from keycairn.plugins.fields import url_names
from keycairn.plugins.managing.mistral import MANAGEMENT, MistralKeys
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec
from keycairn.plugins.payloads import GREETING
from keycairn.ports.http import Http, Response


class Mistral(MistralKeys, OpenAICompatible):
    """Says of each model what it can do, and calls a voice by another name than OpenAI."""

    voice = "en_paul_neutral"

    def type_of(self, item: Mapping[str, Any], name: str) -> Modality | None:
        """What the name says of speech and embeddings; what can chat is a language model, what cannot is none."""
        by_name = classify(name)
        capabilities = item.get("capabilities")
        if by_name is not Modality.LANGUAGE or not isinstance(capabilities, dict):
            return by_name
        return Modality.LANGUAGE if capabilities.get("completion_chat") is True else None

    def client_name_for(self, type: Modality | None = None) -> str:
        """Esperanto's own class for it speaks its API; all else goes by the one that takes any base URL."""
        return "mistral" if type is Modality.TEXT_TO_SPEECH else self.client_name

    async def try_speaking(self, account: Account, name: str, http: Http) -> str:
        """A short speech; its size."""
        url = self.url(account, "/audio/speech", Modality.TEXT_TO_SPEECH, model=name)
        body = {"model": name, "input": GREETING, "voice_id": self.voice, "response_format": "mp3"}
        response = await self.post(http, url, body, self.headers(account, Modality.TEXT_TO_SPEECH))
        return f"{len(_sound(response))} bytes of sound"


class _Spoken(Struct):
    audio_data: str


def _sound(response: Response) -> bytes:
    """The sound of an answer, which is base64 within JSON, or sound as OpenAI gives it."""
    if not response.headers.get("content-type", "").lower().startswith("application/json"):
        return audio(response)
    try:
        sound = b64decode(decode(response, _Spoken, of_model=True).audio_data, validate=True)
    except ValueError:
        sound = b""
    if not sound:
        raise GarbledAnswerError(status=response.status)
    return sound


PROVIDER = Mistral(
    keyed_spec(
        "mistral",
        "Mistral AI",
        docs_url="https://console.mistral.ai/api-keys",
        key_management=MANAGEMENT,
        url_env=(*url_names("MISTRAL"), *(EnvVariable(name="MISTRAL_ENDPOINT", adds="/v1"),)),
        hosts=("api.mistral.ai", "*.mistral.ai"),
        env_switches=(
            EnvSwitch(name="MISTRAL_SA_TOKEN_PATH", why="programs take the token in that file before MISTRAL_API_KEY"),
        ),
        preferred_models=("mistral-large", "mistral-medium", "mistral-small", "mistral-embed"),
    ),
    url="https://api.mistral.ai/v1",
    client_name="openai-compatible",  # esperanto's own class takes no base URL for embeddings
)
