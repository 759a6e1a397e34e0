"""Google's Gemini API. Source: ai.google.dev/api (models, generate-content, embeddings) and google.rpc.Status."""

import base64
from typing import Any, ClassVar
from urllib.parse import unquote

from keycairn.testing.server import KEY, Answer, LocalServer, Recorded, as_json, sse

MODELS = {
    "gemini-2.5-flash": ["generateContent", "countTokens"],
    "gemini-2.5-flash-preview-tts": ["generateContent", "countTokens"],
    "gemini-2.5-flash-image": ["generateContent", "countTokens"],
    "gemini-embedding-001": ["embedContent"],
    "imagen-4.0-generate-001": ["predict"],
}
VECTOR = [0.5, 0.25, -0.125, 1.0]
_STATUSES = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}


class GeminiServer(LocalServer):
    """The list of models, in pages, generateContent, streamGenerateContent, embedContent, batchEmbedContents."""

    header: ClassVar[str] = "x-goog-api-key"
    scheme: ClassVar[str] = ""

    def __init__(self, *, key: str | None = KEY, models: dict[str, list[str]] | None = None, page: int = 1000) -> None:
        super().__init__(key=key)
        self.models = dict(MODELS if models is None else models)
        self.page = page

    def authorized(self, recorded: Recorded) -> bool:
        """By header or by query, as esperanto does."""
        return super().authorized(recorded) or recorded.query.get("key") == self.key

    def refusal(self) -> tuple[object, int]:
        """A wrong key is a bad request here."""
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [reason]}
        return {"error": error}, 400

    def error(self, status: int) -> object:
        message = f"Something about the key {self.key} you sent."
        return {"error": {"code": status, "message": message, "status": _STATUSES.get(status, "UNAVAILABLE")}}

    def answer(self, recorded: Recorded) -> Answer:
        path = unquote(recorded.path).replace("/v1/", "/v1beta/", 1)  # both versions have these calls
        if (recorded.method, path) == ("GET", "/v1beta/models"):
            return as_json(self._page(recorded.query))
        name, _, method = path.removeprefix("/v1beta/models/").partition(":")
        known = {"streamGenerateContent": "generateContent", "batchEmbedContents": "embedContent"}.get(method, method)
        if recorded.method != "POST" or known not in self.models.get(name, []):
            why = f"models/{name} is not found for API version v1beta, or is not supported for {method}."
            return as_json({"error": {"code": 404, "message": why, "status": "NOT_FOUND"}}, 404)
        body = recorded.json()
        if method == "embedContent":
            return as_json({"embedding": {"values": VECTOR}})
        if method == "batchEmbedContents":
            return as_json({"embeddings": [{"values": VECTOR} for _ in body["requests"]]})
        if not body.get("contents"):
            return as_json(self.error(400), 400)
        answer = _generated(body, name)
        return sse(answer, done=False) if method == "streamGenerateContent" else as_json(answer)

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        start = int(query.get("pageToken", "p0")[1:])
        size = min(self.page, int(query.get("pageSize", "50")))
        names = list(self.models)[start : start + size]
        models = [
            {"name": f"models/{n}", "displayName": n.title(), "supportedGenerationMethods": self.models[n]}
            for n in names
        ]
        more = {"nextPageToken": f"p{start + size}"} if start + size < len(self.models) else {}
        return {"models": models, **more}


def _generated(body: dict[str, Any], name: str) -> dict[str, Any]:
    part: dict[str, Any] = {"text": "Hello!"}
    if "AUDIO" in body.get("generationConfig", {}).get("responseModalities", []):
        part = {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": base64.b64encode(bytes(8)).decode()}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 2, "candidatesTokenCount": 2, "totalTokenCount": 4}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": name, "responseId": "r1"}
