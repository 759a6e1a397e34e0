"""What each provider is expected to send and to find, as data for the suite in test_providers.py."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.servers.anthropic_api import AnthropicServer
from tests.servers.azure_api import AzureServer
from tests.servers.base import KEY, LocalServer
from tests.servers.cohere_api import CohereServer
from tests.servers.gemini_api import GeminiServer
from tests.servers.kin_api import MistralServer, OpenRouterServer, VoyageServer, XAIServer
from tests.servers.ollama_api import OllamaServer
from tests.servers.openai_api import SOUND, OpenAIServer
from tests.servers.speech_api import DeepgramServer, ElevenLabsServer
from tests.servers.vertex_api import VertexServer

from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.payloads import silent_wav
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.provider import Provider

L, E, S, T = Modality.LANGUAGE, Modality.EMBEDDING, Modality.SPEECH_TO_TEXT, Modality.TEXT_TO_SPEECH
REGISTRY = PluginRegistry(external=False)
WAV = silent_wav()
HELLO = [{"role": "user", "content": "Hi"}]


@dataclass(frozen=True)
class Try:
    """One tried model: what goes out, and what is told. A body of bytes is the fields of a form."""

    target: str
    body: Mapping[str, Any]
    details: str


@dataclass(frozen=True)
class Case:
    """One provider on its server.

    `auth` are the headers of every call; `listing` the target that lists models. `odd` ones prove the key, or list, by
    other calls than one GET; test_odd_providers.py says by which.
    """

    name: str
    server: Callable[[], LocalServer]
    auth: Mapping[str, str]
    listing: str
    models: Mapping[str, Modality | None]
    tries: Mapping[tuple[Modality, str], Try]
    key_required: bool = True
    odd: bool = False
    url_field: str = "base_url"
    settings: Mapping[str, str | int] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=lambda: {"api_key": KEY})

    @property
    def provider(self) -> Provider:
        return REGISTRY.get(self.name)

    def account(self, url: str, **secrets: str) -> Account:
        settings = {self.url_field: url, **self.settings}
        return opened(self.name, settings, {**self.secrets, **secrets})


def opened(name: str, settings: Mapping[str, str | int], secrets: Mapping[str, str]) -> Account:
    """An account as the services open it."""
    spec = REGISTRY.get(name).spec
    kept = {key: Secret(value) for key, value in secrets.items()}
    return Account(provider=name, settings=spec.effective(settings), secrets=kept)


OPENAI_MODELS = {
    "gpt-5-mini": L,
    "gpt-4o": L,
    "text-embedding-3-small": E,
    "whisper-1": S,
    "tts-1": T,
    "dall-e-3": None,
}


def openai_tries(limit: str, url: Callable[[str, str], str] = lambda _, path: f"/v1{path}") -> dict[Any, Try]:
    """What a provider of OpenAI's kind sends; `url` gives the target of a model and a path."""
    form = {"model": b"whisper-1", "response_format": b"json", "file": WAV}
    speech = {"model": "tts-1", "input": "Hi", "voice": "alloy", "response_format": "mp3"}
    return {
        (L, "gpt-4o"): Try(
            url("gpt-4o", "/chat/completions"),
            {"model": "gpt-4o", "messages": HELLO, limit: 16},
            "It answered a greeting.",
        ),
        (E, "text-embedding-3-small"): Try(
            url("text-embedding-3-small", "/embeddings"),
            {"model": "text-embedding-3-small", "input": "Hi"},
            "3 dimensions",
        ),
        (S, "whisper-1"): Try(url("whisper-1", "/audio/transcriptions"), form, "It heard 1 words in silence."),
        (T, "tts-1"): Try(url("tts-1", "/audio/speech"), speech, f"{len(SOUND)} bytes of sound"),
    }


def _azure_url(model: str, path: str) -> str:
    return f"/openai/deployments/{model}{path}?api-version=2024-10-21"


