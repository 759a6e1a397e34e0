"""ElevenLabs. Source: elevenlabs.io/docs/api-reference (models, user, text-to-speech, speech-to-text)."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Outcome, Provenance
from keycairn.domain.provider import Account
from keycairn.plugins.base import MODEL_DEADLINE, Headers, ListedProvider, unique
from keycairn.plugins.failures import audio, decode
from keycairn.plugins.fields import own_url, required_header_secret, url_names
from keycairn.plugins.listing import page
from keycairn.plugins.managing.elevenlabs import MANAGEMENT, ElevenLabsKeys
from keycairn.plugins.openai_base import Transcription, keyed_spec
from keycairn.plugins.payloads import GREETING, multipart, silent_wav
from keycairn.ports.http import Http, Request

URL = "https://api.elevenlabs.io/v1"
VOICE = "21m00Tcm4TlvDq8ikWAM"
"""Rachel, one of the voices every account has."""
_WAYS = ("", "/stream", "/with-timestamps", "/stream/with-timestamps")
KNOWN = {
    **dict.fromkeys(
        (
            "eleven_v3",
            "eleven_multilingual_v2",
            "eleven_turbo_v2_5",
            "eleven_turbo_v2",
            "eleven_flash_v2_5",
            "eleven_flash_v2",
            "eleven_monolingual_v1",
        ),
        Modality.TEXT_TO_SPEECH,
    ),
    "scribe_v1": Modality.SPEECH_TO_TEXT,
    "scribe_v2": Modality.SPEECH_TO_TEXT,
}
"""What its list may leave out; it never lists the models that listen."""


class _User(Struct):
    user_id: str


class ElevenLabs(ElevenLabsKeys, ListedProvider):
    """Speaks and listens."""

    proves_by = "see whose it is"

    def base_url(self, account: Account, type: Modality | None = None) -> str:  # noqa: ARG002  # the port's
        """The base URL, ending in `/v1` whether or not the account's does."""
        own = own_url(account, "base_url", strip=("/models", "/v1"))
        return f"{own}/v1" if own else URL

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # the port's
        """The key."""
        return {"xi-api-key": required_header_secret(account)}

    async def first_proof(self, account: Account, http: Http) -> ConnectionReport:
        """Whose key it is."""
        response = await http.send(Request(url=f"{self.base_url(account)}/user", headers=self.headers(account)))
        decode(response, _User)
        return ConnectionReport(outcome=Outcome.OK, message="The key works.")

    def probe(self, account: Account) -> tuple[Modality, str]:  # noqa: ARG002  # the base's
        """Two letters, spoken: it has no free word for a model that it does not know."""
        return Modality.TEXT_TO_SPEECH, "eleven_flash_v2_5"

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """Those that speak, and those known besides."""
        response = await http.send(Request(url=f"{self.base_url(account)}/models", headers=self.headers(account)))
        models = page(response, "models").models(self._model, ("model_id",))
        known = (self.found(name, type, provenance=Provenance.STATIC) for name, type in KNOWN.items())
        names = {model.name for model in models}
        return unique([*models, *(model for model in known if model.name not in names)])

    def _model(self, name: str, item: Mapping[str, Any]) -> DiscoveredModel | None:
        label = item.get("name")
        if item.get("can_do_text_to_speech") is not True:
            return None
        return self.found(name, Modality.TEXT_TO_SPEECH, description=label if isinstance(label, str) else "")

    async def try_speaking(self, account: Account, name: str, http: Http) -> str:
        """A short speech; its size."""
        url = f"{self.base_url(account)}/text-to-speech/{VOICE}?output_format=mp3_44100_128"
        response = await self.post(http, url, {"text": GREETING, "model_id": name}, self.headers(account))
        return f"{len(audio(response))} bytes of sound"

    async def try_listening(self, account: Account, name: str, http: Http) -> str:
        """The transcription of silence, sent as a form."""
        kind, body = multipart(
            {"model_id": name}, file="file", name="silence.wav", type="audio/wav", content=silent_wav()
        )
        url = f"{self.base_url(account)}/speech-to-text"
        headers = {"Content-Type": kind, **self.headers(account)}
        response = await http.send(Request(method="POST", url=url, headers=headers, body=body), deadline=MODEL_DEADLINE)
        text = decode(response, Transcription, of_model=True).text
        return f"It heard {len(text.split())} words in silence."

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        """The key and the URL, which esperanto wants without its version for speaking."""
        url = self.base_url(account, type)
        if type is Modality.TEXT_TO_SPEECH:
            url = url.removesuffix("/v1")
        return {"api_key": required_header_secret(account).reveal(), "base_url": url}


PROVIDER = ElevenLabs(
    keyed_spec(
        "elevenlabs",
        "ElevenLabs",
        Modality.TEXT_TO_SPEECH,
        Modality.SPEECH_TO_TEXT,
        docs_url="https://elevenlabs.io/app/settings/api-keys",
        key_management=MANAGEMENT,
        key_env=("ELEVENLABS_API_KEY", "ELEVEN_API_KEY"),
        url_env=url_names("ELEVENLABS", "ELEVEN"),
        hosts=("api.elevenlabs.io", "*.elevenlabs.io"),
        env_families=("ELEVENLABS", "ELEVEN"),
        native_operations=(
            *(f"POST text-to-speech/*{way}" for way in _WAYS),
            *(f"POST text-to-dialogue{way}" for way in _WAYS),
            "POST speech-to-text",
            *(f"POST speech-to-speech/*{way}" for way in ("", "/stream")),
            *(f"WEBSOCKET text-to-speech/*/{way}" for way in ("stream-input", "multi-stream-input")),
            "WEBSOCKET speech-to-text/realtime",
            "GET models",
        ),
    )
)
