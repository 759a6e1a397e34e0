"""Who sees and changes what: records of others, lists, refused attempts. `test_matrix.py` asks every route."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from tests.app_client import AppClient
from tests.nights import by_day
from tests.permissions import RULES, WORKSPACES, Scene, filled

from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.reach import Reach
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

ROUTES = sorted(RULES)


@pytest.fixture
async def client() -> AsyncIterator[tuple[AppClient, Scene]]:
    scene = Scene()
    await scene.furnish()
    async with AppClient(Litestar(plugins=[scene.plugin])) as client:
        yield client, scene


async def call(client: AppClient, method: str, path: str, token: str | None) -> Response:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    body: dict[str, Any] | None = {} if method in {"POST", "PUT", "PATCH"} else None
    return await client.request(method, path, headers=headers, json=body)


@pytest.mark.parametrize("route", by_day([route for route in ROUTES if "{id}" in route[1]], one_in=4), ids=" ".join)
async def test_a_record_of_another_workspace_is_as_one_that_never_was(
    client: tuple[AppClient, Scene], route: tuple[str, str]
) -> None:
    http, scene = client
    method, path = route
    if path.startswith("/api/tokens"):
        pytest.skip("see the test of tokens")
    for mine, other in (WORKSPACES, WORKSPACES[::-1]):
        admin = scene.token(Scope.ADMIN, mine)
        theirs = await call(http, method, filled(scene, path, other), admin)
        never = path.replace("{id}", "model:NOBODY" if "/models/" in path else "credential:NOBODY")
        nothing = await call(http, method, never, admin)
        assert theirs.status_code in {404, 422}, theirs.text
        assert (theirs.status_code, theirs.json()) == (nothing.status_code, nothing.json())


@pytest.mark.parametrize(
    "route",
    by_day([route for route in ROUTES if RULES[route].bounded and "{" in route[1]], one_in=4),
    ids=" ".join,
)
async def test_a_bounded_token_does_not_get_at_other_accounts(
    client: tuple[AppClient, Scene], route: tuple[str, str]
) -> None:
    http, scene = client
    method, path = route
    rule = RULES[route]
    assert rule.scope is not None
    token = scene.token(rule.scope, whole=False)
    answer = await call(http, method, filled(scene, path, "default", "anthropic"), token)
    if method == "GET" and "by-provider" in path:
        assert answer.json() == []
    else:
        assert answer.status_code in {403, 404}, answer.text


async def test_lists_show_a_bounded_token_its_own_accounts_only(
    client: tuple[AppClient, Scene],
) -> None:
    http, scene = client
    for path, scope in (("/api/credentials", Scope.CREDENTIALS_READ), ("/api/models", Scope.MODELS_READ)):
        whole = await call(http, "GET", path, scene.token(scope, "default"))
        less = await call(http, "GET", path, scene.token(scope, whole=False))
        again = await call(http, "GET", path, scene.token(scope, "default"))
        assert {one["provider"] for one in whole.json()} == {"openai", "anthropic"}
        assert {one["provider"] for one in less.json()} == {"openai"}
        assert again.json() == whole.json(), "what is remembered of a list is remembered by reach"


BOUNDED = [route for route in ROUTES if RULES[route].bounded]


@pytest.mark.parametrize("route", by_day(BOUNDED, one_in=4), ids=" ".join)
@pytest.mark.parametrize("by", ["provider", "credential"])
async def test_no_answer_to_a_bounded_token_names_what_is_out_of_reach(
    client: tuple[AppClient, Scene], route: tuple[str, str], by: str
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
    asked = {filled(scene, path, "default", provider) for provider in ("openai", "anthropic")}
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
    client: tuple[AppClient, Scene],
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
    client: tuple[AppClient, Scene],
) -> None:
    http, scene = client
    theirs = {"Authorization": f"Bearer {scene.token(Scope.ADMIN, 'theirs')}"}
    ours = {"Authorization": f"Bearer {scene.token(Scope.ADMIN, 'default')}"}
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
async def test_a_token_that_makes_no_sense_is_refused(client: tuple[AppClient, Scene], body: dict[str, object]) -> None:
    http, scene = client
    ours = {"Authorization": f"Bearer {scene.token(Scope.ADMIN, 'default')}"}
    answer = await http.post("/api/tokens", json={"name": "t", **body}, headers=ours)
    assert answer.status_code == 422
    assert "sk-misplaced" not in answer.text


async def test_the_environment_is_the_default_workspaces(client: tuple[AppClient, Scene]) -> None:
    http, scene = client
    scene.house.environment.values = {"OPENAI_API_KEY": "sk-of-the-operator"}
    theirs = {"Authorization": f"Bearer {scene.token(Scope.ADMIN, 'theirs')}"}
    assert not any((await http.get("/api/credentials/env-status", headers=theirs)).json().values())
    assert not any(one["env_configured"] for one in (await http.get("/api/providers", headers=theirs)).json())
    plan = (await http.post("/api/credentials/migrate-from-env", headers=theirs)).json()
    assert plan["migrated"] == []


async def test_refused_attempts_and_uses_of_secrets_are_in_the_audit(
    client: tuple[AppClient, Scene],
) -> None:
    http, scene = client
    admin = scene.token(Scope.ADMIN, "default")
    weak = scene.token(Scope.INVOKE, "default")
    id, _ = scene.ids["default", "openai"]
    for _ in range(3):
        await call(http, "GET", f"/api/credentials/{id}", "nonsense")
        await call(http, "DELETE", f"/api/credentials/{id}", weak)
        await call(http, "POST", f"/api/credentials/{id}/discover", admin)
    await scene.house.keycairn.audit_counters.flush()

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


@pytest.mark.parametrize("by", ["provider", "credential"])
async def test_naming_an_account_out_of_reach_is_as_naming_none(client: tuple[AppClient, Scene], by: str) -> None:
    http, scene = client
    mine, _ = scene.ids["default", "openai"]
    other, _ = scene.ids["default", "anthropic"]
    reach = Reach(providers=("openai",)) if by == "provider" else Reach(credentials=(mine,))
    scopes = (Scope.CREDENTIALS_WRITE, Scope.MODELS_WRITE)
    _, text = await scene.house.keycairn.tokens.create("bounded", scopes, reach=reach)
    headers = {"Authorization": f"Bearer {text.reveal()}"}

    async def told(id: str) -> list[tuple[int, object]]:
        model = {"name": "m", "provider": "openai", "type": "language", "credential": id}
        answers = [
            await http.delete(f"/api/credentials/{mine}?migrate_to={id}&dry_run=true", headers=headers),
            await http.delete(f"/api/credentials/{mine}?migrate_to={id}", headers=headers),
            await http.post("/api/models", json=model, headers=headers),
            await http.post("/api/models", json={**model, "provider": "anthropic"}, headers=headers),
        ]
        return [(answer.status_code, answer.json()) for answer in answers]

    assert await told(other) == await told("credential:01M8AGV4Y8N305WX3SHGKMHYJ0")
