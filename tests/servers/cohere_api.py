"""Cohere's API. Source: docs.cohere.com/reference (list-models, chat, embed, errors)."""

from keycairn.testing.server import Answer, LocalServer, Recorded, as_json

MODELS = {
    "command-a-03-2025": ["chat", "generate"],
    "embed-v4.0": ["embed"],
    "rerank-v3.5": ["rerank"],
    "command-r7b": ["chat"],
}
VECTOR = [0.5, 0.25]


class CohereServer(LocalServer):
    """Lists in pages, chats, embeds."""

    def __init__(self, *, page: int = 1000) -> None:
        super().__init__()
        self.page = page

    def error(self, status: int) -> object:
        return {"id": "3f6c", "message": f"Something about the key {self.key} you sent ({status})."}

    def answer(self, recorded: Recorded) -> Answer:
        match recorded.method, recorded.path:
            case "GET", "/v1/models":
                start = int(recorded.query.get("page_token", "0"))
                names = list(MODELS)[start : start + self.page]
                more = str(start + self.page) if start + self.page < len(MODELS) else None
                models = [{"name": name, "endpoints": MODELS[name], "context_length": 4096.0} for name in names]
                return as_json({"models": models, "next_page_token": more})
            case "POST", "/compatibility/v1/chat/completions" if "chat" in MODELS.get(recorded.json()["model"], ()):
                message = {"role": "assistant", "content": "Hello!"}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                named = {"id": "1", "object": "chat.completion", "created": 1, "model": recorded.json()["model"]}
                return as_json({**named, "choices": [choice]})
            case "POST", "/v2/chat" if "chat" in MODELS.get(recorded.json()["model"], ()):
                said = {"role": "assistant", "content": [{"type": "text", "text": "Hello!"}]}
                tokens = {"tokens": {"input_tokens": 1, "output_tokens": 2}}
                return as_json({"id": "1", "finish_reason": "COMPLETE", "message": said, "usage": tokens})
            case "POST", "/v2/embed" if "embed" in MODELS.get(recorded.json()["model"], ()):
                body = recorded.json()
                if not body.get("input_type") or body.get("embedding_types") != ["float"]:
                    return as_json(self.error(400), 400)
                vectors = {"float": [VECTOR for _ in body["texts"]]}
                return as_json({"id": "1", "embeddings": vectors, "texts": body["texts"]})
        why = "model not found, make sure the correct model ID was used and that you have access to the model."
        return as_json({"id": "3f6c", "message": why}, 404)
