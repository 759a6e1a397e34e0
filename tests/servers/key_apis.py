"""Providers' own APIs for managing keys. Each source stands in the plugin's file that speaks it."""

from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import unquote

from keycairn.testing import Answer, KeyServer, Recorded, ServedKey, as_json, not_there


def last(recorded: Recorded) -> str:
    """The last part of the path."""
    return unquote(recorded.path.rpartition("/")[2])


class OpenRouterKeyServer(KeyServer):
    """`POST /keys`, `GET /keys`, `DELETE /keys/{hash}`: a key is known by its SHA-256."""

    base = "/api/v1"
    managing = ("/api/v1/keys",)

    def __init__(self) -> None:
        super().__init__()
        self.own = self._hash(self.keys.pop("own").secret)
        self.keys[self.own] = ServedKey(self.key or "", "made by hand")

    @staticmethod
    def _hash(secret: str) -> str:
        return sha256(secret.encode()).hexdigest()

    def manage(self, recorded: Recorded) -> Answer:
        if recorded.method == "POST":
            _, key = self.new_key(recorded.json()["name"])
            return as_json({"data": self._row(self._hash(key.secret), key), "key": key.secret}, 201)
        if recorded.method == "DELETE":
            return as_json({"deleted": True}) if self.keys.pop(last(recorded), None) else not_there(self)
        page = self.paged(int(recorded.query["offset"]))
        return as_json({"data": [self._row(hash, key) for hash, key in page.items()]})

    def new_key(self, tag: str, *, id: str = "", secret: str = "") -> tuple[str, ServedKey]:
        name, key = super().new_key(tag, id=id, secret=secret)
        del self.keys[name]
        self.keys[self._hash(key.secret)] = key
        return self._hash(key.secret), key

    def use(self, recorded: Recorded) -> Answer:
        if recorded.path.endswith("/key"):
            return as_json({"data": {"label": "sk-or-v1-abc...def", "limit": None}})
        return as_json({"data": [{"id": "openai/gpt-5", "name": "GPT-5"}]})

    def _row(self, hash: str, key: ServedKey) -> Mapping[str, object]:
        label = f"{key.secret[:8]}...{key.secret[-3:]}"
        return {"hash": hash, "name": key.tag, "label": label, "disabled": False, "limit": 5}
