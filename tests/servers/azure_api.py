"""Azure OpenAI's API. Source: learn.microsoft.com/azure/ai-services/openai/reference, version 2024-10-21."""

from typing import Any, ClassVar
from urllib.parse import unquote

from keycairn.testing.openai_server import EMBEDDING, LANGUAGE, OpenAIServer
from keycairn.testing.server import Answer, Recorded, as_json


class AzureServer(OpenAIServer):
    """OpenAI's calls below a deployment, with a header of its own and a version that is demanded."""

    base: ClassVar[str] = ""
    header: ClassVar[str] = "api-key"
    scheme: ClassVar[str] = ""

    def error(self, status: int) -> object:
        return {"error": {"code": str(status), "message": f"About the key {self.key} you sent."}}

    def gone(self, model: str) -> object:
        return {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}

    def answer(self, recorded: Recorded) -> Answer:
        if not recorded.query.get("api-version"):
            return as_json({"error": {"code": "404", "message": "Resource not found"}}, 404)
        path = recorded.path.removeprefix("/openai")
        if path == "/models":
            return self.call(recorded, path)
        deployment, _, rest = path.removeprefix("/deployments/").partition("/")
        if not path.startswith("/deployments/"):
            return as_json({"error": {"code": "404", "message": "Resource not found"}}, 404)
        return self.call(recorded, f"/{rest}", unquote(deployment))

    def item(self, name: str, kind: str) -> dict[str, Any]:
        capabilities = {
            "fine_tune": False,
            "inference": True,
            "completion": False,
            "chat_completion": kind == LANGUAGE,
            "embeddings": kind == EMBEDDING,
        }
        return {"id": name, "object": "model", "status": "succeeded", "capabilities": capabilities}
