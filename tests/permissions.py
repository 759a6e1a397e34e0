"""What each route asks for, in one table, and a service with tokens of every kind to try it with."""

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from tests.house import House, plain_spec
from tests.nowhere import Recorder

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.app.keycairn import Keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.audit import Caller
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.modality import Modality
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

PUBLIC = None
ROOT_KEY = parse_root_key(Secret("base64:" + b64encode(sha256(b"permissions").digest()).decode()))
FIXED_TOKEN = "a-fixed-admin-token-of-40-characters-xyz"  # of a test
UNSAFE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
METHODS = ("GET", "HEAD", *UNSAFE_METHODS, "OPTIONS", "TRACE")
FIXED = {"none": "", "garbage": "kc_garbage", "fixed": FIXED_TOKEN}
"""Kinds of tokens that nobody makes."""
STRANGE_METHOD = "KEYS"
"""One that no route could ever have."""


class Rule(NamedTuple):
    """What a route asks for. `installation`: a token of the default workspace; `bounded`: open to a bounded token.

    `gives` is the status for who may call it, with an empty object for a body; `counted`: limits of the token count.
    """

    scope: Scope | None
    installation: bool = False
    bounded: bool = False
    gives: int = 200
    counted: bool = False


CREDENTIALS_READ = Rule(Scope.CREDENTIALS_READ)
CREDENTIALS_WRITE = Rule(Scope.CREDENTIALS_WRITE)
MODELS_READ = Rule(Scope.MODELS_READ)
MODELS_WRITE = Rule(Scope.MODELS_WRITE)
AUDIT = Rule(Scope.AUDIT_READ)
ADMIN = Rule(Scope.ADMIN)
KEEPER = Rule(Scope.ADMIN, installation=True)


def bounded(rule: Rule) -> Rule:
    return rule._replace(bounded=True)


def answering(status: int, rule: Rule) -> Rule:
    return rule._replace(gives=status)


RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/health/live"): Rule(PUBLIC),
    ("GET", "/health/ready"): Rule(PUBLIC),
    ("GET", "/metrics"): Rule(Scope.AUDIT_READ, installation=True),
    ("GET", "/api/credentials"): bounded(CREDENTIALS_READ),
    ("POST", "/api/credentials"): answering(422, bounded(CREDENTIALS_WRITE)),
    ("GET", "/api/credentials/by-provider/{provider}"): bounded(CREDENTIALS_READ),
    ("GET", "/api/credentials/status"): CREDENTIALS_READ,
    ("GET", "/api/credentials/env-status"): CREDENTIALS_READ,
    ("POST", "/api/credentials/migrate-from-env"): CREDENTIALS_WRITE,
    ("POST", "/api/credentials/migrate-from-provider-config"): CREDENTIALS_WRITE,
    ("POST", "/api/credentials/import"): answering(422, CREDENTIALS_WRITE),
    ("GET", "/api/credentials/{id}"): bounded(CREDENTIALS_READ),
    ("PUT", "/api/credentials/{id}"): bounded(CREDENTIALS_WRITE),
    ("DELETE", "/api/credentials/{id}"): bounded(CREDENTIALS_WRITE),
    ("GET", "/api/key-rotations"): bounded(CREDENTIALS_READ),
    ("GET", "/api/credentials/{id}/key-rotation"): answering(404, bounded(CREDENTIALS_READ)),
    ("PUT", "/api/credentials/{id}/key-rotation"): answering(422, bounded(CREDENTIALS_WRITE)),
    ("DELETE", "/api/credentials/{id}/key-rotation"): answering(404, bounded(CREDENTIALS_WRITE)),
    ("POST", "/api/credentials/{id}/key-rotation/rotate"): answering(404, bounded(CREDENTIALS_WRITE)),
    ("POST", "/api/credentials/{id}/key-rotation/leaked"): answering(422, bounded(CREDENTIALS_WRITE)),
    ("POST", "/api/credentials/{id}/key-rotation/resume"): answering(404, bounded(CREDENTIALS_WRITE)),
    ("POST", "/api/credentials/{id}/key-rotation/cancel"): answering(404, bounded(CREDENTIALS_WRITE)),
    ("POST", "/api/credentials/{id}/test"): bounded(CREDENTIALS_WRITE),
    ("POST", "/api/credentials/{id}/discover"): bounded(CREDENTIALS_READ),
    ("POST", "/api/credentials/{id}/register-models"): answering(422, bounded(MODELS_WRITE)),
    ("GET", "/api/providers"): bounded(CREDENTIALS_READ),
    ("GET", "/api/plugins"): bounded(CREDENTIALS_READ),
    ("GET", "/api/models"): bounded(MODELS_READ),
    ("POST", "/api/models"): answering(422, bounded(MODELS_WRITE)),
    ("GET", "/api/models/by-provider/{provider}"): bounded(MODELS_READ),
    ("GET", "/api/models/count/{provider}"): bounded(MODELS_READ),
    ("GET", "/api/models/defaults"): bounded(MODELS_READ),
    ("PUT", "/api/models/defaults"): MODELS_WRITE,
    ("POST", "/api/models/auto-assign"): MODELS_WRITE,
    ("GET", "/api/models/providers"): MODELS_READ,
    ("GET", "/api/models/discover/{provider}"): bounded(MODELS_READ),
    ("POST", "/api/models/sync"): MODELS_WRITE,
    ("POST", "/api/models/sync/{provider}"): bounded(MODELS_WRITE),
    ("GET", "/api/models/{id}"): bounded(MODELS_READ),
    ("PATCH", "/api/models/{id}"): bounded(MODELS_WRITE),
    ("DELETE", "/api/models/{id}"): bounded(MODELS_WRITE),
    ("POST", "/api/models/{id}/test"): bounded(MODELS_WRITE),
    ("GET", "/api/tokens"): ADMIN,
    ("POST", "/api/tokens"): answering(422, ADMIN),
    ("PUT", "/api/tokens/{id}"): answering(404, ADMIN),
    ("DELETE", "/api/tokens/{id}"): answering(404, ADMIN),
    ("GET", "/api/audit"): AUDIT,
    ("GET", "/api/audit/verify"): Rule(Scope.AUDIT_READ, installation=True),
    ("GET", "/api/usage"): AUDIT,
    ("GET", "/api/encryption"): KEEPER,
    ("POST", "/api/encryption/verify"): KEEPER,
    ("POST", "/api/encryption/rotate"): answering(202, KEEPER),
    ("POST", "/api/encryption/keys/{kid}/forget"): answering(422, KEEPER),
    ("POST", "/api/encryption/root-key"): answering(422, KEEPER),
    ("GET", "/api/backup"): KEEPER,
    ("GET", "/api/checkup"): KEEPER,
    ("POST", "/api/checkup/fix"): KEEPER,
    ("POST", "/api/checkup/discard"): answering(422, KEEPER),
    ("POST", "/api/checkup/replay"): KEEPER,
    ("GET", "/openapi"): Rule(PUBLIC),
    ("GET", "/openapi/openapi.json"): Rule(PUBLIC),
    ("GET", "/openapi/{path}"): Rule(PUBLIC, gives=404),
}

