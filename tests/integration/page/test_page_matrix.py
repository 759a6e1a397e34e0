"""Every route of the page with the session of every kind of token, against the table of `tests/permissions.py`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from litestar import Litestar
from tests.app_client import AppClient
from tests.nights import by_day
from tests.page import SAME, Browser, form_key
from tests.permissions import PAGE_RULES, Kind, Scene, filled, kinds, may

pytestmark = pytest.mark.asyncio(loop_scope="module")
SIGNED = [kind for kind in kinds() if kind.works]
ROUTES = sorted(route for route in PAGE_RULES if route not in {("POST", "/sign-out"), ("POST", "/encryption/rotate")})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[tuple[AppClient, Scene]]:
    scene = Scene()
    await scene.furnish()
    async with AppClient(Litestar(plugins=[scene.plugin])) as http:
        yield http, scene


async def test_without_a_session_only_what_is_public_answers(service: tuple[AppClient, Scene]) -> None:
    http, scene = service
    http.cookies.clear()
    for method, path in ROUTES:
        scene.house.clock.tick(61)
        answer = await http.request(method, filled(scene, path, "default"), headers=SAME)
        if PAGE_RULES[method, path].scope is not None:
            assert answer.status_code == 401, (method, path)
        else:
            assert answer.status_code in {200, 401, 404}


@pytest.mark.parametrize("kind", by_day(SIGNED, one_in=5), ids=[f"{n}-{kind.name}" for n, kind in enumerate(SIGNED)])
async def test_a_session_may_what_its_token_may(service: tuple[AppClient, Scene], kind: Kind) -> None:
    http, scene = service
    http.cookies.clear()
    scene.house.clock.tick(61)
    browser = Browser(http)
    token = scene.tokens[kind]
    assert (await browser.sign_in(token)).status_code == 303
    browser.key = form_key(await browser.get("/signed-in"))
    for method, path in ROUTES:
        rule = PAGE_RULES[method, path]
        target = filled(scene, path, kind.workspace)
        answer = await (browser.get(target) if method == "GET" else browser.post(target))
        where = (kind, method, path, answer.status_code)
        if rule.scope is None or may(rule, kind):
            assert answer.status_code not in {403, 500}, where
            assert answer.status_code != 401 or rule.scope is None, where
        else:
            assert answer.status_code == 403, where
        if path.endswith("/delete") or path == "/models/{id}":
            await scene.accounts(kind.workspace)


async def test_no_route_that_changes_something_does_it_without_the_key_of_the_form(
    service: tuple[AppClient, Scene],
) -> None:
    http, scene = service
    http.cookies.clear()
    scene.house.clock.tick(61)
    browser = Browser(http)
    await browser.sign_in(scene.tokens[next(kind for kind in SIGNED if kind.name == "fixed")])
    browser.key = ""
    for method, path in ROUTES:
        if method == "POST" and path != "/sign-in":
            answer = await browser.post(filled(scene, path, "default"))
            assert answer.status_code == 403, path
