"""A query says one thing to every reader: parameters that the route has, each once."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from litestar import Litestar
from litestar.routes import HTTPRoute
from tests.app_client import AppClient
from tests.house import House
from tests.permissions import FIXED_TOKEN, RULES, Scene, filled

from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.web.query import declared
from keycairn.domain.credential import DEFAULT_WORKSPACE

pytestmark = pytest.mark.asyncio(loop_scope="module")
UNKNOWN = "sk_leaked_4f9A7c2E81b6"
HANDLERS = {
    (method, route.path_format): handler
    for route in KeycairnPlugin(keycairn=House().keycairn).router.routes
    if isinstance(route, HTTPRoute) and route.path_format.startswith("/api/")
    for handler in route.route_handlers
    for method in handler.http_methods - {"OPTIONS"}
}
PARAMETERS = sorted((*route, name) for route, handler in HANDLERS.items() for name in declared(handler))
MANY = {("GET", "/api/usage", "by"), ("GET", "/api/usage.csv", "by")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[tuple[AppClient, Scene]]:
    scene = Scene()
    await scene.furnish()
    async with AppClient(Litestar(plugins=[scene.plugin])) as http:
        yield http, scene


async def asked(service: tuple[AppClient, Scene], method: str, path: str, query: str) -> tuple[int, str]:
    http, scene = service
    url = f"{filled(scene, path, DEFAULT_WORKSPACE)}?{query}"
    headers = {"Authorization": f"Bearer {FIXED_TOKEN}"}
    answer = await http.request(method, url, headers=headers, json=None if method == "GET" else {})
    return answer.status_code, answer.text


@pytest.mark.parametrize(("method", "path"), sorted(HANDLERS))
async def test_a_parameter_that_a_route_does_not_have_is_refused_and_not_repeated(
    service: tuple[AppClient, Scene], method: str, path: str
) -> None:
    if RULES[method, path].scope is None:
        return
    for query in (f"{UNKNOWN}=1", f"{UNKNOWN}", f"dry-run=true&{UNKNOWN}=1"):
        status, text = await asked(service, method, path, query)
        assert (status, UNKNOWN in text) == (422, False), text
        assert "parameter" in text


@pytest.mark.parametrize(("method", "path", "name"), PARAMETERS)
async def test_a_parameter_counts_once(service: tuple[AppClient, Scene], method: str, path: str, name: str) -> None:
    for query in (
        f"{name}=1&{name}=2",
        f"{name}=1&%{ord(name[0]):02x}{name[1:]}=2",
        f"{name}=1;{name}=2",
        f"{name}&{name}",
    ):
        status, text = await asked(service, method, path, query)
        if (method, path, name) in MANY and ";" not in query:
            assert "more than once" not in text
        else:
            assert (status, "ambiguous_request" in text) == (400, True), text


async def test_who_has_no_token_learns_nothing_of_it(service: tuple[AppClient, Scene]) -> None:
    http, _ = service
    answer = await http.request("GET", f"/api/credentials?{UNKNOWN}=1")
    assert answer.status_code == 401


async def test_probes_and_the_document_take_whatever_is_asked(service: tuple[AppClient, Scene]) -> None:
    http, _ = service
    for path in ("/health/live", "/health/ready"):
        assert (await http.request("GET", f"{path}?a=1&a=2")).status_code == 200


async def test_a_client_that_would_keep_the_models_says_where(service: tuple[AppClient, Scene]) -> None:
    status, text = await asked(service, "DELETE", "/api/credentials/{id}", "delete_models=false")
    assert (status, "migrate_to" in text) == (422, True)
