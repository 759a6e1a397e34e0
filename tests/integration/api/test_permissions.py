"""Who may call what: every route with every kind of token.

The table below says what each route asks for. It is compared with the routes there are, so that a new one cannot be
forgotten; then each is called with each kind of token.
"""

from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple

import pytest
from httpx import Response
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import AsyncTestClient
from tests.house import House

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.app.keycairn import Keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.audit import Caller
from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

PUBLIC = None
ROOT_KEY = parse_root_key(Secret("base64:" + b64encode(sha256(b"permissions").digest()).decode()))


class Rule(NamedTuple):
    """What a route asks for. `installation`: a token of the default workspace; `bounded`: open to a bounded token."""

    scope: Scope | None
    installation: bool = False
    bounded: bool = False


CREDENTIALS_READ = Rule(Scope.CREDENTIALS_READ)
CREDENTIALS_WRITE = Rule(Scope.CREDENTIALS_WRITE)
MODELS_READ = Rule(Scope.MODELS_READ)
MODELS_WRITE = Rule(Scope.MODELS_WRITE)
AUDIT = Rule(Scope.AUDIT_READ)
ADMIN = Rule(Scope.ADMIN)
KEEPER = Rule(Scope.ADMIN, installation=True)


def bounded(rule: Rule) -> Rule:
    return rule._replace(bounded=True)


RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/health/live"): Rule(PUBLIC),
    ("GET", "/health/ready"): Rule(PUBLIC),
    ("GET", "/metrics"): Rule(Scope.AUDIT_READ, installation=True),
    ("GET", "/api/credentials"): bounded(CREDENTIALS_READ),
    ("POST", "/api/credentials"): bounded(CREDENTIALS_WRITE),
    ("GET", "/api/credentials/by-provider/{provider}"): bounded(CREDENTIALS_READ),
    ("GET", "/api/credentials/status"): CREDENTIALS_READ,
    ("GET", "/api/credentials/env-status"): CREDENTIALS_READ,
    ("POST", "/api/credentials/migrate-from-env"): CREDENTIALS_WRITE,
    ("POST", "/api/credentials/migrate-from-provider-config"): CREDENTIALS_WRITE,
    ("POST", "/api/credentials/import"): CREDENTIALS_WRITE,
    ("GET", "/api/credentials/{id}"): bounded(CREDENTIALS_READ),
    ("PUT", "/api/credentials/{id}"): bounded(CREDENTIALS_WRITE),
    ("DELETE", "/api/credentials/{id}"): bounded(CREDENTIALS_WRITE),
    ("POST", "/api/credentials/{id}/test"): bounded(CREDENTIALS_WRITE),
    ("POST", "/api/credentials/{id}/discover"): bounded(CREDENTIALS_READ),
    ("POST", "/api/credentials/{id}/register-models"): bounded(MODELS_WRITE),
    ("GET", "/api/providers"): bounded(CREDENTIALS_READ),
    ("GET", "/api/plugins"): bounded(CREDENTIALS_READ),
    ("GET", "/api/models"): bounded(MODELS_READ),
    ("POST", "/api/models"): bounded(MODELS_WRITE),
    ("GET", "/api/models/by-provider/{provider}"): bounded(MODELS_READ),
    ("GET", "/api/models/count/{provider}"): bounded(MODELS_READ),
    ("GET", "/api/models/defaults"): bounded(MODELS_READ),
    ("PUT", "/api/models/defaults"): MODELS_WRITE,
    ("POST", "/api/models/auto-assign"): MODELS_WRITE,
    ("GET", "/api/models/providers"): MODELS_READ,
    ("GET", "/api/models/discover/{provider}"): bounded(MODELS_READ),
    ("POST", "/api/models/sync"): MODELS_WRITE,
    ("POST", "/api/models/sync/{provider}"): bounded(MODELS_WRITE),
    ("PATCH", "/api/models/{id}"): bounded(MODELS_WRITE),
    ("DELETE", "/api/models/{id}"): bounded(MODELS_WRITE),
    ("POST", "/api/models/{id}/test"): bounded(MODELS_WRITE),
    ("GET", "/api/tokens"): ADMIN,
    ("POST", "/api/tokens"): ADMIN,
    ("DELETE", "/api/tokens/{id}"): ADMIN,
    ("GET", "/api/audit"): AUDIT,
    ("GET", "/api/audit/verify"): Rule(Scope.AUDIT_READ, installation=True),
    ("GET", "/api/usage"): AUDIT,
    ("GET", "/api/encryption"): KEEPER,
    ("POST", "/api/encryption/verify"): KEEPER,
    ("POST", "/api/encryption/rotate"): KEEPER,
    ("POST", "/api/encryption/root-key"): KEEPER,
    ("GET", "/api/backup"): KEEPER,
    ("GET", "/api/checkup"): KEEPER,
    ("POST", "/api/checkup/fix"): KEEPER,
    ("POST", "/api/checkup/replay"): KEEPER,
    ("GET", "/openapi"): Rule(PUBLIC),
    ("GET", "/openapi/openapi.json"): Rule(PUBLIC),
    ("GET", "/openapi/{path}"): Rule(PUBLIC),
}

