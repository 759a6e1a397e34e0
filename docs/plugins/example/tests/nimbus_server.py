"""A server that behaves as Nimbus documents it."""

from typing import ClassVar

from keycairn.testing import Answer, LocalServer, Recorded, as_json

MODELS = {"quill-2": "writer", "quill-2-mini": "writer", "atlas-1": "mapper", "brush-1": "painter"}
PAGE = 3


class NimbusServer(LocalServer):
    """Lists three models a page to everyone, and does the rest for those who have the key."""

    base: ClassVar[str] = "/v2"
    header: ClassVar[str] = "x-nimbus-key"
    scheme: ClassVar[str] = ""

    def authorized(self, recorded: Recorded) -> bool:
        """Models are public."""
        return recorded.path == "/v2/models" or super().authorized(recorded)

    def error(self, status: int) -> object:
        """With the key in it: the suite sees to it that the provider does not pass it on."""
        return {"problem": f"error {status} for the key {self.key}"}

    def answer(self, recorded: Recorded) -> Answer:
        """The four calls the plugin makes."""
        match recorded.method, recorded.path:
            case "GET", "/v2/owner":
                return as_json({"owner": "me"})
            case "GET", "/v2/models":
                start = int(recorded.query.get("from", 0))
                page = [{"name": name, "kind": kind} for name, kind in MODELS.items()][start : start + PAGE]
                more = str(start + PAGE) if start + PAGE < len(MODELS) else None
                return as_json({"models": page, "next": more})
            case "POST", "/v2/write" if MODELS.get(recorded.json()["model"]) == "writer":
                return as_json({"text": "Hello!"})
            case "POST", "/v2/map" if MODELS.get(recorded.json()["model"]) == "mapper":
                return as_json({"vector": [0.5, 0.25]})
            case "POST", "/v2/write" | "/v2/map":
                return as_json({"problem": "there is no such model here", "code": "no_such_model"}, 404)
        return as_json(self.error(404), 404)
