"""OpenRouter. Source: openrouter.ai/docs/api-reference (models, limits, embeddings, audio)."""

from base64 import b64encode

from msgspec import Struct

from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Outcome, Provenance
from keycairn.domain.provider import Account
from keycairn.plugins.base import unique
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import url_names
from keycairn.plugins.managing.openrouter import MANAGEMENT, OpenRouterKeys
from keycairn.plugins.openai_base import OpenAICompatible, Transcription, keyed_spec
from keycairn.plugins.payloads import silent_wav
from keycairn.ports.http import Http, Request

UNLISTED = {
    "microsoft/mai-voice-2": Modality.TEXT_TO_SPEECH,
    "openai/whisper-1": Modality.SPEECH_TO_TEXT,
    "openai/whisper-large-v3": Modality.SPEECH_TO_TEXT,
}
"""Models of speech that its lists leave out."""


class _Key(Struct):
    data: dict[str, object]


class OpenRouter(OpenRouterKeys, OpenAICompatible):
    """Lists its models to everyone, so another call has to prove the key."""

    proves_by = "see what is known of it"

    async def first_proof(self, account: Account, http: Http) -> ConnectionReport:
        """What it knows of the key."""
        response = await http.send(Request(url=self.url(account, "/key"), headers=self.headers(account)))
        decode(response, _Key)
        return ConnectionReport(outcome=Outcome.OK, message="The key works.")

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """The models that chat, those that embed, and those it does not list."""
        headers = self.headers(account)
        chats = await super().list_models(account, http)
        response = await http.send(Request(url=self.url(account, "/embeddings/models"), headers=headers))
        vectors = [self.found(model.name, Modality.EMBEDDING) for model in self.read_list(response)]
        unlisted = [self.found(name, type, provenance=Provenance.STATIC) for name, type in UNLISTED.items()]
        return unique([*vectors, *chats, *unlisted])

    async def try_listening(self, account: Account, name: str, http: Http) -> str:
        """The transcription of silence, sent inside JSON."""
        url = self.url(account, "/audio/transcriptions", Modality.SPEECH_TO_TEXT)
        sound = {"data": b64encode(silent_wav()).decode(), "format": "wav"}
        response = await self.post(http, url, {"model": name, "input_audio": sound}, self.headers(account))
        text = decode(response, Transcription, of_model=True).text
        return f"It heard {len(text.split())} words in silence."


PROVIDER = OpenRouter(
    keyed_spec(
        "openrouter",
        "OpenRouter",
        docs_url="https://openrouter.ai/settings/keys",
        key_env=("OPENROUTER_API_KEY", "OR_API_KEY", "OPENROUTER_KEY"),
        url_env=url_names("OPENROUTER"),
        key_management=MANAGEMENT,
        hosts=("openrouter.ai", "*.openrouter.ai"),
        key_prefixes=("sk-or-",),
        env_besides=("OPENROUTER_APP_URL", "OPENROUTER_SITE_URL"),
        request_headers=("http-referer", "x-title"),  # the application's name in its rankings
        preferred_models=("openai/gpt-5", "anthropic/claude-sonnet", "openai/text-embedding-3-small"),
    ),
    url="https://openrouter.ai/api/v1",
)
