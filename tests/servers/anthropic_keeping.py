"""What Anthropic keeps at an account: batches of messages, and files. Another account knows none of them.

Source: docs.anthropic.com/en/api (creating-message-batches, retrieving-message-batch-results, files-create), and the
types in github.com/anthropics/anthropic-sdk-python (types/messages, types/beta).
"""

import itertools
import json
from typing import Any

from tests.servers.anthropic_api import AnthropicServer

from keycairn.testing.server import Answer, Recorded, as_json


class AnthropicKeeper(AnthropicServer):
    """One account. Its ids hold its `name`, so that a test sees whose they are."""

    def __init__(self, name: str, *, key: str) -> None:
        super().__init__(key=key)
        self.name = name
        self.kept: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self._numbers = itertools.count(1)

    def answer(self, recorded: Recorded) -> Answer:
        kind, _, rest = recorded.path.removeprefix("/v1/").partition("/")
        if kind == "files":
            return self._about(recorded, rest) if rest else self._upload(recorded.form())
        if recorded.path.startswith("/v1/messages/batches"):
            rest = rest.removeprefix("batches").strip("/")
            return self._about(recorded, rest) if rest else self._batch(recorded.json())
        if recorded.path == "/v1/messages":
            for message in recorded.json()["messages"]:
                for part in message["content"] if isinstance(message["content"], list) else []:
                    if (id := part.get("source", {}).get("file_id")) is not None and id not in self.kept:
                        return self._gone()
        return super().answer(recorded)

    def _gone(self) -> Answer:
        return as_json(self.error(404), 404)

    def _new(self, prefix: str) -> str:
        return f"{prefix}{self.name}{next(self._numbers):030d}"

    def _upload(self, form: dict[str, bytes]) -> Answer:
        whole = {
            "id": self._new("file_"),
            "type": "file",
            "filename": "a.txt",
            "mime_type": "text/plain",
            "size_bytes": len(form["file"]),
            "created_at": "2026-01-01T00:00:00Z",
            "downloadable": True,
        }
        self.kept[str(whole["id"])] = whole
        self.contents[str(whole["id"])] = form["file"]
        return as_json(whole)

    def _batch(self, body: dict[str, Any]) -> Answer:
        if any(one["params"]["model"] not in self.models for one in body["requests"]):
            return as_json(self.error(400), 400)
        id = self._new("msgbatch_")
        count = len(body["requests"])
        whole = {
            "id": id,
            "type": "message_batch",
            "processing_status": "ended",
            "request_counts": {"processing": 0, "succeeded": count, "errored": 0, "canceled": 0, "expired": 0},
            "ended_at": "2026-01-01T00:00:00Z",
            "created_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-02T00:00:00Z",
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{self.origin}/v1/messages/batches/{id}/results",
        }
        lines = [
            {
                "custom_id": one["custom_id"],
                "result": {"type": "succeeded", "message": json.loads(self._message(one["params"]).body)},
            }
            for one in body["requests"]
        ]
        self.kept[id] = whole
        self.contents[id] = "".join(json.dumps(line) + "\n" for line in lines).encode()
        return as_json(whole)

    def _about(self, recorded: Recorded, rest: str) -> Answer:
        id, _, action = rest.partition("/")
        if id not in self.kept:
            return self._gone()
        if action == "content":
            return Answer(body=self.contents[id], type="application/octet-stream")
        if action == "results":
            return Answer(body=self.contents[id], type="application/x-jsonl")
        if action == "cancel":
            return as_json({**self.kept[id], "processing_status": "canceling", "results_url": None})
        if recorded.method == "DELETE":
            kind = "message_batch_deleted" if "batch" in id else "file_deleted"
            return as_json({"id": self.kept.pop(id)["id"], "type": kind})
        return as_json(self.kept[id])
