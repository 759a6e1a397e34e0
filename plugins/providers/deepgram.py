"""Deepgram. Source: developers.deepgram.com/reference (models, projects, listen, speak)."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from keycairn.domain.env_variable import EnvVariable
from keycairn.domain.errors import GarbledAnswerError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Outcome, Provenance
from keycairn.domain.provider import Account
from keycairn.plugins.base import MODEL_DEADLINE, Headers, ListedProvider, unique
from keycairn.plugins.failures import audio, decode
from keycairn.plugins.fields import own_url, required_header_secret, url_names
from keycairn.plugins.listing import page
from keycairn.plugins.managing.deepgram import MANAGEMENT, DeepgramKeys
from keycairn.plugins.openai_base import keyed_spec
from keycairn.plugins.payloads import GREETING, silent_wav
from keycairn.ports.http import Http, Request

URL = "https://api.deepgram.com/v1"
VOICES = ("thalia", "andromeda", "helena", "apollo", "arcas", "asteria", "athena", "hera", "hermes", "atlas")
KNOWN = {
    **dict.fromkeys((f"aura-2-{voice}-en" for voice in VOICES), Modality.TEXT_TO_SPEECH),
    **dict.fromkeys(
        ("nova-3", "nova-2", *(f"whisper-{size}" for size in ("large", "medium", "small", "base", "tiny"))),
        Modality.SPEECH_TO_TEXT,
    ),
}
"""What its list may leave out."""


class _Projects(Struct):
    projects: list[dict[str, Any]]


class _Heard(Struct):
    results: dict[str, Any]


class Deepgram(DeepgramKeys, ListedProvider):
    """Listens and speaks."""

    proves_by = "list its projects"

    def base_url(self, account: Account, type: Modality | None = None) -> str:  # noqa: ARG002  # the port's
        """The base URL, ending in `/v1` whether or not the account's does."""
        own = own_url(account, "base_url", strip=("/models", "/v1"))
        return f"{own}/v1" if own else URL

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # the port's
        """The key, under a scheme of Deepgram's own."""
        return {"Authorization": required_header_secret(account, prefix="Token ")}

    async def first_proof(self, account: Account, http: Http) -> ConnectionReport:
        """The projects of the key."""
        response = await http.send(Request(url=f"{self.base_url(account)}/projects", headers=self.headers(account)))
        decode(response, _Projects)
        return ConnectionReport(outcome=Outcome.OK, message="The key works.")

    def probe(self, account: Account) -> tuple[Modality, str]:  # noqa: ARG002  # the base's
        """Half a second of silence: it has no free word for a model that it does not know."""
        return Modality.SPEECH_TO_TEXT, "nova-2"

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """Those of both kinds it lists, and those known besides."""
        response = await http.send(Request(url=f"{self.base_url(account)}/models", headers=self.headers(account)))
        kinds = (("stt", Modality.SPEECH_TO_TEXT), ("tts", Modality.TEXT_TO_SPEECH))
        models = [
            model
            for member, type in kinds
            for model in page(response, member).models(partial(self._model, type), ("canonical_name",))
        ]
        names = {model.name for model in models}
        known = (self.found(name, type, provenance=Provenance.STATIC) for name, type in KNOWN.items())
        return unique([*models, *(model for model in known if model.name not in names)])

    def _model(self, type: Modality, name: str, item: Mapping[str, Any]) -> DiscoveredModel:
        label = item.get("name")
        return self.found(name, type, description=label if isinstance(label, str) else "")

    async def try_speaking(self, account: Account, name: str, http: Http) -> str:
        """A short speech; its size."""
        url = f"{self.base_url(account)}/speak?{urlencode({'model': name, 'encoding': 'mp3'})}"
        response = await self.post(http, url, {"text": GREETING}, self.headers(account))
        return f"{len(audio(response))} bytes of sound"

    async def try_listening(self, account: Account, name: str, http: Http) -> str:
        """The transcription of silence."""
        url = f"{self.base_url(account)}/listen?{urlencode({'model': name})}"
        headers = {"Content-Type": "audio/wav", **self.headers(account)}
        request = Request(method="POST", url=url, headers=headers, body=silent_wav())
        response = await http.send(request, deadline=MODEL_DEADLINE)
        if "channels" not in decode(response, _Heard, of_model=True).results:
            raise GarbledAnswerError(status=response.status)
        return "It listened to silence."


PROVIDER = Deepgram(
    keyed_spec(
        "deepgram",
        "Deepgram",
        Modality.TEXT_TO_SPEECH,
        Modality.SPEECH_TO_TEXT,
        docs_url="https://console.deepgram.com",
        key_management=MANAGEMENT,
        url_env=(*url_names("DEEPGRAM"), *(EnvVariable(name="DEEPGRAM_HOST", bare="https://{}"),)),
        hosts=("api.deepgram.com", "*.deepgram.com"),
        native_operations=(
            *("POST listen", "POST speak", "POST read", "GET models", "GET models/*"),
            *("WEBSOCKET listen", "WEBSOCKET speak"),
        ),
    )
)