ROUTES = sorted(RULES)
WORKSPACES = ("default", "theirs")
REACHES = {"whole": EVERYWHERE, "openai only": Reach(providers=("openai",))}


class Scene:
    """A service with one credential and one model a workspace, and a token of every kind."""

    def __init__(self) -> None:
        self.house = House(keysets=AesGcmKeysets())
        self.plugin = KeycairnPlugin(keycairn=self.house.keycairn)
        self.tokens: dict[tuple[object, ...], str] = {}
        self.ids: dict[tuple[str, str], tuple[str, str]] = {}

    async def furnish(self) -> None:
        kc = await self.house.open(ROOT_KEY)
        for workspace in WORKSPACES:
            by = Caller(actor="tests", workspace=workspace)
            for provider in ("openai", "anthropic"):
                made = await kc.credentials.create(
                    provider, name=provider, secrets={"api_key": Secret(f"sk-{workspace}-{provider}")}, by=by
                )
                model = await kc.models.create(
                    f"m-{provider}", provider=provider, type=Modality.LANGUAGE, credential=made.credential.id, by=by
                )
                self.ids[workspace, provider] = (made.credential.id, model.id)
            for scope in Scope:
                for name, reach in REACHES.items():
                    if scope is Scope.ADMIN and not reach.whole:
                        continue
                    await self._token(kc, scope, workspace, name, reach)

    async def _token(self, kc: Keycairn, scope: Scope, workspace: str, name: str, reach: Reach) -> None:
        _, text = await kc.tokens.create("t", (scope,), reach=reach, workspace=workspace)
        self.tokens[scope, workspace, name] = text.reveal()


@pytest.fixture
async def client() -> AsyncIterator[tuple[AsyncTestClient[Litestar], Scene]]:
    scene = Scene()
    await scene.furnish()
    async with AsyncTestClient(Litestar(plugins=[scene.plugin])) as client:
        yield client, scene


def test_the_table_names_every_route_there_is() -> None:
    plugin = KeycairnPlugin(keycairn=House().keycairn)
    there = {
        (method, route.path_format)
        for route in plugin.router.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods - {"OPTIONS"}
    }
    assert there == set(RULES)


async def call(client: AsyncTestClient[Litestar], method: str, path: str, token: str | None) -> Response:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    body = {} if method in {"POST", "PUT", "PATCH"} else None
    return await client.request(method, path, headers=headers, json=body)


def filled(scene: Scene, method: str, path: str, workspace: str, provider: str = "openai") -> str:
    credential, model = scene.ids[workspace, provider]
    id = model if path.startswith("/api/models") else credential
    return path.replace("{id}", id).replace("{provider}", provider).replace("{path}", "x")


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_each_kind_of_token_is_let_through_or_refused_as_the_table_says(
    client: tuple[AsyncTestClient[Litestar], Scene], route: tuple[str, str]
) -> None:
    http, scene = client
    rule = RULES[route]
    method, path = route
    order = sorted(scene.tokens.items(), key=lambda item: may(rule, item[0]))  # the allowed ones may delete
    for kind, token in order:
        _, workspace, _ = kind
        answer = await call(http, method, filled(scene, method, path, str(workspace)), token)
        assert (answer.status_code not in {401, 403}) == may(rule, kind), (kind, answer.status_code, answer.text)
        assert answer.status_code < 500 or answer.status_code == 502, answer.text


