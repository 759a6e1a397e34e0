"""Inside another application, under a path of it: what is asked of requests holds there as well."""

from collections.abc import AsyncIterator

import pytest
from litestar import Litestar, post
from tests.app_client import AppClient
from tests.house import House

from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.settings import Settings
from keycairn.domain.errors import SettingsError

ADMIN = "admin-0123456789-0123456789-0123456789"
BEARER = {"Authorization": f"Bearer {ADMIN}"}
Client = AppClient


@post("/theirs", sync_to_thread=False)
def theirs() -> str:
    return "theirs"


@pytest.fixture
async def embedded(house: House) -> AsyncIterator[Client]:
    await house.open()
    settings = Settings(
        cors_origins=("https://app.example.com",),
        public_url="https://host.example/vault",
        trusted_proxies=("10.0.0.1",),
    )
    plugin = KeycairnPlugin(settings, keycairn=house.keycairn, path="/vault")
    app = Litestar([theirs], plugins=[plugin], openapi_config=None, logging_config=None)
    async with AppClient(app, raise_server_exceptions=False) as client:
        yield client


async def test_foreign_pages_are_refused_by_us_and_left_to_them(embedded: Client) -> None:
    foreign = {"Origin": "https://evil.example", **BEARER}
    refused = await embedded.get("/vault/api/credentials", headers=foreign)
    assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin")
    assert (await embedded.post("/theirs", headers=foreign)).text == "theirs"
    assert (await embedded.get("/vault/health/live", headers=foreign)).status_code == 200
    assert (await embedded.get("/vault/health/../api/credentials", headers=foreign)).status_code == 403
    own = await embedded.get("/vault/api/credentials", headers={"Origin": "https://host.example", **BEARER})
    assert own.status_code == 200


async def test_pages_of_the_list_may_ask(embedded: Client) -> None:
    page = {"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"}
    asked = await embedded.options("/vault/api/credentials", headers={**page, "Access-Control-Request-Method": "GET"})
    got = await embedded.get("/vault/api/credentials", headers={**page, **BEARER})
    assert (asked.status_code, got.status_code) == (204, 200)
    assert asked.headers["access-control-allow-origin"] == got.headers["access-control-allow-origin"] == page["Origin"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/vault/api/credentials/x%2fy", {}, 400),
        ("/vault/api/credentials/%252e%252e/x", {}, 400),
        ("/vault/api/credentials/x;y", {}, 400),
        ("/vault/api/credentials", {"Transfer-Encoding": "gzip, chunked"}, 501),
        ("/vault/api/credentials", {"Content-Encoding": "gzip"}, 415),
        ("/vault/api/credentials", {"Upgrade": "h2c"}, 400),
        (f"/vault/api/{'x' * 600}", {}, 414),
    ],
)
async def test_ambiguous_requests_are_refused(
    embedded: Client, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await embedded.get(path, headers={**headers, **BEARER})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_a_client_that_has_no_address_is_no_free_text_in_the_audit_log(house: House, embedded: Client) -> None:
    await embedded.get("/vault/api/credentials", headers={"X-Forwarded-For": "198.51.100.7"})
    await house.keycairn.audit_counters.flush()
    (refused,) = [event for event in await house.keycairn.audit.events() if event.action == "access.refused"]
    assert refused.source == "", "the test client calls itself `testclient`"


async def test_links_lead_to_the_public_address(embedded: Client) -> None:
    for _ in range(2):
        await embedded.post("/vault/api/tokens", json={"name": "a", "scopes": ["invoke"]}, headers=BEARER)
    page = await embedded.get("/vault/api/audit?limit=1", headers=BEARER)
    assert page.headers["link"].startswith("<https://host.example/vault/api/audit?")


def test_a_setting_that_cannot_be_used_stops_the_application(house: House) -> None:
    for wrong in (Settings(trusted_proxies=("*",)), Settings(cors_origins=("*",)), Settings(public_url="x")):
        with pytest.raises(SettingsError):
            KeycairnPlugin(wrong, keycairn=house.keycairn)
