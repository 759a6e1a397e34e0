"""Keycairn inside somebody else's Litestar application."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from litestar import Litestar, Request, Response, get
from litestar.config.csrf import CSRFConfig
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.params import FromPath
from tests.app_client import AppClient
from tests.house import House

from keycairn.app.keycairn import Keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.audit import Caller
from keycairn.domain.token import Scope

ADMIN = "admin-0123456789-0123456789-0123456789"
OTHER_ADMIN = "other-0123456789-0123456789-0123456789"
BEARER = {"Authorization": f"Bearer {ADMIN}"}
Client = AppClient


def their(name: str) -> Callable[[], str]:
    def value() -> str:
        return f"their {name}"

    return value


def theirs(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, str]]:
    return Response({"theirs": type(error).__name__}, status_code=getattr(error, "status_code", 500))


@get("/api/credentials", sync_to_thread=False)
def their_credentials(keycairn: NamedDependency[str], caller: NamedDependency[str]) -> str:
    return f"{keycairn} {caller}"


@get("/vaults/{number:str}", sync_to_thread=False)
def their_vaults(number: FromPath[str]) -> str:
    return f"their vault {number}"


@get("/fails", sync_to_thread=False)
def their_failure() -> None:
    raise ValueError


@get("/api/extra", opt={"scope": Scope.ADMIN}, sync_to_thread=False)
def extra(keycairn: NamedDependency[Keycairn], caller: NamedDependency[Caller]) -> str:
    return f"{type(keycairn).__name__} {caller.actor}"


@pytest.fixture
async def foreign(house: House) -> AsyncIterator[Client]:
    await house.open()
    plugin = KeycairnPlugin(keycairn=house.keycairn, path="/vault")
    plugin.add(extra)
    names = ("keycairn", "caller", "id", "provider", "limit", "cursor", "type")
    app = Litestar(
        [their_credentials, their_vaults, their_failure],
        plugins=[plugin],
        dependencies={name: Provide(their(name), sync_to_thread=False) for name in names},
        exception_handlers={HTTPException: theirs, ValueError: theirs, 404: theirs, 500: theirs},
        openapi_config=OpenAPIConfig(title="Theirs", version="9"),
        debug=True,
        logging_config=None,
    )
    async with AppClient(app, raise_server_exceptions=False) as client:
        yield client


async def test_each_side_answers_its_own_routes_with_its_own_dependencies(foreign: Client) -> None:
    assert (await foreign.get("/api/credentials")).text == "their keycairn their caller"
    assert (await foreign.get("/vaults/7")).text == "their vault 7"
    made = await foreign.post(
        "/vault/api/credentials", json={"name": "W", "provider": "openai", "api_key": "sk-123456789"}, headers=BEARER
    )
    assert made.status_code == 201
    listed = await foreign.get("/vault/api/credentials?provider=openai&limit=1", headers=BEARER)
    assert [item["id"] for item in listed.json()] == [made.json()["id"]]
    assert listed.headers["link"].startswith("</vault/api/credentials?")
    assert (await foreign.get("/vault/api/extra", headers=BEARER)).text == "Keycairn admin-token"


async def test_each_side_answers_its_own_errors(foreign: Client) -> None:
    assert (await foreign.get("/nowhere")).json() == {"theirs": "NotFoundException"}
    assert (await foreign.get("/fails")).json() == {"theirs": "ValueError"}
    for method, path, status, code in (
        ("GET", "/vault/nowhere", 404, "not_found"),
        ("GET", "/vault/api/credentials/credential:X/nowhere", 404, "not_found"),
        ("PATCH", "/vault/api/credentials", 405, "method_not_allowed"),
        ("GET", "/vault/api/credentials", 401, "unauthenticated"),
    ):
        answer = await foreign.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_each_side_has_its_own_document(foreign: Client) -> None:
    their_document = (await foreign.get("/schema/openapi.json")).json()
    our_document = (await foreign.get("/vault/openapi/openapi.json")).json()

    assert their_document["info"]["title"] == "Theirs"
    assert set(their_document["paths"]) == {"/api/credentials", "/vaults/{number}", "/fails"}
    assert our_document["servers"] == [{"url": "/vault"}]
    assert "/api/credentials" in our_document["paths"]


async def test_their_answers_get_none_of_our_headers(foreign: Client) -> None:
    assert "x-request-id" not in (await foreign.get("/vaults/7")).headers


async def test_a_fault_of_ours_shows_nothing_even_when_they_debug(house: House, foreign: Client) -> None:
    house.keycairn.probing = None  # type: ignore[assignment]  # a fault of our own
    made = await foreign.post(
        "/vault/api/credentials", json={"name": "W", "provider": "openai", "api_key": "sk-123456789"}, headers=BEARER
    )
    answer = await foreign.post(f"/vault/api/credentials/{made.json()['id']}/discover", headers=BEARER)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "Traceback" not in answer.text


class TheirLogin(AbstractAuthenticationMiddleware):
    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        if connection.headers.get("authorization") == "Bearer theirs":
            return AuthenticationResult(user="them", auth=None)
        raise NotAuthorizedException


async def test_their_login_and_ours_do_not_meet(house: House) -> None:
    await house.open()
    app = Litestar(
        [their_vaults],
        plugins=[KeycairnPlugin(keycairn=house.keycairn, path="/vault")],
        middleware=[DefineMiddleware(TheirLogin)],
        csrf_config=CSRFConfig(secret="their-secret"),
        openapi_config=None,
        logging_config=None,
    )
    good = {"name": "W", "provider": "openai", "api_key": "sk-123456789"}
    async with AppClient(app) as client:
        assert (await client.get("/vaults/7")).status_code == 401
        assert (await client.get("/vaults/7", headers=BEARER)).status_code == 401
        assert (await client.get("/vaults/7", headers={"Authorization": "Bearer theirs"})).status_code == 200
        assert (await client.get("/vault/health/live")).status_code == 200
        assert (await client.post("/vault/api/credentials", json=good, headers=BEARER)).status_code == 201
        theirs = {"Authorization": "Bearer theirs"}
        assert (await client.post("/vault/api/credentials", json=good, headers=theirs)).status_code == 401


async def test_behind_a_root_path_links_lead_back_to_the_client(house: House) -> None:
    await house.open()
    app = Litestar(
        plugins=[KeycairnPlugin(keycairn=house.keycairn, path="/vault")], openapi_config=None, logging_config=None
    )
    async with AppClient(app, root_path="/tools") as client:
        for name in ("A", "B"):
            body = {"name": name, "provider": "openai", "api_key": f"sk-123456789-{name}"}
            assert (await client.post("/tools/vault/api/credentials", json=body, headers=BEARER)).status_code == 201
        listed = await client.get("/tools/vault/api/credentials?limit=1", headers=BEARER)

    assert listed.headers["link"].startswith("</tools/vault/api/credentials?limit=1&cursor=")


async def test_two_in_one_process_have_the_same_routes_and_nothing_else_in_common(house: House) -> None:
    await house.open()
    other = House(admin_token=OTHER_ADMIN)
    await other.open()
    plugins = [KeycairnPlugin(keycairn=one.keycairn) for one in (house, other)]
    apps = [Litestar(plugins=[plugin], openapi_config=None, logging_config=None) for plugin in plugins]
    good = {"name": "W", "provider": "openai", "api_key": "sk-123456789"}
    async with AppClient(apps[0]) as first, AppClient(apps[1]) as second:
        assert (await first.post("/api/credentials", json=good, headers=BEARER)).status_code == 201
        assert (await second.get("/api/credentials", headers=BEARER)).status_code == 401
        theirs = {"Authorization": f"Bearer {OTHER_ADMIN}"}
        assert (await second.get("/api/credentials", headers=theirs)).json() == []
        assert len((await first.get("/api/credentials", headers=BEARER)).json()) == 1
        refusals = [
            (await client.get("/metrics", headers=headers)).text.count("keycairn_auth_failures_total 1.0")
            for client, headers in ((first, BEARER), (second, theirs))
        ]

    assert plugins[0].router is plugins[1].router
    assert refusals == [0, 1]


async def test_what_is_added_once_the_routes_are_built_is_served_there_and_nowhere_else(house: House) -> None:
    await house.open()
    plain, extended = KeycairnPlugin(keycairn=house.keycairn), KeycairnPlugin(keycairn=house.keycairn)
    apps = [Litestar(plugins=[plugin], openapi_config=None, logging_config=None) for plugin in (plain, extended)]
    extended.add(extra)
    async with AppClient(apps[0]) as without, AppClient(apps[1]) as with_it:
        assert (await with_it.get("/api/extra", headers=BEARER)).text == "Keycairn admin-token"
        assert (await without.get("/api/extra", headers=BEARER)).status_code == 404