def may(rule: Rule, kind: tuple[object, ...]) -> bool:
    scope, workspace, reach = kind
    if rule.scope is None:
        return True
    return (
        scope in {rule.scope, Scope.ADMIN}
        and (not rule.installation or (workspace == "default" and reach == "whole"))
        and (rule.bounded or reach == "whole")
    )


@pytest.mark.parametrize("route", [route for route in ROUTES if RULES[route].scope], ids=" ".join)
async def test_no_token_a_wrong_one_a_revoked_and_an_expired_one_open_nothing(
    client: tuple[AsyncTestClient[Litestar], Scene], route: tuple[str, str]
) -> None:
    http, scene = client
    kc = scene.house.keycairn
    good = scene.tokens[Scope.ADMIN, "default", "whole"]
    revoked, revoked_text = await kc.tokens.create("gone", (Scope.ADMIN,))
    await kc.tokens.revoke(revoked.id)
    soon = scene.house.clock.now() + timedelta(seconds=1)
    _, expired = await kc.tokens.create("late", (Scope.ADMIN,), expires=soon)
    scene.house.clock.tick(5)
    path = filled(scene, *route, "default")
    for token in (None, "", "x", good[:-1], good + "0", good.swapcase(), revoked_text.reveal(), expired.reveal()):
        assert (await call(http, route[0], path, token)).status_code == 401


@pytest.mark.parametrize("route", [route for route in ROUTES if "{id}" in route[1]], ids=" ".join)
async def test_a_record_of_another_workspace_is_as_one_that_never_was(
    client: tuple[AsyncTestClient[Litestar], Scene], route: tuple[str, str]
) -> None:
    http, scene = client
    method, path = route
    if path.startswith("/api/tokens"):
        pytest.skip("see the test of tokens")
    for mine, other in (WORKSPACES, WORKSPACES[::-1]):
        admin = scene.tokens[Scope.ADMIN, mine, "whole"]
        theirs = await call(http, method, filled(scene, method, path, other), admin)
        never = path.replace("{id}", "model:NOBODY" if "/models/" in path else "credential:NOBODY")
        nothing = await call(http, method, never, admin)
        assert theirs.status_code in {404, 422}, theirs.text
        assert (theirs.status_code, theirs.json()) == (nothing.status_code, nothing.json())


@pytest.mark.parametrize("route", [route for route in ROUTES if RULES[route].bounded and "{" in route[1]], ids=" ".join)
async def test_a_bounded_token_does_not_get_at_other_accounts(
    client: tuple[AsyncTestClient[Litestar], Scene], route: tuple[str, str]
) -> None:
    http, scene = client
    method, path = route
    rule = RULES[route]
    token = scene.tokens[rule.scope, "default", "openai only"]
    answer = await call(http, method, filled(scene, method, path, "default", "anthropic"), token)
    if method == "GET" and "by-provider" in path:
        assert answer.json() == []
    else:
        assert answer.status_code in {403, 404}, answer.text


async def test_lists_show_a_bounded_token_its_own_accounts_only(
    client: tuple[AsyncTestClient[Litestar], Scene],
) -> None:
    http, scene = client
    for path, scope in (("/api/credentials", Scope.CREDENTIALS_READ), ("/api/models", Scope.MODELS_READ)):
        whole = await call(http, "GET", path, scene.tokens[scope, "default", "whole"])
        less = await call(http, "GET", path, scene.tokens[scope, "default", "openai only"])
        again = await call(http, "GET", path, scene.tokens[scope, "default", "whole"])
        assert {one["provider"] for one in whole.json()} == {"openai", "anthropic"}
        assert {one["provider"] for one in less.json()} == {"openai"}
        assert again.json() == whole.json(), "what is remembered of a list is remembered by reach"


BOUNDED = [route for route in ROUTES if RULES[route].bounded]