ANY = Rule(Scope.INVOKE, bounded=True, gives=303)
"""Of the page: whoever has a session."""
INVOKE = Rule(Scope.INVOKE, bounded=True)
INSTALLATION_WRITE = Rule(Scope.CREDENTIALS_WRITE, installation=True)
PAGE_RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/assets/{name}"): Rule(PUBLIC),
    ("GET", "/sign-in"): Rule(PUBLIC),
    ("POST", "/sign-in"): Rule(PUBLIC),
    ("GET", "/signed-in"): ANY,
    ("POST", "/sign-out"): ANY,
    ("GET", "/"): ANY,
    ("GET", "/places.json"): ANY,
    ("GET", "/credentials"): bounded(CREDENTIALS_READ),
    ("GET", "/credentials/new"): bounded(CREDENTIALS_WRITE),
    ("POST", "/credentials/new"): bounded(CREDENTIALS_WRITE),
    ("GET", "/credentials/{id}"): bounded(CREDENTIALS_READ),
    ("POST", "/credentials/{id}/test"): bounded(CREDENTIALS_WRITE),
    ("GET", "/credentials/{id}/edit"): bounded(CREDENTIALS_WRITE),
    ("POST", "/credentials/{id}/edit"): bounded(CREDENTIALS_WRITE),
    ("GET", "/credentials/{id}/delete"): bounded(CREDENTIALS_WRITE),
    ("POST", "/credentials/{id}/delete"): bounded(CREDENTIALS_WRITE),
    ("GET", "/credentials/{id}/key-rotation"): bounded(CREDENTIALS_READ),
    ("POST", "/credentials/{id}/key-rotation"): bounded(CREDENTIALS_WRITE),
    ("POST", "/credentials/{id}/key-rotation/rotate"): bounded(CREDENTIALS_WRITE),
    ("POST", "/credentials/{id}/key-rotation/leaked"): bounded(CREDENTIALS_WRITE),
    ("POST", "/credentials/{id}/key-rotation/resume"): bounded(CREDENTIALS_WRITE),
    ("POST", "/credentials/{id}/key-rotation/cancel"): bounded(CREDENTIALS_WRITE),
    ("POST", "/credentials/{id}/key-rotation/remove"): bounded(CREDENTIALS_WRITE),
    ("GET", "/credentials/{id}/models"): bounded(CREDENTIALS_READ),
    ("POST", "/credentials/{id}/models"): bounded(CREDENTIALS_READ),
    ("POST", "/credentials/{id}/register"): bounded(MODELS_WRITE),
    ("GET", "/move-in"): CREDENTIALS_WRITE,
    ("POST", "/move-in"): CREDENTIALS_WRITE,
    ("GET", "/move-in/{job}"): CREDENTIALS_WRITE,
    ("POST", "/move-in/{job}/test"): CREDENTIALS_WRITE,
    ("POST", "/move-in/file"): INSTALLATION_WRITE,
    ("GET", "/move-in/file/{job}"): INSTALLATION_WRITE,
    ("POST", "/move-in/file/{job}"): INSTALLATION_WRITE,
    ("GET", "/models"): bounded(MODELS_READ),
    ("POST", "/models/slots"): MODELS_WRITE,
    ("GET", "/models/{id}"): bounded(MODELS_READ),
    ("POST", "/models/{id}"): bounded(MODELS_WRITE),
    ("POST", "/models/{id}/test"): bounded(MODELS_WRITE),
    ("POST", "/models/{id}/slot"): MODELS_WRITE,
    ("POST", "/models/{id}/delete"): bounded(MODELS_WRITE),
    ("GET", "/playground"): INVOKE,
    ("POST", "/playground"): INVOKE,
    ("GET", "/tokens"): ADMIN,
    ("GET", "/tokens/new"): ADMIN,
    ("POST", "/tokens/new"): ADMIN,
    ("GET", "/tokens/{id}/revoke"): ADMIN,
    ("POST", "/tokens/{id}/revoke"): ADMIN,
    ("GET", "/usage"): AUDIT,
    ("GET", "/usage.csv"): AUDIT,
    ("GET", "/audit"): AUDIT,
    ("POST", "/audit/verify"): Rule(Scope.AUDIT_READ, installation=True),
    ("GET", "/encryption"): KEEPER,
    ("POST", "/encryption/rotate"): KEEPER,
    ("POST", "/encryption/verify"): KEEPER,
    ("POST", "/encryption/checkup"): KEEPER,
    ("POST", "/encryption/repair"): KEEPER,
    ("POST", "/encryption/root-key"): KEEPER,
    ("GET", "/backups"): KEEPER,
    ("POST", "/backups"): KEEPER,
    ("POST", "/backups/download"): KEEPER,
    ("GET", "/plugins"): bounded(CREDENTIALS_READ),
    ("GET", "/settings"): KEEPER,
}
"""The page's routes. A form without a field is refused in its own way; what counts is who is let through to it."""

