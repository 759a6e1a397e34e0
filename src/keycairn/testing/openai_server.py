"""OpenAI's API. Source: the OpenAPI description in github.com/openai/openai-openapi, and the error codes guide."""

import base64
import struct
from typing import Any, ClassVar

from keycairn.domain.modality import Modality
from keycairn.testing.server import KEY, Answer, LocalServer, Recorded, as_json, sse

LANGUAGE, EMBEDDING, HEARING, SPEECH, IMAGE = "language", "embedding", "hearing", "speech", "image"
MODELS = {
    "gpt-5-mini": LANGUAGE,
    "gpt-4o": LANGUAGE,
    "text-embedding-3-small": EMBEDDING,
    "whisper-1": HEARING,
    "tts-1": SPEECH,
    "dall-e-3": IMAGE,
}
MODALITIES: dict[str, Modality | None] = {
    name: {
        LANGUAGE: Modality.LANGUAGE,
        EMBEDDING: Modality.EMBEDDING,
        HEARING: Modality.SPEECH_TO_TEXT,
        SPEECH: Modality.TEXT_TO_SPEECH,
    }.get(kind)
    for name, kind in MODELS.items()
}
"""The type of each model, None for one that makes images."""
VECTOR = [0.25, -0.5, 0.125]
USAGE = {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}
SOUND = b"ID3\x04\x00\x00\x00\x00\x00\x00 not much of a sound"
_KINDS = {
    "/chat/completions": LANGUAGE,
    "/embeddings": EMBEDDING,
    "/audio/speech": SPEECH,
    "/audio/transcriptions": HEARING,
}


class OpenAIServer(LocalServer):
    """Chat (whole and streamed), embeddings, speech, transcriptions, the list of models."""

    base: ClassVar[str] = "/v1"

    def __init__(self, *, key: str | None = KEY, models: dict[str, str] | None = None, port: int = 0) -> None:
        super().__init__(key=key, port=port)
        self.models: dict[str, str] = dict(MODELS if models is None else models)
        self.legacy_limits = False
        """Whether it knows `max_tokens` only, as servers other than OpenAI's do."""

    def error(self, status: int) -> object:
        """An error that repeats the key, as some do."""
        codes = {401: "invalid_api_key", 429: "rate_limit_exceeded", 404: "unknown_url", 402: "insufficient_quota"}
        kinds = {401: "invalid_request_error", 429: "requests", 402: "insufficient_quota"}
        kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
        message = f"Something about the key {self.key} you sent."
        return {"error": {"message": message, "type": kind, "param": None, "code": codes.get(status)}}

    def gone(self, model: str) -> object:
        """The error of a call of a model that is not there."""
        message = f"The model `{model}` does not exist or you do not have access to it."
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "model_not_found"}
        return {"error": error}

    def answer(self, recorded: Recorded) -> Answer:
        """What is below `base`."""
        if not recorded.path.startswith(self.base):
            return as_json(self.error(404), 404)
        return self.call(recorded, recorded.path.removeprefix(self.base))

    def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
        """The answer to `path` below the base; `model` where the path names it."""
        if (recorded.method, path) == ("GET", "/models"):
            return as_json({"object": "list", "data": [self.item(name, kind) for name, kind in self.models.items()]})
        if recorded.method != "POST" or path not in _KINDS:
            return as_json(self.error(404), 404)
        body = recorded.form() if path == "/audio/transcriptions" else recorded.json()
        named = body.get("model", "")
        model = model or (named.decode() if isinstance(named, bytes) else named)
        if self.models.get(model) != _KINDS[path]:
            return as_json(self.gone(model), 404)
        answers = {
            "/chat/completions": self._chat,
            "/embeddings": self._embed,
            "/audio/speech": self._speak,
            "/audio/transcriptions": self._hear,
        }
        return answers[path](model, body)

    def item(self, name: str, kind: str) -> dict[str, Any]:  # noqa: ARG002  # for subclasses
        """One model of the list."""
        return {"id": name, "object": "model", "created": 1715367049, "owned_by": "system"}

    def _bad(self, parameter: str, code: str | None = None) -> Answer:
        message = f"Unsupported parameter: '{parameter}'."
        return as_json(
            {"error": {"message": message, "type": "invalid_request_error", "param": parameter, "code": code}}, 400
        )

    def _chat(self, model: str, body: dict[str, Any]) -> Answer:
        if not body.get("messages"):
            return self._bad("messages")
        if "max_tokens" in body and model.startswith(("gpt-5", "o1", "o3")):
            return self._bad("max_tokens", "unsupported_parameter")
        if "max_completion_tokens" in body and self.legacy_limits:
            return self._bad("max_completion_tokens", "unsupported_parameter")
        head = {"id": "chatcmpl-1", "created": 1715367049, "model": model}
        if body.get("stream"):
            chunk = {**head, "object": "chat.completion.chunk"}
            deltas: tuple[dict[str, str], ...] = (
                {"role": "assistant", "content": ""},
                {"content": "Hel"},
                {"content": "lo!"},
                {},
            )
            ends = (None, None, None, "stop")
            events = [
                {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
                for delta, end in zip(deltas, ends, strict=True)
            ]
            if (body.get("stream_options") or {}).get("include_usage"):
                events = [{**event, "usage": None} for event in events] + [{**chunk, "choices": [], "usage": USAGE}]
            return sse(*events)
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}
        return as_json({**head, "object": "chat.completion", "choices": [choice], "usage": USAGE})

    def _embed(self, model: str, body: dict[str, Any]) -> Answer:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
        vector = packed if body.get("encoding_format") == "base64" else VECTOR
        data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(len(texts))]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        return as_json({"object": "list", "data": data, "model": model, "usage": usage})

    def _speak(self, _: str, body: dict[str, Any]) -> Answer:
        if not body.get("voice") or not body.get("input"):
            return self._bad("voice")
        return Answer(body=SOUND, type="audio/mpeg")

    def _hear(self, _: str, body: dict[str, Any]) -> Answer:
        sound = body.get("file", b"")
        return as_json({"text": "you"}) if sound.startswith(b"RIFF") and b"WAVE" in sound[:16] else self._bad("file")