@pytest.mark.parametrize("route", BOUNDED, ids=" ".join)
@pytest.mark.parametrize("by", ["provider", "credential"])
async def test_no_answer_to_a_bounded_token_names_what_is_out_of_reach(
    client: tuple[AsyncTestClient[Litestar], Scene], route: tuple[str, str], by: str
) -> None:
    """Every route open to such tokens, with the ids of what it reaches and of what it does not: bodies and headers."""
    http, scene = client
    method, path = route
    kc = scene.house.keycairn
    mine, my_model = scene.ids["default", "openai"]
    same = await kc.credentials.create("anthropic", name="twin", secrets={"api_key": Secret("sk-default-openai")})
    spare = await kc.credentials.create("openai", name="spare", secrets={"api_key": Secret("sk-default-openai")})
    theirs, their_model = scene.ids["default", "anthropic"]
    more = await kc.models.create("m-more", provider="anthropic", type=Modality.LANGUAGE, credential=theirs)
    loose = await kc.models.create("m-loose", provider="anthropic", type=Modality.LANGUAGE)
    await kc.models.set_defaults({Slot.CHAT: more.id, Slot.TOOLS: their_model, Slot.LARGE_CONTEXT: loose.id})
    out = {theirs, their_model, more.id, loose.id, same.credential.id}
    reach = Reach(providers=("openai",))
    if by == "credential":
        reach, out = Reach(credentials=(mine,)), {*out, spare.credential.id}
    _, token = await kc.tokens.create("bounded", (RULES[route].scope or Scope.INVOKE,), reach=reach)
    asked = {filled(scene, method, path, "default", provider) for provider in ("openai", "anthropic")}
    for target in sorted(asked):
        for query in ("", "?limit=1", "?limit=2", f"?migrate_to={theirs}"):
            answer = await call(http, method, target + query, token.reveal())
            told = f"{answer.text} {answer.headers}"
            assert not [id for id in out if id in told or id.partition(":")[2] in told], (target, told)
    if route == ("GET", "/api/models/defaults"):
        await kc.models.set_defaults({Slot.CHAT: my_model})
        answer = await call(http, method, path, token.reveal())
        assert {slot: id for slot, id in answer.json().items() if id} == {"default_chat_model": my_model}


async def test_a_token_for_one_credential_sees_that_one_and_makes_none(
    client: tuple[AsyncTestClient[Litestar], Scene],
) -> None:
    http, scene = client
    mine, _ = scene.ids["default", "openai"]
    other, _ = scene.ids["default", "anthropic"]
    _, text = await scene.house.keycairn.tokens.create(
        "one", (Scope.CREDENTIALS_READ, Scope.CREDENTIALS_WRITE), reach=Reach(credentials=(mine,))
    )
    token = text.reveal()
    assert [one["id"] for one in (await call(http, "GET", "/api/credentials", token)).json()] == [mine]
    assert (await call(http, "GET", f"/api/credentials/{mine}", token)).status_code == 200
    assert (await call(http, "GET", f"/api/credentials/{other}", token)).status_code == 404
    headers = {"Authorization": f"Bearer {token}"}
    body = {"name": "W", "provider": "openai", "api_key": "sk-0123456789"}
    assert (await http.post("/api/credentials", json=body, headers=headers)).json()["code"] == "out_of_reach"
    moved = await http.delete(f"/api/credentials/{mine}?migrate_to={other}", headers=headers)
    assert moved.json()["code"] == "out_of_reach"


