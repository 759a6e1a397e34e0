"""Google's API Keys API: keys of a project. The source stands in the plugin's file."""

from typing import ClassVar

import jwt
from tests.servers.vertex_api import key_pair

from keycairn.testing import Answer, KeyServer, Recorded, ServedKey, as_json, not_there

MANAGER_EMAIL = "manager@project.iam.gserviceaccount.com"
PARENT = "projects/my-project/locations/global/keys"


class GeminiKeyServer(KeyServer):
    """Makes keys by operations that take a look or two, tells a key's text when asked, and deletes softly."""

    managing = ("/v2/", "/manager-token")
    page: ClassVar[int] = 50
    header = "x-goog-api-key"
    scheme = ""
    bought = "oauth-canary-0123456789"

    def __init__(self) -> None:
        super().__init__()
        self.deleted: set[str] = set()
        self.looks = 0

    def may_manage(self, recorded: Recorded) -> bool:
        if recorded.path == "/manager-token":
            audience = f"{self.origin}/manager-token"
            claims = jwt.decode(recorded.content["assertion"], key_pair()[1], algorithms=["RS256"], audience=audience)
            return bool(claims["iss"] == MANAGER_EMAIL)
        return recorded.headers.get("authorization") == f"Bearer {self.bought}"

    def manage(self, recorded: Recorded) -> Answer:
        if recorded.path == "/manager-token":
            return as_json({"access_token": self.bought, "expires_in": 3599})
        if recorded.path == "/v2/keys:lookupKey":
            return self._found(recorded)
        if recorded.path.startswith("/v2/operations/"):
            self.looks += 1
            return as_json({"name": recorded.path.removeprefix("/v2/"), "done": self.looks % 2 == 0})
        if recorded.path == f"/v2/{PARENT}":
            return self._made(recorded) if recorded.method == "POST" else self._listed(recorded)
        return self._one(recorded)

    def _one(self, recorded: Recorded) -> Answer:
        name, _, what = recorded.path.removeprefix(f"/v2/{PARENT}/").partition("/")
        if name not in self.keys:
            return not_there(self)
        if recorded.method == "DELETE":
            del self.keys[name]
            self.deleted.add(name)
            return as_json({"name": f"operations/akmf.p7-{name}", "done": False})
        return as_json({"keyString": self.keys[name].secret} if what == "keyString" else self._row(name))

    def use(self, recorded: Recorded) -> Answer:
        model = {"name": "models/gemini-2.5-flash", "supportedGenerationMethods": ["generateContent"]}
        return as_json({"models": [model]})

    def error(self, status: int) -> object:
        kinds = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS"}
        kind = kinds.get(status, "RESOURCE_EXHAUSTED" if status == 429 else "UNAVAILABLE")
        return {"error": {"code": status, "message": "It failed.", "status": kind}}

    def _found(self, recorded: Recorded) -> Answer:
        assert (recorded.method, recorded.headers["x-http-method-override"]) == ("POST", "GET")
        text = recorded.content["keyString"]
        name = next((id for id, key in self.keys.items() if key.secret == text), None)
        if name is None:
            return as_json(self.error(403), 403)
        return as_json({"parent": PARENT.removesuffix("/keys"), "name": f"{PARENT}/{name}"})

    def _made(self, recorded: Recorded) -> Answer:
        id, body = recorded.query["keyId"], recorded.json()
        if id in self.keys or id in self.deleted:
            return as_json(self.error(409), 409)
        assert body["restrictions"] == {"apiTargets": [{"service": "generativelanguage.googleapis.com"}]}
        assert body["serviceAccountEmail"] == "caller@my-project.iam.gserviceaccount.com"
        self.new_key(body["displayName"], id=id)
        return as_json({"name": f"operations/akmf.p7-{id}"})

    def _listed(self, recorded: Recorded) -> Answer:
        assert recorded.query["pageSize"] == "300"
        start = int(recorded.query.get("pageToken", "0"))
        rows = [self._row(id) for id in self.paged(start)]
        more = {"nextPageToken": str(start + self.page)} if len(rows) == self.page else {}
        return as_json({"keys": rows, **more} if rows else {})

    def _row(self, id: str) -> dict[str, object]:
        key: ServedKey = self.keys[id]
        told = {"name": f"{PARENT}/{id}", "uid": f"uid-{id}", "displayName": key.tag, "etag": 'W/"x"'}
        bound = {"serviceAccountEmail": "caller@my-project.iam.gserviceaccount.com"}
        restrictions = {"apiTargets": [{"service": "generativelanguage.googleapis.com"}]}
        return {**told, **bound, "createTime": "2026-01-01T00:00:00.123456Z", "restrictions": restrictions}
