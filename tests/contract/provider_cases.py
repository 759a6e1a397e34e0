"""What each built-in provider is expected to send and to find, as data for the conformance suite."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

from tests.servers.anthropic_api import AnthropicServer
from tests.servers.azure_api import AzureServer
from tests.servers.bedrock_api import NOVA, PROFILE, TITAN, BedrockServer
from tests.servers.cohere_api import CohereServer
from tests.servers.gemini_api import GeminiServer
from tests.servers.kin_api import MistralServer, OpenRouterServer, VoyageServer, XAIServer
from tests.servers.ollama_api import OllamaServer
from tests.servers.speech_api import DeepgramServer, ElevenLabsServer
from tests.servers.vertex_api import PLACE, VertexServer, service_account

from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.payloads import silent_wav
from keycairn.plugins.providers import keycairn_providers
from keycairn.plugins.providers.deepgram import KNOWN as DEEPGRAM_MODELS
from keycairn.plugins.providers.elevenlabs import KNOWN as ELEVENLABS_MODELS
from keycairn.testing import KEY, ProviderCase, Sent, Try, openai_case, openai_tries
from keycairn.testing.openai_server import SOUND

L, E, S, T = Modality.LANGUAGE, Modality.EMBEDDING, Modality.SPEECH_TO_TEXT, Modality.TEXT_TO_SPEECH
PROVIDERS = {provider.spec.name: provider for provider in keycairn_providers()}
"""As their plugin gives them: what the boundary would mend has to be seen here."""
WAV = silent_wav()
HELLO = [{"role": "user", "content": "Hi"}]
GREETED = "It answered a greeting."
HEARD = "It heard 1 words in silence."
SIZED = f"{len(SOUND)} bytes of sound"


def opened(name: str, settings: Mapping[str, str | int], secrets: Mapping[str, str]) -> Account:
    """An account as the services open it."""
    spec = PROVIDERS[name].spec
    kept = {key: Secret(value) for key, value in secrets.items()}
    return Account(provider=name, settings=spec.effective(settings), secrets=kept)


def kin(name: str, **changes: Any) -> ProviderCase:
    """A provider that speaks OpenAI's API, with what it does otherwise."""
    return openai_case(PROVIDERS[name], **changes)


def odd(name: str, **fields: Any) -> ProviderCase:
    """A provider with an API of its own."""
    return ProviderCase(provider=PROVIDERS[name], **fields)


def listing(target: str) -> dict[str, Any]:
    """One GET lists the models, and so proves the key."""
    return {"checks": [Sent("GET", target)], "discovers": [Sent("GET", target)]}


def only(tries: Mapping[tuple[Modality, str], Try], **renamed: str) -> dict[tuple[Modality, str], Try]:
    """`tries` of the types named (language, embedding, ...), with the names of models replaced."""
    kept: dict[tuple[Modality, str], Try] = {}
    for (type, _), tried in tries.items():
        if new := renamed.get(type):
            model = new.encode() if isinstance(tried.body["model"], bytes) else new
            kept[type, new] = Try(tried.target, {**tried.body, "model": model}, tried.details)
    return kept


def deployed() -> dict[tuple[Modality, str], Try]:
    """OpenAI's calls, below Azure's deployments."""
    return {
        (type, name): replace(
            tried, target=f"/openai/deployments/{name}{tried.target.removeprefix('/v1')}?api-version=2024-10-21"
        )
        for (type, name), tried in openai_tries("max_completion_tokens").items()
    }