async def test_an_administrator_of_a_workspace_rules_there_and_nowhere_else(
    client: tuple[AsyncTestClient[Litestar], Scene],
) -> None:
    http, scene = client
    theirs = {"Authorization": f"Bearer {scene.tokens[Scope.ADMIN, 'theirs', 'whole']}"}
    ours = {"Authorization": f"Bearer {scene.tokens[Scope.ADMIN, 'default', 'whole']}"}
    body = {"name": "t", "scopes": ["admin"]}
    made = (await http.post("/api/tokens", json=body, headers=theirs)).json()
    assert made["workspace"] == "theirs"
    stolen = await http.post("/api/tokens", json={**body, "workspace": "default"}, headers=theirs)
    assert stolen.status_code == 403
    assert (await http.get("/api/tokens?workspace=default", headers=theirs)).status_code == 403
    assert {token["workspace"] for token in (await http.get("/api/tokens", headers=theirs)).json()} == {"theirs"}

    mine = (await http.get("/api/tokens", headers=ours)).json()[0]
    assert (await http.delete(f"/api/tokens/{mine['id']}", headers=theirs)).status_code == 404
    assert (await http.delete(f"/api/tokens/{made['id']}", headers=ours)).json()["revoked"]
    given = await http.post("/api/tokens", json={**body, "workspace": "new-one"}, headers=ours)
    assert given.json()["workspace"] == "new-one"
    events = (await http.get("/api/audit", headers=theirs)).json()
    assert events
    assert all("default" not in str(event) or event["action"] == "access.refused" for event in events)


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": ["admin"], "reach": {"providers": ["openai"]}},
        {"scopes": ["invoke"], "reach": {"providers": []}},
        {"scopes": ["invoke"], "reach": {"providers": ["nobody"]}},
        {"scopes": ["invoke"], "reach": {"credentials": ["credential:NOBODY"]}},
        {"scopes": ["invoke"], "reach": {"sk-misplaced": []}},
        {"scopes": ["invoke"], "workspace": "../default"},
        {"scopes": ["invoke"], "workspace": ""},
        {"scopes": []},
        {"scopes": ["root"]},
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(
    client: tuple[AsyncTestClient[Litestar], Scene], body: dict[str, object]
) -> None:
    http, scene = client
    ours = {"Authorization": f"Bearer {scene.tokens[Scope.ADMIN, 'default', 'whole']}"}
    answer = await http.post("/api/tokens", json={"name": "t", **body}, headers=ours)
    assert answer.status_code == 422
    assert "sk-misplaced" not in answer.text


async def test_the_environment_is_the_default_workspaces(client: tuple[AsyncTestClient[Litestar], Scene]) -> None:
    http, scene = client
    scene.house.environment.values = {"OPENAI_API_KEY": "sk-of-the-operator"}
    theirs = {"Authorization": f"Bearer {scene.tokens[Scope.ADMIN, 'theirs', 'whole']}"}
    assert not any((await http.get("/api/credentials/env-status", headers=theirs)).json().values())
    assert not any(one["env_configured"] for one in (await http.get("/api/providers", headers=theirs)).json())
    plan = (await http.post("/api/credentials/migrate-from-env", headers=theirs)).json()
    assert plan["migrated"] == []


async def test_refused_attempts_and_uses_of_secrets_are_in_the_audit(
    client: tuple[AsyncTestClient[Litestar], Scene],
) -> None:
    http, scene = client
    admin = scene.tokens[Scope.ADMIN, "default", "whole"]
    weak = scene.tokens[Scope.INVOKE, "default", "whole"]
    id, _ = scene.ids["default", "openai"]
    for _ in range(3):
        await call(http, "GET", f"/api/credentials/{id}", "nonsense")
        await call(http, "DELETE", f"/api/credentials/{id}", weak)
        await call(http, "POST", f"/api/credentials/{id}/discover", admin)
    await scene.house.keycairn.sightings.flush()

    refused = (await http.get("/api/audit?action=access.refused", headers={"Authorization": f"Bearer {admin}"})).json()
    told = {(one["outcome"], one["target"], one["details"]["times"]) for one in refused}
    assert told == {
        ("unauthenticated", "GET /api/credentials/{id}", 3),
        ("forbidden", "DELETE /api/credentials/{id}", 3),
    }
    used = (await http.get("/api/audit?action=secret.used", headers={"Authorization": f"Bearer {admin}"})).json()
    assert [(one["target"], one["details"]) for one in used] == [(id, {"times": 3, "for": "discovery"})]
    tokens = (await http.get("/api/tokens", headers={"Authorization": f"Bearer {admin}"})).json()
    assert any(token["last_used"] for token in tokens)
    assert (await http.get("/api/audit/verify", headers={"Authorization": f"Bearer {admin}"})).json()["intact"]