_ANTHROPIC = Case(
    name="anthropic",
    server=AnthropicServer,
    auth={"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    listing="/v1/models?limit=100",
    models={"claude-opus-4-8": L, "claude-sonnet-5": L, "claude-haiku-4-5": L},
    tries={
        (L, "claude-haiku-4-5"): Try(
            "/v1/messages",
            {"model": "claude-haiku-4-5", "max_tokens": 16, "messages": HELLO},
            "It answered a greeting.",
        )
    },
)
_GOOGLE_SPEECH = {
    "responseModalities": ["AUDIO"],
    "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
}
_GOOGLE_SOUND = {"inlineData": {"mimeType": "audio/wav", "data": b64encode(WAV).decode()}}
_GOOGLE = Case(
    name="google",
    server=GeminiServer,
    auth={"x-goog-api-key": KEY},
    listing="/v1beta/models?pageSize=1000",
    models={
        "gemini-2.5-flash": L,
        "gemini-2.5-flash-preview-tts": T,
        "gemini-2.5-flash-image": None,
        "gemini-embedding-001": E,
        "imagen-4.0-generate-001": None,
    },
    tries={
        (L, "gemini-2.5-flash"): Try(
            "/v1beta/models/gemini-2.5-flash:generateContent",
            {
                "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
                "generationConfig": {"maxOutputTokens": 16},
            },
            "It answered a greeting.",
        ),
        (E, "gemini-embedding-001"): Try(
            "/v1beta/models/gemini-embedding-001:embedContent",
            {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "Hi"}]}},
            "4 dimensions",
        ),
        (S, "gemini-2.5-flash"): Try(
            "/v1beta/models/gemini-2.5-flash:generateContent",
            {
                "contents": [{"role": "user", "parts": [{"text": "Transcribe this audio."}, _GOOGLE_SOUND]}],
                "generationConfig": {"maxOutputTokens": 16},
            },
            "It listened to silence.",
        ),
        (T, "gemini-2.5-flash-preview-tts"): Try(
            "/v1beta/models/gemini-2.5-flash-preview-tts:generateContent",
            {"contents": [{"role": "user", "parts": [{"text": "Say: Hi"}]}], "generationConfig": _GOOGLE_SPEECH},
            "It spoke a greeting.",
        ),
    },
)
_OLLAMA = Case(
    name="ollama",
    server=OllamaServer,
    auth={},
    listing="/api/tags",
    models={"llama3.2:latest": L, "nomic-embed-text:latest": E, "mystery-vectors:7b": E},
    tries={
        (L, "llama3.2:latest"): Try(
            "/api/chat",
            {
                "model": "llama3.2:latest",
                "messages": HELLO,
                "stream": False,
                "options": {"num_predict": 16, "num_ctx": 4096},
            },
            "It answered a greeting.",
        ),
        (E, "nomic-embed-text:latest"): Try(
            "/api/embed", {"model": "nomic-embed-text:latest", "input": "Hi"}, "2 dimensions"
        ),
    },
    key_required=False,
    settings={"num_ctx": 4096},
    secrets={},
)


def kin(
    name: str, *types: Modality, server: Callable[[], LocalServer] = OpenAIServer, listing: str = "/v1/models"
) -> Case:
    """A provider that speaks OpenAI's API and declares `types`."""
    return Case(
        name=name,
        server=OpenAIServer,
        auth={"Authorization": f"Bearer {KEY}"},
        listing=listing,
        models={name: type if type in types else None for name, type in OPENAI_MODELS.items()},
        tries={(type, model): tried for (type, model), tried in openai_tries("max_tokens").items() if type in types},
    )


def _only(tries: Mapping[Any, Try], **renamed: str) -> dict[Any, Try]:
    """`tries` of the types named (language, embedding, ...), with the names of models replaced."""
    kept: dict[Any, Try] = {}
    for (type, _), tried in tries.items():
        if new := renamed.get(type):
            model = new.encode() if isinstance(tried.body["model"], bytes) else new
            kept[type, new] = Try(tried.target, {**tried.body, "model": model}, tried.details)
    return kept


def _sized(sound: bytes) -> str:
    return f"{len(sound)} bytes of sound"


