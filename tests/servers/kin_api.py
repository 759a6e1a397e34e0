"""Providers that speak OpenAI's API with differences: Mistral, xAI, OpenRouter, Voyage.

Sources: docs.mistral.ai/api, docs.x.ai/docs/api-reference, openrouter.ai/docs/api-reference,
docs.voyageai.com/reference/embeddings-api.
"""

import base64
import json
from typing import Any

from keycairn.testing.openai_server import EMBEDDING, HEARING, LANGUAGE, SOUND, SPEECH, OpenAIServer
from keycairn.testing.server import Answer, Recorded, as_json


class MistralServer(OpenAIServer):
    """Says what each model can do, and takes a voice as `voice_id`."""

    def __init__(self) -> None:
        super().__init__(
            models={
                "mistral-large-latest": LANGUAGE,
                "mistral-embed": EMBEDDING,
                "voxtral-mini-transcribe": HEARING,
                "voxtral-mini-tts": SPEECH,
                "mistral-ocr-latest": "ocr",
                "codestral-embed": EMBEDDING,
                "mystery-base": "completion",
            }
        )
        self.legacy_limits = True

    def item(self, name: str, kind: str) -> dict[str, Any]:
        return {**super().item(name, kind), "capabilities": {"completion_chat": kind == LANGUAGE}}

    def _embed(self, model: str, body: dict[str, Any]) -> Answer:
        return as_json({"id": "embd-1", **json.loads(super()._embed(model, body).body)})

    def _speak(self, _: str, body: dict[str, Any]) -> Answer:
        if not body.get("voice_id") or not body.get("input"):
            return self._bad("voice_id")
        return as_json({"audio_data": base64.b64encode(SOUND).decode()})


class XAIServer(OpenAIServer):
    """Speaks at an address of its own."""

    def __init__(self) -> None:
        super().__init__(models={"grok-4": LANGUAGE, "grok-2-image": "image"})

    def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
        if (recorded.method, path) == ("POST", "/tts"):
            body = recorded.json()
            good = body.get("text") and body.get("voice_id") and body.get("language")
            return Answer(body=SOUND, type="audio/mpeg") if good else self._bad("text")
        return super().call(recorded, path, model)


class OpenRouterServer(OpenAIServer):
    """Lists its models to everyone, in two lists; knows the key at an address of its own."""

    base = "/api/v1"

    def __init__(self) -> None:
        super().__init__(
            models={
                "openai/gpt-5": LANGUAGE,
                "openai/text-embedding-3-small": EMBEDDING,
                "openai/whisper-1": HEARING,
                "microsoft/mai-voice-2": SPEECH,
            }
        )

    def authorized(self, recorded: Recorded) -> bool:
        return recorded.path.endswith("/models") or super().authorized(recorded)

    def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
        if (recorded.method, path) == ("GET", "/key"):
            return as_json({"data": {"label": "sk-or-v1-abc...123", "limit": None, "usage": 0.1}})
        kinds = {"/models": LANGUAGE, "/embeddings/models": EMBEDDING}
        if recorded.method == "GET" and path in kinds:
            named = [self.item(name, kind) for name, kind in self.models.items() if kind == kinds[path]]
            return as_json({"data": named})
        if path == "/audio/transcriptions":
            body = recorded.json()
            if self.models.get(body["model"]) != HEARING:
                return as_json(self.gone(body["model"]), 404)
            sound = base64.b64decode(body["input_audio"]["data"])
            good = sound.startswith(b"RIFF") and body["input_audio"]["format"] == "wav"
            return as_json({"text": "you"}) if good else self._bad("input_audio")
        return super().call(recorded, path, model)


class VoyageServer(OpenAIServer):
    """Embeds, and does nothing else."""

    def __init__(self) -> None:
        super().__init__(models={"voyage-3": EMBEDDING, "voyage-3-lite": EMBEDDING})

    def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
        if path != "/embeddings":
            return as_json({"detail": "Not Found"}, 404)
        if recorded.json()["model"] not in self.models:
            return as_json({"detail": f"Model {recorded.json()['model']} is not supported."}, 400)
        return super().call(recorded, path, model)

    def error(self, status: int) -> object:
        return {"detail": f"Something about the key {self.key} you sent."}