_ANTHROPIC = odd(
    "anthropic",
    server=AnthropicServer,
    auth={"x-api-key": KEY, "anthropic-version": "2023-06-01"},
    **listing("/v1/models?limit=100"),
    models={"claude-opus-4-8": L, "claude-sonnet-5": L, "claude-haiku-4-5": L},
    tries={
        (L, "claude-haiku-4-5"): Try(
            "/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 16, "messages": HELLO}, GREETED
        )
    },
)
_GOOGLE_SPEECH = {
    "responseModalities": ["AUDIO"],
    "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
}
_GOOGLE_SOUND = {"inlineData": {"mimeType": "audio/wav", "data": b64encode(WAV).decode()}}
_GOOGLE_HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 16}}
_GOOGLE_SPEAK = {
    "contents": [{"role": "user", "parts": [{"text": "Say: Hi"}]}],
    "generationConfig": _GOOGLE_SPEECH,
}
_GOOGLE = odd(
    "google",
    server=GeminiServer,
    auth={"x-goog-api-key": KEY},
    **listing("/v1beta/models?pageSize=1000"),
    models={
        "gemini-2.5-flash": L,
        "gemini-2.5-flash-preview-tts": T,
        "gemini-2.5-flash-image": None,
        "gemini-embedding-001": E,
        "imagen-4.0-generate-001": None,
    },
    tries={
        (L, "gemini-2.5-flash"): Try("/v1beta/models/gemini-2.5-flash:generateContent", _GOOGLE_HELLO, GREETED),
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
            "/v1beta/models/gemini-2.5-flash-preview-tts:generateContent", _GOOGLE_SPEAK, "It spoke a greeting."
        ),
    },
)
_MISTRAL = kin(
    "mistral",
    server=MistralServer,
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
        **only(
            openai_tries(),
            language="mistral-large-latest",
            embedding="mistral-embed",
            speech_to_text="voxtral-mini-transcribe",
        ),
        (T, "voxtral-mini-tts"): Try(
            "/v1/audio/speech",
            {"model": "voxtral-mini-tts", "input": "Hi", "voice_id": "en_paul_neutral", "response_format": "mp3"},
            SIZED,
        ),
    },
)
_XAI_SPEECH = {"text": "Hi", "voice_id": "eve", "language": "en", "output_format": {"codec": "mp3"}}
_XAI = kin(
    "xai",
    server=XAIServer,
    models={"grok-4": L, "grok-2-image": None},
    tries={
        **only(openai_tries(), language="grok-4"),
        (T, "grok-tts"): Try("/v1/tts", _XAI_SPEECH, SIZED),
    },
)
_OPENROUTER = kin(
    "openrouter",
    server=OpenRouterServer,
    checks=[Sent("GET", "/api/v1/key")],
    discovers=[Sent("GET", "/api/v1/models"), Sent("GET", "/api/v1/embeddings/models")],
    public_list=True,
    models={
        "openai/gpt-5": L,
        "openai/text-embedding-3-small": E,
        "openai/whisper-1": S,
        "openai/whisper-large-v3": S,
        "microsoft/mai-voice-2": T,
    },
    tries={
        **only(
            openai_tries(prefix="/api/v1"),
            language="openai/gpt-5",
            embedding="openai/text-embedding-3-small",
            text_to_speech="microsoft/mai-voice-2",
        ),
        (S, "openai/whisper-1"): Try(
            "/api/v1/audio/transcriptions",
            {"model": "openai/whisper-1", "input_audio": {"data": b64encode(WAV).decode(), "format": "wav"}},
            HEARD,
        ),
    },
)
_COHERE = odd(
    "cohere",
    server=CohereServer,
    **listing("/v1/models?page_size=1000"),
    models={"command-a-03-2025": L, "embed-v4.0": E, "command-r7b": L},
    tries={
        (L, "command-r7b"): Try("/v2/chat", {"model": "command-r7b", "messages": HELLO, "max_tokens": 16}, GREETED),
        (E, "embed-v4.0"): Try(
            "/v2/embed",
            {"model": "embed-v4.0", "texts": ["Hi"], "input_type": "search_query", "embedding_types": ["float"]},
            "2 dimensions",
        ),
    },
)
_VOYAGE = kin(
    "voyage",
    server=VoyageServer,
    checks=[Sent("POST", "/v1/embeddings", {"model": "voyage-3-lite", "input": "Hi"})],
    discovers=[],
    public_list=True,
    models=dict.fromkeys(
        ("voyage-3", "voyage-3-lite", "voyage-code-3", "voyage-finance-2", "voyage-law-2", "voyage-multilingual-2"), E
    ),
    tries=only(openai_tries(), embedding="voyage-3"),
)
_ELEVENLABS = odd(
    "elevenlabs",
    server=ElevenLabsServer,
    auth={"xi-api-key": KEY},
    checks=[Sent("GET", "/v1/user")],
    discovers=[Sent("GET", "/v1/models")],
    models={"eleven_v9": T, **ELEVENLABS_MODELS},
    tries={
        (T, "eleven_v3"): Try(
            "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=mp3_44100_128",
            {"text": "Hi", "model_id": "eleven_v3"},
            SIZED,
        ),
        (S, "scribe_v1"): Try("/v1/speech-to-text", {"model_id": b"scribe_v1", "file": WAV}, HEARD),
    },
)
_DEEPGRAM = odd(
    "deepgram",
    server=DeepgramServer,
    auth={"Authorization": f"Token {KEY}"},
    checks=[Sent("GET", "/v1/projects")],
    discovers=[Sent("GET", "/v1/models")],
    models={"nova-9": S, "aura-9-thalia-en": T, **DEEPGRAM_MODELS},
    tries={
        (T, "aura-2-thalia-en"): Try("/v1/speak?model=aura-2-thalia-en&encoding=mp3", {"text": "Hi"}, SIZED),
        (S, "nova-3"): Try("/v1/listen?model=nova-3", WAV, "It listened to silence."),
    },
)
_OLLAMA = odd(
    "ollama",
    server=OllamaServer,
    auth={},
    **listing("/api/tags"),
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
            GREETED,
        ),
        (E, "nomic-embed-text:latest"): Try(
            "/api/embed", {"model": "nomic-embed-text:latest", "input": "Hi"}, "2 dimensions"
        ),
    },
    settings=lambda url: {"base_url": url, "num_ctx": 4096},
    secrets={},
)
_VERTEX_GRANT = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": ANY}
_VERTEX = odd(
    "vertex",
    server=VertexServer,
    checks=[Sent("POST", "/token", _VERTEX_GRANT, {})],
    discovers=[],
    public_list=True,
    models={"gemini-3.5-flash": L, "gemini-2.5-flash": L, "gemini-2.5-flash-lite": L, "text-embedding-005": E},
    tries={
        (L, "gemini-2.5-flash"): Try(
            f"{PLACE}/publishers/google/models/gemini-2.5-flash:generateContent", _GOOGLE_HELLO, GREETED
        ),
        (E, "text-embedding-005"): Try(
            f"{PLACE}/publishers/google/models/text-embedding-005:predict",
            {"instances": [{"content": "Hi"}]},
            "2 dimensions",
        ),
        (T, "gemini-2.5-flash-tts"): Try(
            f"{PLACE}/publishers/google/models/gemini-2.5-flash-tts:generateContent",
            _GOOGLE_SPEAK,
            "It spoke a greeting.",
        ),
    },
    settings=lambda url: {
        "project": "my-project",
        "location": "us-central1",
        "base_url": url,
        "token_url": f"{url}/token",
    },
    secrets={"service_account": service_account()},
    wrong={"service_account": service_account("another@project.iam.gserviceaccount.com")},
)

