"""Who gets in: tokens, scopes, the sealed vault, the limit on failures, the probes."""

from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from tests.app_client import AppClient
from tests.fakes import NOON
from tests.house import House

from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.server import create_app
from keycairn.app.services.access import Attempts
from keycairn.app.services.access.attempts import ATTEMPTS_PER_MINUTE, MOST_ADDRESSES
from keycairn.app.settings import Settings
from keycairn.app.web.auth import Access
from keycairn.domain.errors import TooManyAttemptsError
from keycairn.domain.token import Scope

Client = AppClient
OPEN = {"/health/live", "/health/ready", "/openapi", "/openapi/openapi.json", "/openapi/{path}"}
OPEN_PAGES = {"/sign-in", "/assets/{name}"}


def routes() -> list[tuple[str, HTTPRouteHandler]]:
    found = []
    for route in KeycairnPlugin(keycairn=House().keycairn).router.routes:
        assert isinstance(route, HTTPRoute)
        found += [(route.path_format, handler) for handler in route.route_handlers if "GET" in handler.http_methods]
        found += [
            (route.path_format, handler)
            for handler in route.route_handlers
            if handler.http_methods.isdisjoint({"GET", "OPTIONS"})
        ]
    return found


def test_every_route_names_its_scope_and_only_probes_and_the_document_are_open() -> None:
    missing = [path for path, handler in routes() if not isinstance(handler.opt.get("scope"), Scope | Access)]
    public = {path for path, handler in routes() if handler.opt.get("scope") is Access.PUBLIC}

    assert len(routes()) > 30
    assert missing == []
    assert public <= OPEN | OPEN_PAGES


async def token_for(api: Client, *scopes: str) -> str:
    made = await api.post("/api/tokens", json={"name": "ci", "scopes": list(scopes)})
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


def as_bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_without_a_good_token_nothing_is_answered(api: Client) -> None:
    for path, handler in routes():
        if handler.opt["scope"] is Access.PUBLIC:
            continue
        method = next(iter(handler.http_methods))
        target = path.replace("{kid}", "1").replace("{", "x").replace("}", "x")
        refused = await api.request(method, target, headers={"Authorization": ""})
        if handler.opt.get("proves") is not None:  # a page, which asks for a session
            assert refused.status_code in {401, 403}
            continue
        assert (refused.status_code, refused.json()["code"]) in {(401, "unauthenticated"), (429, "too_many_attempts")}
        if refused.status_code == 401:
            assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_does_what_its_scopes_say_and_no_more(api: Client) -> None:
    reader = as_bearer(await token_for(api, "credentials:read"))

    assert (await api.get("/api/credentials", headers=reader)).status_code == 200
    refused = await api.post("/api/credentials", json={}, headers=reader)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await api.get("/api/models", headers=reader)).status_code == 403
    assert (await api.get("/api/tokens", headers=reader)).status_code == 403
    assert (await api.get("/metrics", headers=reader)).status_code == 403
    auditor = as_bearer(await token_for(api, "audit:read"))
    assert (await api.get("/metrics", headers=auditor)).status_code == 200


async def test_a_token_is_shown_once_and_stops_when_revoked(api: Client) -> None:
    made = (await api.post("/api/tokens", json={"name": "ci", "scopes": ["admin"]})).json()
    bearer = as_bearer(made["token"])
    assert (await api.get("/api/tokens", headers=bearer)).status_code == 200

    listed = await api.get("/api/tokens")
    assert made["token"] not in listed.text
    revoked = await api.delete(f"/api/tokens/{made['id']}")

    assert revoked.json()["revoked"] is not None
    assert (await api.get("/api/tokens", headers=bearer)).status_code == 401
    assert (await api.delete("/api/tokens/token:NOBODY")).status_code == 404


async def test_a_token_expires(api: Client, house: House) -> None:
    expires = (NOON + timedelta(hours=1)).isoformat()
    made = (await api.post("/api/tokens", json={"name": "ci", "scopes": ["admin"], "expires": expires})).json()

    house.clock.tick(3601)

    assert (await api.get("/api/tokens", headers=as_bearer(made["token"]))).status_code == 401


async def test_the_audit_log_names_who_did_what_and_pages(api: Client) -> None:
    made = await api.post("/api/tokens", json={"name": "ci", "scopes": ["invoke"]})
    events = (await api.get("/api/audit")).json()
    assert (events[-1]["action"], events[-1]["actor"]) == ("token.created", "admin-token")
    assert events[-1]["request_id"] == made.headers["x-request-id"]

    page = await api.get("/api/audit?limit=1")
    follow = await api.get(page.headers["link"].partition(">")[0][1:])
    assert [*page.json(), *follow.json()] == events[:2]