CALL = Rule(Scope.INVOKE, bounded=True, counted=True)
LISTING = Rule(Scope.INVOKE, bounded=True)
UNKNOWN = answering(404, CALL)
"""About what the token has not made."""
GATEWAY_RULES: dict[tuple[str, str], Rule] = {
    ("POST", "/v1/chat/completions"): CALL,
    ("POST", "/v1/completions"): CALL,
    ("POST", "/v1/responses"): CALL,
    ("POST", "/v1/embeddings"): CALL,
    ("POST", "/v1/audio/transcriptions"): CALL,
    ("POST", "/v1/audio/translations"): CALL,
    ("POST", "/v1/audio/speech"): CALL,
    ("POST", "/v1/images/generations"): CALL,
    ("POST", "/v1/images/edits"): CALL,
    ("POST", "/v1/images/variations"): CALL,
    ("POST", "/v1/rerank"): CALL,
    ("POST", "/v1/moderations"): CALL,
    ("POST", "/anthropic/v1/messages"): CALL,
    ("POST", "/anthropic/v1/messages/count_tokens"): CALL,
    ("GET", "/v1/models"): LISTING,
    ("HEAD", "/v1/models"): LISTING,
    ("GET", "/v1/models/{name}"): LISTING,
    ("HEAD", "/v1/models/{name}"): LISTING,
    ("GET", "/anthropic/v1/models"): LISTING,
    ("HEAD", "/anthropic/v1/models"): LISTING,
    ("GET", "/anthropic/v1/models/{name}"): LISTING,
    ("HEAD", "/anthropic/v1/models/{name}"): LISTING,
    ("GET", "/native/{id}/readable"): CALL,
    ("HEAD", "/native/{id}/readable"): CALL,
    ("POST", "/native/{id}/readable"): answering(404, CALL),
    ("PUT", "/native/{id}/readable"): answering(404, CALL),
    ("PATCH", "/native/{id}/readable"): answering(404, CALL),
    ("DELETE", "/native/{id}/readable"): answering(404, CALL),
    ("GET", "/native/{id}/callable"): answering(404, CALL),
    ("HEAD", "/native/{id}/callable"): answering(404, CALL),
    ("POST", "/native/{id}/callable"): CALL,
    ("PUT", "/native/{id}/callable"): answering(404, CALL),
    ("PATCH", "/native/{id}/callable"): answering(404, CALL),
    ("DELETE", "/native/{id}/callable"): answering(404, CALL),
    ("POST", "/v1/files"): answering(400, CALL),
    ("POST", "/v1/batches"): answering(400, CALL),
    **{(method, path): UNKNOWN for method in METHODS if method != "POST" for path in ("/v1/files", "/v1/batches")},
    ("GET", "/v1/responses/{id}"): UNKNOWN,
    ("DELETE", "/v1/responses/{id}"): UNKNOWN,
    ("POST", "/v1/responses/{id}/cancel"): UNKNOWN,
    ("GET", "/v1/responses/{id}/input_items"): UNKNOWN,
    ("GET", "/v1/files/{id}"): UNKNOWN,
    ("DELETE", "/v1/files/{id}"): UNKNOWN,
    ("GET", "/v1/files/{id}/content"): UNKNOWN,
    ("GET", "/v1/batches/{id}"): UNKNOWN,
    ("POST", "/v1/batches/{id}/cancel"): UNKNOWN,
    **{(method, "/v1/nothing"): answering(404, LISTING) for method in METHODS},
    **{(method, "/native/{id}"): answering(404, CALL) for method in METHODS[:6]},
}
NO_SOCKET = answering(404, INVOKE)
SOCKET_RULES: dict[str, Rule] = {
    "/v1/realtime?model=m-openai": NO_SOCKET,
    "/v1/realtime": answering(400, INVOKE),
    "/v1/realtime/translations?model=m-openai": NO_SOCKET,
    "/v1/chat/completions": NO_SOCKET,
    "/v1/nothing": NO_SOCKET,
    "/anthropic/v1/messages": NO_SOCKET,
    "/native/{id}/callable": NO_SOCKET,
    "/native/{id}/readable": NO_SOCKET,
}
"""The gateway's paths as websockets, at providers that have none. All others are none, whoever asks."""
WORKSPACES = ("default", "theirs")
OPENAI_ONLY = Reach(providers=("openai",))


class Kind(NamedTuple):
    """A kind of token. `works`: it is a valid one. `spent`: its limits are used up."""

    name: str
    scope: Scope = Scope.ADMIN
    workspace: str = "default"
    whole: bool = True
    works: bool = True
    spent: bool = False


def kinds() -> Iterator[Kind]:
    """Every kind of token there is."""
    for name in ("none", "garbage", "mistyped", "expired", "revoked", "child of a revoked"):
        yield Kind(name, works=False)
    yield Kind("fixed")
    yield Kind("child of a lent")
    yield Kind("spent", spent=True)
    yield Kind("child of a spent", spent=True)
    for scope in Scope:
        yield from (Kind("plain", scope, workspace) for workspace in WORKSPACES)
        if scope is not Scope.ADMIN:
            yield from (Kind("bounded", scope, workspace, whole=False) for workspace in WORKSPACES)


def may(rule: Rule, kind: Kind) -> bool:
    """Whether a kind of token opens a route."""
    if rule.scope is None:
        return True
    return (
        kind.works
        and (rule is ANY or kind.scope in {rule.scope, Scope.ADMIN})
        and (not rule.installation or (kind.workspace == "default" and kind.whole))
        and (rule.bounded or kind.whole)
    )


