"""xAI. Source: docs.x.ai/docs/api-reference."""

from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account
from keycairn.plugins.failures import audio
from keycairn.plugins.fields import url_names
from keycairn.plugins.managing.xai import MANAGEMENT, XAIKeys
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec
from keycairn.plugins.payloads import GREETING
from keycairn.ports.http import Http


class XAI(XAIKeys, OpenAICompatible):
    """Speaks OpenAI's API, but for speech, where it has one of its own."""

    voice = "eve"

    async def try_speaking(self, account: Account, name: str, http: Http) -> str:  # noqa: ARG002  # there is one model
        """A short speech; its size."""
        url = self.url(account, "/tts", Modality.TEXT_TO_SPEECH)
        body = {"text": GREETING, "voice_id": self.voice, "language": "en", "output_format": {"codec": "mp3"}}
        response = await self.post(http, url, body, self.headers(account, Modality.TEXT_TO_SPEECH))
        return f"{len(audio(response))} bytes of sound"


PROVIDER = XAI(
    keyed_spec(
        "xai",
        "xAI (Grok)",
        Modality.LANGUAGE,
        Modality.TEXT_TO_SPEECH,
        docs_url="https://console.x.ai",
        key_management=MANAGEMENT,
        url_env=url_names("XAI"),
        hosts=("api.x.ai", "*.api.x.ai"),
        key_prefixes=("xai-",),
        request_headers=("x-grok-conv-id",),  # keeps a conversation on one server, for its cache
        preferred_models=("grok-4", "grok-3"),
    ),
    url="https://api.x.ai/v1",
)
