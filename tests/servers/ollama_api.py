"""Ollama's API. Source: docs/api.md of github.com/ollama/ollama."""

from typing import Any

from keycairn.testing.server import Answer, LocalServer, Recorded, as_json

MODELS = {"llama3.2:latest": "llama", "nomic-embed-text:latest": "nomic-bert", "mystery-vectors:7b": "bert"}
VECTOR = [0.5, -0.25]
_NOON = "2026-01-01T12:00:00Z"


class OllamaServer(LocalServer):
    """The list of pulled models, chat (whole and streamed line by line), embeddings. It asks for no key."""

    def __init__(self, *, key: str | None = None, models: dict[str, str] | None = None) -> None:
        super().__init__(key=key)
        self.models = dict(MODELS if models is None else models)

    def error(self, status: int) -> object:
        return {"error": f"something went wrong ({status})"}

    def answer(self, recorded: Recorded) -> Answer:
        if (recorded.method, recorded.path) == ("GET", "/api/tags"):
            return as_json({"models": [self._tag(name, family) for name, family in self.models.items()]})
        if recorded.method != "POST" or recorded.path not in {"/api/chat", "/api/embed"}:
            return Answer(404, b"404 page not found", "text/plain")
        body = recorded.json()
        if body.get("model") not in self.models:
            return as_json({"error": f'model "{body.get("model")}" not found, try pulling it first'}, 404)
        if recorded.path == "/api/embed":
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            return as_json({"model": body["model"], "embeddings": [VECTOR for _ in texts]})
        return _chat(body)

    @staticmethod
    def _tag(name: str, family: str) -> dict[str, Any]:
        details = {"format": "gguf", "family": family, "families": [family], "parameter_size": "3.2B"}
        return {
            "name": name,
            "model": name,
            "modified_at": _NOON,
            "size": 2019393189,
            "digest": "a8",
            "details": details,
        }


def _chat(body: dict[str, Any]) -> Answer:
    head = {"model": body["model"], "created_at": _NOON}
    end = {"done": True, "done_reason": "stop", "total_duration": 5, "prompt_eval_count": 8, "eval_count": 2}
    whole = {**head, "message": {"role": "assistant", "content": "Hello!"}, **end}
    if body.get("stream") is False:
        return as_json(whole)
    first = {**head, "message": {"role": "assistant", "content": "Hel"}, "done": False}
    last = {**head, "message": {"role": "assistant", "content": "lo!"}, **end}
    lines = tuple(as_json(one).body + b"\n" for one in (first, last))
    return Answer(type="application/x-ndjson", chunks=lines)
