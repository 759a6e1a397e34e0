"""What OpenAI keeps at an account: responses, conversations, files and batches. Another account knows none of them.

Source: platform.openai.com/docs/api-reference (responses, files, batches), and the OpenAPI description in
github.com/openai/openai-openapi.
"""

import itertools
from typing import Any

from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import Answer, Recorded, as_json, sse

USAGE = {
    "input_tokens": 8,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 10,
}


class KeepingServer(OpenAIServer):
    """One account. Its ids begin with its `name`, so that a test sees whose they are."""

    def __init__(self, name: str, *, key: str) -> None:
        super().__init__(key=key)
        self.name = name
        self.kept: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self._numbers = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}{self.name}{next(self._numbers):044d}"

    def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
        kind, _, rest = path.strip("/").partition("/")
        if kind == "responses":
            return self._respond(recorded.json()) if not rest else self._about(recorded, rest)
        if kind == "files":
            return self._upload(recorded.form()) if not rest else self._about(recorded, rest)
        if kind == "batches":
            return self._batch(recorded.json()) if not rest else self._about(recorded, rest)
        return super().call(recorded, path, model)

    def _missing(self, id: str, what: str) -> Answer:
        error = {"message": f"{what} with id '{id}' not found.", "type": "invalid_request_error", "code": None}
        return as_json({"error": {**error, "param": "id"}}, 404 if what != "Previous response" else 400)

    def _respond(self, body: dict[str, Any]) -> Answer:
        before = body.get("previous_response_id")
        if before is not None and before not in self.kept:
            return self._missing(before, "Previous response")
        for item in body["input"] if isinstance(body["input"], list) else []:
            for part in item.get("content", []):
                if isinstance(part, dict) and "file_id" in part and part["file_id"] not in self.kept:
                    return self._missing(part["file_id"], "File")
        text = {"type": "output_text", "text": f"Hello from {self.name}!", "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
        whole = {
            "id": self.new_id("resp_"),
            "object": "response",
            "created_at": 1,
            "model": body["model"],
            "previous_response_id": before,
            "output": [message],
            "tools": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "status": "completed",
            "error": None,
            "usage": USAGE,
        }
        self.kept[str(whole["id"])] = whole
        if not body.get("stream"):
            return as_json(whole)
        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {**whole, "output": [], "usage": None}},
            {"type": "response.output_item.added", "output_index": 0, "item": {**message, "content": []}},
            {"type": "response.content_part.added", **at, "part": {**text, "text": ""}},
            {"type": "response.output_text.delta", **at, "delta": text["text"], "logprobs": []},
            {"type": "response.completed", "response": whole},
        ]
        numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
        return sse(*numbered, names=tuple(event["type"] for event in events), done=False)

    def _upload(self, form: dict[str, bytes]) -> Answer:
        content = form["file"]
        whole = {
            "id": self.new_id("file-"),
            "object": "file",
            "bytes": len(content),
            "created_at": 1,
            "filename": "f.jsonl",
            "purpose": form["purpose"].decode(),
            "status": "processed",
        }
        self.kept[str(whole["id"])] = whole
        self.contents[str(whole["id"])] = content
        return as_json(whole)

    def _batch(self, body: dict[str, Any]) -> Answer:
        if body["input_file_id"] not in self.kept:
            return self._missing(body["input_file_id"], "File")
        output = self.new_id("file-")
        self.kept[output] = {"id": output, "object": "file", "bytes": 2, "created_at": 1, "filename": "o.jsonl"}
        self.kept[output] |= {"purpose": "batch_output", "status": "processed"}
        self.contents[output] = b'{"custom_id": "1"}'
        whole = {
            "id": self.new_id("batch_"),
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "completion_window": "24h",
            "status": "completed",
            "output_file_id": output,
            "error_file_id": None,
            "created_at": 1,
        }
        self.kept[str(whole["id"])] = whole
        return as_json(whole)

    def _about(self, recorded: Recorded, rest: str) -> Answer:
        id, _, action = rest.partition("/")
        if id not in self.kept:
            return self._missing(id, "Object")
        if action == "content":
            return Answer(body=self.contents[id], type="application/octet-stream")
        if action == "input_items":
            item = {"id": "msg_0", "type": "message", "role": "user", "status": "completed", "content": []}
            return as_json(
                {"object": "list", "data": [item], "first_id": "msg_0", "last_id": "msg_0", "has_more": False}
            )
        if action == "cancel":
            return as_json({**self.kept[id], "status": "cancelled"})
        if recorded.method == "DELETE":
            return as_json({"id": self.kept.pop(id)["id"], "object": "deleted", "deleted": True})
        return as_json(self.kept[id])