_MISTRAL = Case(
    name="mistral",
    server=MistralServer,
    auth={"Authorization": f"Bearer {KEY}"},
    listing="/v1/models",
    models={
        "mistral-large-latest": L,
        "mistral-embed": E,
        "voxtral-mini-transcribe": S,
        "voxtral-mini-tts": T,
        "mistral-ocr-latest": None,
        "codestral-embed": E,
        "mystery-base": None,
    },
    tries={
        **_only(
            openai_tries("max_tokens"),
            language="mistral-large-latest",
            embedding="mistral-embed",
            speech_to_text="voxtral-mini-transcribe",
        ),
        (T, "voxtral-mini-tts"): Try(
            "/v1/audio/speech",
            {"model": "voxtral-mini-tts", "input": "Hi", "voice_id": "en_paul_neutral", "response_format": "mp3"},
            _sized(SOUND),
        ),
    },
)
_XAI = Case(
    name="xai",
    server=XAIServer,
    auth={"Authorization": f"Bearer {KEY}"},
    listing="/v1/models",
    models={"grok-4": L, "grok-2-image": None},
    tries={
        **_only(openai_tries("max_tokens"), language="grok-4"),
        (T, "grok-tts"): Try(
            "/v1/tts",
            {"text": "Hi", "voice_id": "eve", "language": "en", "output_format": {"codec": "mp3"}},
            _sized(SOUND),
        ),
    },
)
_OPENROUTER = Case(
    name="openrouter",
    server=OpenRouterServer,
    auth={"Authorization": f"Bearer {KEY}"},
    listing="/api/v1/models",
    models={
        "openai/gpt-5": L,
        "openai/text-embedding-3-small": E,
        "openai/whisper-1": S,
        "openai/whisper-large-v3": S,
        "microsoft/mai-voice-2": T,
    },
    tries={
        **_only(
            openai_tries("max_tokens", lambda _, path: f"/api/v1{path}"),
            embedding="openai/text-embedding-3-small",
            text_to_speech="microsoft/mai-voice-2",
        ),
        (L, "openai/gpt-5"): Try(
            "/api/v1/chat/completions",
            {"model": "openai/gpt-5", "messages": HELLO, "max_tokens": 16},
            "It answered a greeting.",
        ),
        (S, "openai/whisper-1"): Try(
            "/api/v1/audio/transcriptions",
            {"model": "openai/whisper-1", "input_audio": {"data": b64encode(WAV).decode(), "format": "wav"}},
            "It heard 1 words in silence.",
        ),
    },
    odd=True,
)
_COHERE = Case(
    name="cohere",
    server=CohereServer,
    auth={"Authorization": f"Bearer {KEY}"},
    listing="/v1/models?page_size=1000",
    models={"command-a-03-2025": L, "embed-v4.0": E, "command-r7b": L},
    tries={
        (L, "command-r7b"): Try(
            "/v2/chat", {"model": "command-r7b", "messages": HELLO, "max_tokens": 16}, "It answered a greeting."
        ),
        (E, "embed-v4.0"): Try(
            "/v2/embed",
            {"model": "embed-v4.0", "texts": ["Hi"], "input_type": "search_query", "embedding_types": ["float"]},
            "2 dimensions",
        ),
    },
)
_VOYAGE = Case(
    name="voyage",
    server=VoyageServer,
    auth={"Authorization": f"Bearer {KEY}"},
    listing="",
    models=dict.fromkeys(
        ("voyage-3", "voyage-3-lite", "voyage-code-3", "voyage-finance-2", "voyage-law-2", "voyage-multilingual-2"), E
    ),
    tries=_only(openai_tries("max_tokens"), embedding="voyage-3"),
    odd=True,
)
_ELEVENLABS = Case(
    name="elevenlabs",
    server=ElevenLabsServer,
    auth={"xi-api-key": KEY},
    listing="/v1/models",
    models={},
    tries={
        (T, "eleven_v3"): Try(
            "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=mp3_44100_128",
            {"text": "Hi", "model_id": "eleven_v3"},
            _sized(SOUND),
        ),
        (S, "scribe_v1"): Try(
            "/v1/speech-to-text", {"model_id": b"scribe_v1", "file": WAV}, "It heard 1 words in silence."
        ),
    },
    odd=True,
)
_DEEPGRAM = Case(
    name="deepgram",
    server=DeepgramServer,
    auth={"Authorization": f"Token {KEY}"},
    listing="/v1/models",
    models={},
    tries={
        (T, "aura-2-thalia-en"): Try("/v1/speak?model=aura-2-thalia-en&encoding=mp3", {"text": "Hi"}, _sized(SOUND)),
    },
    odd=True,
)
_VERTEX = Case(
    name="vertex",
    server=VertexServer,
    auth={},
    listing="",
    models={},
    tries={},
    odd=True,
    settings={"project": "my-project", "location": "us-central1"},
    secrets={},
)

CASES = [
    Case(
        name="openai",
        server=OpenAIServer,
        auth={"Authorization": f"Bearer {KEY}"},
        listing="/v1/models",
        models=OPENAI_MODELS,
        tries=openai_tries("max_completion_tokens"),
    ),
    _ANTHROPIC,
    _GOOGLE,
    kin("groq", L, S),
    _MISTRAL,
    kin("deepseek", L),
    _XAI,
    _OPENROUTER,
    kin("dashscope", L),
    kin("minimax", L),
    kin("novita", L),
    kin("ppq", L, E, S, T, listing="/v1/models?type=all"),
    _COHERE,
    _VOYAGE,
    _ELEVENLABS,
    _DEEPGRAM,
    _OLLAMA,
    replace(kin("omlx", L, E), key_required=False),
    Case(
        name="azure",
        server=AzureServer,
        auth={"api-key": KEY},
        listing="/openai/models?api-version=2024-10-21",
        models=OPENAI_MODELS,
        tries=openai_tries("max_completion_tokens", _azure_url),
        url_field="endpoint",
    ),
    _VERTEX,
    Case(
        name="openai_compatible",
        server=OpenAIServer,
        auth={"Authorization": f"Bearer {KEY}"},
        listing="/v1/models",
        models=OPENAI_MODELS,
        tries=openai_tries("max_tokens"),
        key_required=False,
    ),
    replace(_ANTHROPIC, name="anthropic_compatible"),
]
