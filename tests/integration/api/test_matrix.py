"""Every route and method, the gateway's too, with every kind of token, against one table (`tests/permissions.py`)."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from httpx import Response
from litestar import Litestar
from litestar.routes import HTTPRoute
from tests.app_client import AppClient
from tests.handshakes import handshake
from tests.house import House
from tests.nights import by_day
from tests.permissions import (
    GATEWAY_RULES,
    METHODS,
    PAGE_RULES,
    RULES,
    SOCKET_RULES,
    STRANGE_METHOD,
    UNSAFE_METHODS,
    Kind,
    Rule,
    Scene,
    expected,
    filled,
    kinds,
    may,
)

from keycairn.app.gateway import GATEWAY_PATHS
from keycairn.app.gateway.routes import APIS
from keycairn.app.plugin import KeycairnPlugin

pytestmark = pytest.mark.asyncio(loop_scope="module")
ALL = [(rules, path) for rules in (RULES, GATEWAY_RULES) for path in sorted({path for _, path in rules})]
Http = AppClient
A_FEW = [Kind("none", works=False), Kind("revoked", works=False), Kind("fixed")]
"""Kinds that are asked for where the method is none of the path's, which is said before anyone looks at the token."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[tuple[Http, Scene]]:
    scene = Scene()
    await scene.furnish()
    async with AppClient(Litestar(plugins=[scene.plugin])) as http:
        yield http, scene


async def test_the_table_names_every_route_there_is() -> None:
    plugin = KeycairnPlugin(keycairn=House().keycairn)
    there = {
        (method, route.path_format)
        for route in plugin.router.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods - {"OPTIONS"}
    }
    assert there == {*RULES, *PAGE_RULES}


async def test_the_table_names_every_call_of_the_gateway() -> None:
    named = {path for _, path in GATEWAY_RULES}
    assert set(APIS) <= named
    assert all(path.startswith(GATEWAY_PATHS) for path in named)
    assert all(any(path.startswith(beginning) for path in named) for beginning in GATEWAY_PATHS)


@pytest.mark.parametrize("method", [*METHODS, STRANGE_METHOD])
@pytest.mark.parametrize(
    ("rules", "path"),
    by_day(ALL, one_in=3, unpacked=True),
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_answer_is_what_the_table_says(
    service: tuple[Http, Scene], rules: dict[tuple[str, str], Rule], path: str, method: str
) -> None:
    http, scene = service
    rule = rules.get((method, path))
    closed = rule is None and rules is RULES and method != "OPTIONS"
    for kind in A_FEW if closed else kinds():
        scene.house.clock.tick(61)  # no limit on failed attempts is in the way
        if kind.spent and rule and rule.counted:
            await asked(http, "GET", "/native/none/readable", scene.tokens[kind])  # uses its only call up
        answer = await asked(http, method, filled(scene, path, kind.workspace), scene.tokens[kind])
        assert answer.status_code == expected(rules, method, path, kind), (kind, answer.text)
        if method == "DELETE" and rule and may(rule, kind):
            await scene.accounts(kind.workspace)


@pytest.mark.parametrize("path", SOCKET_RULES)
async def test_the_gateways_websockets_ask_for_the_same_tokens(service: tuple[Http, Scene], path: str) -> None:
    http, scene = service
    for kind in kinds():
        scene.house.clock.tick(61)
        answer = await handshake(http.app, filled(scene, path, kind.workspace), scene.tokens[kind])
        rule = SOCKET_RULES[path]
        assert answer == (rule.gives if may(rule, kind) else 403 if kind.works else 401), kind


@pytest.mark.parametrize("path", sorted({path for _, path in (*RULES, *PAGE_RULES)}))
async def test_nothing_else_is_a_websocket_whoever_asks(service: tuple[Http, Scene], path: str) -> None:
    http, scene = service
    for kind in A_FEW:
        assert await handshake(http.app, filled(scene, path, kind.workspace), scene.tokens[kind]) == 400, kind


async def asked(http: Http, method: str, path: str, token: str) -> Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    gateway = path.startswith(GATEWAY_PATHS)
    body = {"model": "m-openai"} if gateway else {}
    return await http.request(method, path, headers=headers, json=body if method in UNSAFE_METHODS else None)
