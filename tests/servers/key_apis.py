"""Providers' own APIs for managing keys. Each source stands in the plugin's file that speaks it."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import unquote

import jwt
from tests.servers.vertex_api import EMAIL, key_pair, service_account

from keycairn.testing import ADMIN, Answer, KeyServer, Recorded, ServedKey, as_json, not_there

GOOGLE_OWN = service_account()
IAM = "https://iam.amazonaws.com/doc/2010-05-08/"


def alias_of(id: str) -> str:
    """The alias of a Bedrock API key."""
    return f"BedrockAPIKey-{id.lower()}-at-123456789012"


def bedrock_key(id: str) -> str:
    """A Bedrock API key: it begins with its alias, in base64."""
    return "ABSK" + b64encode(f"{alias_of(id)}:canary-{id}".encode()).decode()


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


class OpenAIKeyServer(KeyServer):
    """Service accounts of a project, each with its key, and keys that persons made."""

    base = "/v1"
    managing = ("/v1/organization",)
    project = "/v1/organization/projects/proj_1"

    def __init__(self) -> None:
        super().__init__(own="api_keys/key_own")

    def manage(self, recorded: Recorded) -> Answer:
        kind = recorded.path.removeprefix(f"{self.project}/").partition("/")[0]
        if recorded.method == "POST" and kind == "service_accounts":
            name, key = self.new_key(recorded.json()["name"])
            value = {"object": "organization.project.service_account.api_key", "id": f"key_of_{name}"}
            account = {"object": "organization.project.service_account", "id": name.partition("/")[2], "name": key.tag}
            return as_json({**account, "role": "member", "api_key": {**value, "value": key.secret}})
        if recorded.method == "DELETE":
            there = self.keys.pop(f"{kind}/{last(recorded)}", None)
            return as_json({"id": last(recorded), "deleted": True}) if there else not_there(self)
        rows = [self._account(id, key) for id, key in self.keys.items() if id.startswith("service_accounts/")]
        if kind == "api_keys":
            assert recorded.query["owner_project_access"] == "any"
            rows = [self._key(id, key) for id, key in self.keys.items()]
        limit = int(recorded.query["limit"])
        assert limit <= self.page
        start = next((n + 1 for n, row in enumerate(rows) if row["id"] == recorded.query.get("after")), 0)
        page = rows[start : start + limit]
        more = {"has_more": start + limit < len(rows), "last_id": page[-1]["id"] if page else None}
        return as_json({"object": "list", "data": page, **more})

    def new_key(self, tag: str, *, id: str = "", secret: str = "") -> tuple[str, ServedKey]:
        name, key = super().new_key(tag, secret=secret)
        del self.keys[name]
        self.keys[f"service_accounts/svc_acct_{name}"] = key
        return f"service_accounts/svc_acct_{name}", key

    def use(self, recorded: Recorded) -> Answer:
        return as_json({"object": "list", "data": [{"id": "gpt-4o", "object": "model"}]})

    def _account(self, id: str, key: ServedKey) -> dict[str, object]:
        return {"id": id.partition("/")[2], "name": key.tag, "role": "member", "created_at": 1_700_000_000}

    def _key(self, id: str, key: ServedKey) -> dict[str, object]:
        kind, _, name = id.partition("/")
        owner: dict[str, object] = {"type": "user", "user": {"id": "user_1"}}
        if kind == "service_accounts":
            owner = {"type": "service_account", "service_account": {"id": name}}
        value = f"{key.secret[:5]}...{key.secret[-5:]}"
        row = {"id": name if kind == "api_keys" else f"key_of_{name}", "redacted_value": value, "owner": owner}
        return {**row, "name": None if kind == "api_keys" else key.tag, "created_at": 1_700_000_000}


class AnthropicKeyServer(KeyServer):
    """Keys of an organization: listed, and set inactive."""

    managing = ("/v1/organizations",)
    header = "x-api-key"
    scheme = ""

    def manage(self, recorded: Recorded) -> Answer:
        assert recorded.headers["anthropic-version"] == "2023-06-01"
        if recorded.method == "POST":
            if (key := self.keys.get(last(recorded))) is None:
                return not_there(self)
            key.usable = recorded.json()["status"] == "active"
            return as_json(self._row(last(recorded), key))
        rows = [self._row(id, key) for id, key in self.keys.items()]
        start = next((n + 1 for n, row in enumerate(rows) if row["id"] == recorded.query.get("after_id")), 0)
        page = rows[start : start + self.page]
        return as_json(
            {"data": page, "has_more": start + self.page < len(rows), "last_id": page[-1]["id"] if page else None}
        )

    def use(self, recorded: Recorded) -> Answer:
        return as_json({"data": [{"id": "claude-sonnet-4-5", "type": "model"}], "has_more": False})

    def _row(self, id: str, key: ServedKey) -> dict[str, object]:
        hint = f"{key.secret[:7]}...{key.secret[-4:]}"
        status = "active" if key.usable else "inactive"
        return {"type": "api_key", "id": id, "name": key.tag, "status": status, "partial_key_hint": hint}


class ElevenLabsKeyServer(KeyServer):
    """Keys of a service account."""

    base = "/v1"
    managing = ("/v1/service-accounts",)
    header = "xi-api-key"
    scheme = ""

    def manage(self, recorded: Recorded) -> Answer:
        if recorded.method == "POST":
            body = recorded.json()
            assert body["permissions"]
            name, key = self.new_key(body["name"])
            return as_json({"xi-api-key": key.secret, "key_id": name})
        if recorded.method == "DELETE":
            return as_json({}) if self.keys.pop(last(recorded), None) else not_there(self)
        rows = [
            {"key_id": id, "name": key.tag, "hint": f"...{key.secret[-4:]}", "permissions": ["text_to_speech"]}
            | {"is_disabled": False, "created_at_unix": 1_700_000_000, "character_limit": 1000}
            for id, key in self.keys.items()
        ]
        return as_json({"api-keys": rows})

    def use(self, recorded: Recorded) -> Answer:
        return as_json({"user_id": "u1"})


class DeepgramKeyServer(KeyServer):
    """Keys of a project; a key tells its own id at `auth/token`."""

    managing = ("/v1/projects/",)
    scheme = "Token "

    def manage(self, recorded: Recorded) -> Answer:
        if recorded.method == "POST":
            body = recorded.json()
            assert body["scopes"] == ["usage:write"]
            name, key = self.new_key(body["comment"])
            return as_json({"api_key_id": name, "key": key.secret, "comment": key.tag, "scopes": body["scopes"]})
        if recorded.method == "DELETE":
            return as_json({"message": "Deleted."}) if self.keys.pop(last(recorded), None) else not_there(self)
        rows = [
            {
                "member": {"member_id": "m1", "email": "a@example.com"},
                "api_key": {"api_key_id": id, "comment": key.tag, "scopes": ["usage:write"]}
                | {"created": "2026-01-01T00:00:00.000000Z"},
            }
            for id, key in self.keys.items()
        ]
        return as_json({"api_keys": rows})

    def use(self, recorded: Recorded) -> Answer:
        if recorded.path.endswith("/auth/token"):
            key = recorded.headers["authorization"].removeprefix("Token ")
            id = next(id for id, one in self.keys.items() if one.secret == key)
            return as_json({"api_key_id": id, "scopes": ["usage:write"]})
        return as_json({"projects": [{"project_id": "p1", "name": "one"}]})


class XAIKeyServer(KeyServer):
    """Keys of a team."""

    base = ""
    managing = ("/auth/",)

    def manage(self, recorded: Recorded) -> Answer:
        if recorded.method == "POST":
            body = recorded.json()
            assert body["acls"] == ["api-key:model:grok-4"]
            name, key = self.new_key(body["name"])
            return as_json({**self._row(name, key), "apiKey": key.secret})
        if recorded.method == "DELETE":
            return as_json({}) if self.keys.pop(last(recorded), None) else not_there(self)
        start = int(recorded.query.get("paginationToken", "0"))
        page = self.paged(start)
        body = {"apiKeys": [self._row(id, key) for id, key in page.items()]}
        return as_json({**body, "paginationToken": str(start + self.page)} if len(page) == self.page else body)

    def use(self, recorded: Recorded) -> Answer:
        return as_json({"data": [{"id": "grok-4"}]})

    def _row(self, id: str, key: ServedKey) -> dict[str, object]:
        redacted = f"{key.secret[:5]}...{key.secret[-4:]}"
        return {"apiKeyId": id, "name": key.tag, "redactedApiKey": redacted, "acls": ["api-key:model:grok-4"]}


class MistralKeyServer(KeyServer):
    """Keys of a user, made and listed; only a person deletes one."""

    base = "/v1"
    managing = ("/api/admin/",)

    def may_manage(self, recorded: Recorded) -> bool:
        return recorded.headers.get("x-api-key") == ADMIN

    def manage(self, recorded: Recorded) -> Answer:
        if recorded.method == "POST":
            body = recorded.json()
            assert (body["user_id"], body["workspace_uuid"]) == ("u1", "w1")
            name, key = self.new_key(body["name"])
            return as_json({**self._row(name, key), "key": key.secret}, 201)
        page = self.paged(int(recorded.query["offset"]), int(recorded.query["limit"]))
        return as_json({"keys": [self._row(id, key) for id, key in page.items()]})

    def use(self, recorded: Recorded) -> Answer:
        return as_json({"data": [{"id": "mistral-small", "capabilities": {"completion_chat": True}}]})

    def _row(self, id: str, key: ServedKey) -> dict[str, object]:
        return {"key_id": id, "hidden_key": f"****{key.secret[-6:]}", "name": key.tag, "expiration": None}


class HuggingFaceKeyServer(KeyServer):
    """Tokens that whoever holds one revokes; they are not listed."""

    base = "/v1"
    managing = ("/api/credentials/",)

    def may_manage(self, recorded: Recorded) -> bool:
        return "authorization" not in recorded.headers

    def manage(self, recorded: Recorded) -> Answer:
        assert (recorded.method, recorded.path) == ("POST", "/api/credentials/revoke")
        leaked = set(recorded.json()["credentials"])
        self.keys = {id: key for id, key in self.keys.items() if key.secret not in leaked}
        return Answer(202, b"")

    def use(self, recorded: Recorded) -> Answer:
        return as_json({"data": [{"id": "meta-llama/Llama-4", "object": "model"}]})


class AzureKeyServer(KeyServer):
    """The two keys of a resource, for whom Entra ID gave a token."""

    managing = ("/subscriptions/", "/tenant/")
    header = "api-key"
    scheme = ""
    bought = "entra-canary-0123456789"

    def __init__(self) -> None:
        super().__init__(own="Key1")
        self.new_key("", id="Key2")

    def may_manage(self, recorded: Recorded) -> bool:
        if recorded.path == "/tenant/oauth2/v2.0/token":
            form = recorded.content
            return bool(form["client_secret"] == ADMIN and form["scope"] == f"{self.origin}/.default")
        return recorded.headers.get("authorization") == f"Bearer {self.bought}"

    def manage(self, recorded: Recorded) -> Answer:
        if recorded.path.startswith("/tenant/"):
            return as_json({"token_type": "Bearer", "access_token": self.bought, "expires_in": 3599})
        assert recorded.query == {"api-version": "2025-09-01"}
        assert recorded.method == "POST"
        if recorded.path.endswith("/regenerateKey"):
            self.new_key("", id=recorded.json()["keyName"])
        return as_json({"key1": self.keys["Key1"].secret, "key2": self.keys["Key2"].secret})

    def use(self, recorded: Recorded) -> Answer:
        return as_json({"data": [{"id": "gpt-4o", "capabilities": {"chat_completion": True}}]})


class GoogleKeyServer(KeyServer):
    """Keys of a service account, for whom Google's OAuth gave a token, and tokens for the account itself."""

    managing = ("/v1/projects/-/serviceAccounts/", "/manager-token")
    bought = "oauth-canary-0123456789"

    def __init__(self) -> None:
        super().__init__(key=GOOGLE_OWN, own="k1")

    def may_manage(self, recorded: Recorded) -> bool:
        if recorded.path == "/manager-token":
            claims = jwt.decode(
                recorded.content["assertion"],
                key_pair()[1],
                algorithms=["RS256"],
                audience=f"{self.origin}/manager-token",
            )
            return bool(claims["iss"] == "manager@project.iam.gserviceaccount.com")
        return recorded.headers.get("authorization") == f"Bearer {self.bought}"

    def may_use(self, recorded: Recorded) -> bool:
        kid = jwt.get_unverified_header(recorded.content["assertion"])["kid"]
        return kid in self.keys

    def manage(self, recorded: Recorded) -> Answer:
        if recorded.path == "/manager-token":
            return as_json({"access_token": self.bought, "expires_in": 3599})
        assert EMAIL in unquote(recorded.path)
        if recorded.method == "POST":
            name, key = self.new_key("")
            data = b64encode(key.secret.encode()).decode()
            return as_json(
                {**self._row(name), "privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE", "privateKeyData": data}
            )
        if recorded.method == "DELETE":
            return as_json({}) if self.keys.pop(last(recorded), None) else not_there(self)
        assert recorded.query == {"keyTypes": "USER_MANAGED"}
        return as_json({"keys": [self._row(id) for id in self.keys]})

    def new_key(self, tag: str, *, id: str = "", secret: str = "") -> tuple[str, ServedKey]:
        name, key = super().new_key(tag)
        key.secret = GOOGLE_OWN.replace('"k1"', f'"{name}"')
        return name, key

    def use(self, recorded: Recorded) -> Answer:
        return as_json({"access_token": "ya29.used", "expires_in": 3599})

    def error(self, status: int) -> object:
        kind = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}.get(status, "UNAVAILABLE")
        return {"error": {"code": status, "message": "It failed.", "status": kind}}

    def _row(self, id: str) -> dict[str, object]:
        name = f"projects/my-project/serviceAccounts/{EMAIL}/keys/{id}"
        return {"name": name, "validAfterTime": "2026-01-01T00:00:00Z", "validBeforeTime": "9999-12-31T23:59:59Z"}