@pytest.mark.parametrize("given", ["", "client-chosen.1", "sk-canary-0123456789", "0" * 32, "x" * 65, "né"])
async def test_a_request_id_is_always_ours_since_any_other_may_be_a_key(api: Client, given: str) -> None:
    answer = await api.get("/api/tokens", headers=[(b"x-request-id", given.encode("latin-1"))])

    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["x-request-id"] != given


async def test_sealed_everything_says_what_to_set_and_nothing_is_written(house: House, serve: Any) -> None:
    async with serve(house) as api:
        ready = await api.get("/health/ready")
        listed = await api.get("/api/credentials")
        created = await api.post(
            "/api/credentials", json={"name": "W", "provider": "openai", "api_key": "sk-123456789"}
        )
        token = await api.get("/api/credentials", headers=as_bearer("kc_whatever"))
        status = (await api.get("/api/credentials/status")).json()

        assert (await api.get("/health/live")).status_code == 200
        assert ready.status_code == 503
        assert ready.json()["code"] == "sealed"
        assert "KEYCAIRN_ROOT_KEY" in ready.json()["detail"]
        assert "keycairn_vault_sealed 1.0" in (await api.get("/metrics")).text
        assert (listed.status_code, listed.json()) == (200, [])
        for refused in (created, token):
            assert (refused.status_code, refused.json()["code"]) == (503, "sealed")
            assert "KEYCAIRN_ROOT_KEY" in refused.json()["detail"]
        assert status["encryption_configured"] is False
        assert (await api.get("/api/credentials")).json() == []


async def test_guessing_is_slowed_down_and_known_tokens_still_work(api: Client) -> None:
    assert (await api.get("/api/credentials")).status_code == 200
    for _ in range(ATTEMPTS_PER_MINUTE):
        assert (await api.get("/api/credentials", headers=as_bearer("guess"))).status_code == 401

    limited = await api.get("/api/credentials", headers=as_bearer("guess"))

    assert (limited.status_code, limited.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert (await api.get("/api/credentials")).status_code == 200


def test_the_limit_forgets_after_a_minute_and_is_bounded() -> None:
    now = 0.0
    attempts = Attempts(lambda: now)
    for _ in range(ATTEMPTS_PER_MINUTE):
        attempts.check("192.0.2.1")
        attempts.failed("192.0.2.1")
    with pytest.raises(TooManyAttemptsError):
        attempts.check("192.0.2.1")
    attempts.check("192.0.2.2")

    now = 61.0
    attempts.check("192.0.2.1")
    for number in range(MOST_ADDRESSES + 5):
        attempts.failed(str(IPv4Address(number)))
    assert len(attempts._failed) == MOST_ADDRESSES


async def test_metrics_count_by_route_template(api: Client) -> None:
    await api.get("/api/credentials/credential:NOBODY")

    text = (await api.get("/metrics")).text

    assert 'keycairn_http_requests_total{method="GET",route="/api/credentials/{id}",status="404"} 1.0' in text
    assert "NOBODY" not in text


async def test_answers_carry_security_headers(api: Client) -> None:
    for path in ("/api/credentials", "/api/nope", "/health/live", "/openapi"):
        headers = (await api.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


async def test_the_document_describes_every_route_and_the_page_needs_no_network(api: Client) -> None:
    document = (await api.get("/openapi/openapi.json", headers={"Authorization": ""})).json()
    page = (await api.get("/openapi", headers={"Authorization": ""})).text

    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    operations = [op for item in document["paths"].values() for op in item.values() if "responses" in op]
    assert len(operations) > 30
    assert all(operation.get("summary") and operation.get("description") for operation in operations)
    legacy = document["paths"]["/api/credentials/migrate-from-provider-config"]["post"]["requestBody"]
    assert legacy["required"] is False
    assert legacy["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/LegacyRecord"}
    assert "src=" not in page
    assert "http" not in page.replace("http-equiv", "").partition('type="application/json"')[0]


async def test_the_bare_application_opens_and_closes_keycairn_itself(tmp_path: Any) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url="mem://", external_plugins=False, env_file=None)
    app = create_app(settings)
    plugin = app.plugins.get(KeycairnPlugin)
    assert isinstance(app, Litestar)

    async with AppClient(app) as client:
        assert plugin.first_run is not None
        assert plugin.first_run.token_file is not None
        token = plugin.first_run.token_file.read_text().strip()
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/api/credentials", headers=as_bearer(token))).json() == []
    with pytest.raises(RuntimeError):
        _ = plugin.keycairn