def expected(rules: dict[tuple[str, str], Rule], method: str, path: str, kind: Kind) -> int:
    """The status that the table says."""
    if method == STRANGE_METHOD:
        return 405
    gateway = rules is GATEWAY_RULES
    rule = rules.get((method, path))
    if method == "OPTIONS" and not gateway:
        return 204 if kind.works else 401
    if rule is None:
        if not gateway:
            return 405
        rule = CALL._replace(gives=405, counted=False)
    if not may(rule, kind):
        return 403 if kind.works else 401
    return 429 if rule.counted and kind.spent else rule.gives


class Scene:
    """A service with an account of two providers and models of every kind a workspace, and a token of every kind."""

    def __init__(self) -> None:
        self.house = House(keysets=AesGcmKeysets(), upstream=Recorder(), admin_token=FIXED_TOKEN)
        operations = ("GET readable", "POST callable")
        for name, provider in (("openai", self.house.openai), ("anthropic", self.house.anthropic)):
            provider.spec = plain_spec(name, modalities=tuple(Modality), native_operations=operations)
            self.house.registry.load(provider)
        self.plugin = KeycairnPlugin(keycairn=self.house.keycairn)
        self.tokens: dict[Kind, str] = {}
        self.ids: dict[tuple[str, str], tuple[CredentialId, ModelId]] = {}

    async def furnish(self) -> None:
        """Make everything."""
        kc = await self.house.open(ROOT_KEY)
        for workspace in WORKSPACES:
            await self.accounts(workspace)
        for kind in kinds():
            self.tokens[kind] = await self._token(kc, kind)

    def token(self, scope: Scope, workspace: str = "default", *, whole: bool = True) -> str:
        """A plain token of one scope."""
        return self.tokens[Kind("plain" if whole else "bounded", scope, workspace, whole)]

    async def accounts(self, workspace: str) -> None:
        """Make the accounts of a workspace, in place of those before."""
        by = Caller(actor="tests", workspace=workspace)
        kc = self.house.keycairn
        for provider in ("openai", "anthropic"):
            if (before := self.ids.get((workspace, provider))) and await kc.store.credential(workspace, before[0]):
                await kc.credentials.delete(before[0], by=by)
            made = await kc.credentials.create(
                provider,
                name=provider,
                settings={"base_url": "https://api.example.com"},
                secrets={"api_key": Secret(f"sk-{workspace}-{provider}")},
                by=by,
            )
            models = [
                await kc.models.create(
                    f"m-{provider}", provider=provider, type=type, credential=made.credential.id, by=by
                )
                for type in Modality
            ]
            self.ids[workspace, provider] = (made.credential.id, models[0].id)

    async def _token(self, kc: Keycairn, kind: Kind) -> str:
        if kind.name in FIXED:
            return FIXED[kind.name]
        by = Caller(actor="tests")
        maker = None
        if kind.name.startswith("child"):
            limits = Limits(requests_per_minute=1) if kind.spent else NO_LIMITS
            maker, _ = await kc.tokens.create("maker", (kind.scope,), expires=self._in(10**9), limits=limits)
            by = Caller(actor=maker.id)
        token, text = await kc.tokens.create(
            kind.name,
            (kind.scope,),
            expires=self._in(1) if kind.name == "expired" else None,
            limits=Limits(requests_per_minute=1) if kind.name == "spent" else NO_LIMITS,
            reach=EVERYWHERE if kind.whole else OPENAI_ONLY,
            workspace=kind.workspace,
            by=by,
        )
        self.house.clock.tick(5)
        if kind.name == "revoked":
            await kc.tokens.revoke(token.id)
        if kind.name == "child of a revoked" and maker:
            await kc.tokens.revoke(maker.id)
        shown = text.reveal()
        return shown if kind.name != "mistyped" else shown[:-1] + ("0" if shown[-1] != "0" else "1")

    def _in(self, seconds: float) -> datetime:
        return self.house.clock.now() + timedelta(seconds=seconds)


def filled(scene: Scene, path: str, workspace: str, provider: str = "openai") -> str:
    """A path with the ids of a workspace's account."""
    credential, model = scene.ids[workspace, provider]
    id = model if path.startswith(("/api/models", "/models")) else credential
    named = (
        path.replace("{id}", id)
        .replace("{provider}", provider)
        .replace("{path}", "x")
        .replace("{kid}", "7")
        .replace("{job}", "none")
    )
    return named.replace("{name}", f"m-{provider}")
