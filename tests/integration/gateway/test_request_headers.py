"""Which of a client's headers reach a provider, on every way through the gateway."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.gateway_house import GatewayHouse, gateway_house
from tests.headers import FUNCTIONAL, IDENTITY, MORE
from tests.house import FakeRegistry
from tests.servers.anthropic_api import AnthropicServer

from keycairn.domain.credential import Credential
from keycairn.domain.modality import Modality
from keycairn.domain.secret import Secret
from keycairn.plugins import OpenAICompatible, keyed_spec
from keycairn.testing import KEY, LocalServer
from keycairn.testing.openai_server import OpenAIServer

OF_THE_CONNECTION = {"host", "content-length", "connection", "transfer-encoding", "accept-encoding"}
CANARY = "canary-of-the-client"
HELD = {"expect", "te", "trailer", "transfer-encoding", "content-length", "host", "connection", "upgrade"}
"""Of a connection: the client's library or our server deals with them."""
NAMES = [name for name in (*IDENTITY, *MORE) if name not in HELD and name != "authorization"]
OF_A_TOKEN = {"x-api-key", "api-key", "x-goog-api-key", "xi-api-key"}
"""Where a client may put its Keycairn token; two that differ are refused."""
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}

WAYS = {
    "openai": ("/v1/chat/completions", {"openai-beta"}),
    "anthropic": ("/anthropic/v1/messages", {"anthropic-version", "anthropic-beta"}),
    "native": ("/native/{id}/messages", {"anthropic-version", "anthropic-beta"}),
}


@pytest.fixture
async def served(house: GatewayHouse) -> AsyncIterator[tuple[LocalServer, Credential]]:
    async with AnthropicServer() as server:
        account = await house.credential("anthropic", KEY, base_url=server.url)
        await house.model(account, "m")
        yield server, account


@pytest.mark.parametrize("way", WAYS)
async def test_only_what_is_allowed_goes_on(
    house: GatewayHouse, served: tuple[LocalServer, Credential], way: str
) -> None:
    server, account = served
    path, own = WAYS[way]
    spelled = {
        name.title() if number % 2 else name: house.token if name in OF_A_TOKEN else CANARY
        for number, name in enumerate(NAMES)
    }
    wanted = {
        **dict.fromkeys(own, "2023-06-01"),
        "traceparent": "00-1-2-01",
        "idempotency-key": "i",
        "user-agent": "me",
    }
    headers = {**spelled, **wanted, "authorization": f"Bearer {house.token}"}
    async with httpx.AsyncClient() as client:
        for start in range(0, len(headers), 60):  # a request has a most of headers
            some = dict([*headers.items()][start : start + 60])
            sent = len(server.requests)
            given = {**some, **wanted, "authorization": f"Bearer {house.token}"}
            answer = await client.post(house.url + path.format(id=account.id), json=CHAT, headers=given)
            assert len(server.requests) == sent + 1, (answer.text, sorted(some))
            seen = server.requests[-1].headers
            assert CANARY not in str(seen)
            assert house.token not in str(seen)
            passed = {*own, *FUNCTIONAL}
            added = {"x-api-key", "authorization", "anthropic-version"} | OF_THE_CONNECTION
            assert set(seen) <= passed | added, set(seen) - passed - added
            as_sent = {name: value for name, value in wanted.items() if name != "idempotency-key"}
            assert {name: seen[name] for name in as_sent} == as_sent
            assert seen["idempotency-key"] not in {"", wanted["idempotency-key"]}, "one of the caller's own"


async def test_a_header_that_connection_names_is_for_us_alone(
    house: GatewayHouse, served: tuple[LocalServer, Credential]
) -> None:
    server, _ = served
    headers = {"authorization": f"Bearer {house.token}", "connection": "close, User-Agent", "user-agent": "me"}
    async with httpx.AsyncClient() as client:
        await client.post(house.url + "/v1/chat/completions", json=CHAT, headers=headers)
    assert server.requests[-1].headers.get("user-agent") != "me"


async def test_a_plugin_says_what_more_goes_on() -> None:
    spec = keyed_spec("acme", "Acme", Modality.LANGUAGE, docs_url="", request_headers=("x-acme-region",))
    registry = FakeRegistry([OpenAICompatible(spec)])
    async with gateway_house(registry=registry) as house, OpenAIServer() as server:
        account = await house.credential("acme", KEY, base_url=server.url)
        await house.model(account, "m")
        headers = {"authorization": f"Bearer {house.token}", "X-Acme-Region": "eu", "x-acme-other": "no"}
        async with httpx.AsyncClient(headers=headers) as client:
            for path in ("/v1/chat/completions", f"/native/{account.id}/chat/completions"):
                await client.post(house.url + path, json=CHAT)
                seen = server.requests[-1].headers
                assert seen["x-acme-region"] == "eu"
                assert "x-acme-other" not in seen


async def test_the_account_says_which_organization_and_project_pay(house: GatewayHouse) -> None:
    async with OpenAIServer() as server:
        listed = await house.keycairn.credentials.create(
            "openai",
            name="with a project",
            settings={"base_url": server.url, "organization": "org-ours", "project": "proj_ours"},
            secrets={"api_key": Secret(KEY)},
        )
        plain = await house.credential("openai", KEY, base_url=server.url)
        theirs = {"OpenAI-Organization": "org-theirs", "openai-project": "proj_theirs"}
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {house.token}", **theirs}) as client:
            await client.get(f"{house.url}/native/{listed.credential.id}/models")
            seen = server.requests[-1].headers
            assert (seen["openai-organization"], seen["openai-project"]) == ("org-ours", "proj_ours")
            await client.get(f"{house.url}/native/{plain.id}/models")
            assert not {"openai-organization", "openai-project"} & set(server.requests[-1].headers)
        await house.keycairn.probing.test(listed.credential.id)
        assert server.requests[-1].headers["openai-project"] == "proj_ours"


@pytest.mark.parametrize("query", ["key=theirs", "access_token=x", "%24userProject=theirs", "alt=sse;key=x"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_query_says_no_more_than_a_header(
    house: GatewayHouse, served: tuple[LocalServer, Credential], way: str, query: str
) -> None:
    server, account = served
    headers = {"authorization": f"Bearer {house.token}"}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(f"{house.url}{WAYS[way][0].format(id=account.id)}?{query}", json=CHAT)
    assert answer.status_code == 400
    assert not server.requests
