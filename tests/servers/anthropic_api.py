"""Anthropic's API. Source: docs.anthropic.com/en/api (models-list, messages, messages-streaming, errors)."""

from typing import Any, ClassVar

from keycairn.testing.server import KEY, Answer, LocalServer, Recorded, as_json, sse

MODELS = ("claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5")
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicServer(LocalServer):
    """The list of models, in pages, and messages, whole and streamed."""

    header: ClassVar[str] = "x-api-key"
    scheme: ClassVar[str] = ""

    def __init__(self, *, key: str | None = KEY, models: tuple[str, ...] = MODELS, page: int = 1000) -> None:
        super().__init__(key=key)
        self.models = models
        self.page = page
        """The most models it puts on a page, whatever it is asked for."""

    def error(self, status: int) -> object:
        message = f"Something about the key {self.key} you sent."
        return {"type": "error", "error": {"type": _ERRORS.get(status, "api_error"), "message": message}}

    def answer(self, recorded: Recorded) -> Answer:
        if "anthropic-version" not in recorded.headers:
            return as_json(self.error(400), 400)
        if (recorded.method, recorded.path) == ("GET", "/v1/models"):
            return as_json(self._page(recorded.query))
        if (recorded.method, recorded.path) == ("POST", "/v1/messages"):
            return self._message(recorded.json())
        return as_json(self.error(404), 404)

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        start = self.models.index(query["after_id"]) + 1 if "after_id" in query else 0
        names = self.models[start : start + min(self.page, int(query.get("limit", "20")))]
        data = [
            {"type": "model", "id": name, "display_name": name.title(), "created_at": "2026-02-19T00:00:00Z"}
            for name in names
        ]
        return {
            "data": data,
            "has_more": start + len(names) < len(self.models),
            "first_id": names[0] if names else None,
            "last_id": names[-1] if names else None,
        }

    def _message(self, body: dict[str, Any]) -> Answer:
        if body.get("model") not in self.models:
            gone = {"type": "not_found_error", "message": f"model: {body.get('model')}"}
            return as_json({"type": "error", "error": gone}, 404)
        if not body.get("messages") or not body.get("max_tokens"):
            return as_json(self.error(400), 400)
        usage = {"input_tokens": 8, "output_tokens": 2}
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
        if not body.get("stream"):
            content = [{"type": "text", "text": "Hello!"}]
            return as_json({**head, "content": content, "stop_reason": "end_turn", "usage": usage})
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**head, "content": [], "stop_reason": None, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello!"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
            {"type": "message_stop"},
        ]
        return sse(*events, names=tuple(event["type"] for event in events), done=False)