class IAMKeyServer(KeyServer):
    """Keys of an IAM user, of one kind. What signs is known by its scope."""

    page = 100

    def __init__(self, kind: str = "ServiceSpecificCredential") -> None:
        super().__init__(own="AKIAOWNCANARY000" if kind == "AccessKey" else "ACCAOWN")
        self.kind = kind
        self.id = f"{kind}Id" if kind != "AccessKey" else "AccessKeyId"
        if kind == "AccessKey":
            self.own = f"access-key-{sha256(self.own.encode()).hexdigest()[:24]}"
        else:
            self.keys[self.own].secret = bedrock_key(self.own)

    def manages(self, recorded: Recorded) -> bool:
        return recorded.path == "/"

    def may_use(self, recorded: Recorded) -> bool:
        said = recorded.headers.get("authorization", "")
        signers = [id for id in self.keys if f"Credential={id}/" in said]
        return bool(signers) or super().may_use(recorded)

    def use(self, recorded: Recorded) -> Answer:
        if recorded.path.endswith("/inference-profiles"):
            return as_json({"inferenceProfileSummaries": []})
        return as_json({"modelSummaries": [{"modelId": "amazon.nova-lite-v1:0", "outputModalities": ["TEXT"]}]})

    def may_manage(self, recorded: Recorded) -> bool:
        said = recorded.headers.get("authorization", "")
        return said.startswith("AWS4-HMAC-SHA256 Credential=AKIAMANAGER/") and "/us-east-1/iam/aws4_request" in said

    def manage(self, recorded: Recorded) -> Answer:
        form = recorded.content
        assert (form["Version"], form["UserName"]) == ("2010-05-08", "bedrock-user")
        action = form["Action"]
        if action.startswith("Create"):
            name, key = self.new_key("")
            return self._xml(action, f"<{self.kind}>{self._row(name, key, secret=True)}</{self.kind}>")
        if action.startswith("Delete"):
            if self.keys.pop(form[self.id], None) is None:
                return Answer(404, self.text(404), "text/xml")
            return self._xml(action, "")
        start = int(form.get("Marker", "0"))
        page = self.paged(start)
        rows = "".join(f"<member>{self._row(id, key)}</member>" for id, key in page.items())
        more = len(page) == self.page
        tail = f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
        return self._xml(
            action, f"<Rows>{rows}</Rows>{tail}" + (f"<Marker>{start + self.page}</Marker>" if more else "")
        )

    def new_key(self, tag: str, *, id: str = "", secret: str = "") -> tuple[str, ServedKey]:
        name, key = super().new_key(tag)
        del self.keys[name]
        made = f"{'AKIACANARY' if self.kind == 'AccessKey' else 'ACCA'}{name.upper().replace('-', '')}"
        self.keys[made] = key
        if self.kind != "AccessKey":
            key.secret = bedrock_key(made)
        return made, key

    def error(self, status: int) -> object:
        return {"message": f"It failed ({status})."}

    @staticmethod
    def text(status: int) -> bytes:
        error = f"<Error><Type>Sender</Type><Code>E{status}</Code></Error>"
        return f'<ErrorResponse xmlns="{IAM}">{error}</ErrorResponse>'.encode()

    def _row(self, id: str, key: ServedKey, *, secret: bool = False) -> str:
        told = f"<{self.id}>{id}</{self.id}><Status>Active</Status><CreateDate>2026-01-01T00:00:00Z</CreateDate>"
        if self.kind == "AccessKey":
            return told + (f"<SecretAccessKey>{key.secret}</SecretAccessKey>" if secret else "")
        told += f"<ServiceCredentialAlias>{alias_of(id)}</ServiceCredentialAlias>"
        return told + (f"<ServiceCredentialSecret>{key.secret}</ServiceCredentialSecret>" if secret else "")

    @staticmethod
    def _xml(action: str, result: str) -> Answer:
        inner = (
            f"<{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
        )
        return Answer(200, f'<{action}Response xmlns="{IAM}">{inner}</{action}Response>'.encode(), "text/xml")