_BEDROCK = odd(
    "bedrock",
    server=BedrockServer,
    checks=[Sent("GET", "/foundation-models"), Sent("GET", "/inference-profiles?maxResults=1000")],
    discovers=[Sent("GET", "/foundation-models"), Sent("GET", "/inference-profiles?maxResults=1000")],
    models={NOVA: L, TITAN: E, PROFILE: L},
    tries={
        (L, NOVA): Try(
            "/model/amazon.nova-lite-v1%3A0/converse",
            {"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {"maxTokens": 16}},
            GREETED,
        ),
        (E, TITAN): Try("/model/amazon.titan-embed-text-v2%3A0/invoke", {"inputText": "Hi"}, "3 dimensions"),
    },
    settings=lambda url: {"region": "us-east-1", "base_url": url, "control_url": url},
)

CASES = [
    kin("openai", tries=openai_tries("max_completion_tokens")),
    _ANTHROPIC,
    _GOOGLE,
    kin("groq"),
    _MISTRAL,
    kin("deepseek"),
    _XAI,
    _OPENROUTER,
    kin("dashscope"),
    kin("minimax"),
    kin("novita"),
    kin("ppq", **listing("/v1/models?type=all")),
    kin("huggingface"),
    _COHERE,
    _VOYAGE,
    _ELEVENLABS,
    _DEEPGRAM,
    _OLLAMA,
    kin("omlx"),
    kin(
        "azure",
        server=AzureServer,
        auth={"api-key": KEY},
        **listing("/openai/models?api-version=2024-10-21"),
        tries=deployed(),
        settings=lambda url: {"endpoint": url},
    ),
    _VERTEX,
    _BEDROCK,
    kin("openai_compatible"),
    replace(
        _ANTHROPIC,
        provider=PROVIDERS["anthropic_compatible"],
    ),
]
