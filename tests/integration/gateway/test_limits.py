"""Limits of tokens, scopes, revocation, and the accounting over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar
from prometheus_client import generate_latest
from tests.app_client import AppClient
from tests.gateway_house import GatewayHouse

from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.services.access.attempts import ATTEMPTS_PER_MINUTE
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.errors import TooManyAttemptsError
from keycairn.domain.limits import Limits
from keycairn.domain.token import Scope
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
Ask = Callable[[str], Coroutine[Any, Any, httpx.Response]]


@pytest.fixture
async def account(house: GatewayHouse, openai_server: OpenAIServer) -> Credential:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    await house.model(credential, "gpt-4o")
    return credential


@pytest.fixture
async def ask(house: GatewayHouse, account: Credential) -> AsyncIterator[Ask]:
    async with httpx.AsyncClient(base_url=house.url) as client:

        async def one(token: str) -> httpx.Response:
            return await client.post("/v1/chat/completions", json=BODY, headers={"authorization": f"Bearer {token}"})

        yield one


async def test_requests_in_a_minute(house: GatewayHouse, ask: Ask) -> None:
    _, token = await house.new_token(limits=Limits(requests_per_minute=2))

    statuses = [(await ask(token)).status_code for _ in range(2)]
    refused = await ask(token)
    house.clock.tick(30)
    after = await ask(token)

    assert statuses == [200, 200]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "limit_reached")
    assert 25 <= int(refused.headers["retry-after"]) <= 30
    assert after.status_code == 200


async def test_model_tokens_in_a_day_count_those_of_before(house: GatewayHouse, ask: Ask) -> None:
    _, token = await house.new_token(limits=Limits(tokens_per_day=20))

    statuses = [(await ask(token)).status_code for _ in range(3)]
    house.clock.tick(86_400)
    after = await ask(token)

    assert statuses == [200, 200, 429]  # ten each
    assert after.status_code == 200


async def test_calls_at_one_time(house: GatewayHouse, ask: Ask, openai_server: OpenAIServer) -> None:
    _, token = await house.new_token(limits=Limits(concurrent=1))
    openai_server.faults = ["slow"]

    first = asyncio.create_task(ask(token))
    while not openai_server.requests:  # noqa: ASYNC110  # the server tells it in no other way
        await asyncio.sleep(0.01)
    second = await ask(token)
    other = await ask(house.token)
    first.cancel()

    assert second.status_code == 429
    assert other.status_code == 200


async def test_a_token_without_the_scope(house: GatewayHouse, ask: Ask) -> None:
    _, token = await house.new_token(Scope.MODELS_READ)

    answer = await ask(token)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


async def test_a_revoked_token_stops_at_once(house: GatewayHouse, ask: Ask) -> None:
    token, text = await house.new_token()
    before = await ask(text)

    await house.keycairn.tokens.revoke(token.id)
    after = await ask(text)

    assert (before.status_code, after.status_code) == (200, 401)


async def test_an_expired_token_stops(house: GatewayHouse, ask: Ask) -> None:
    _, text = await house.keycairn.tokens.create(
        "short", [Scope.INVOKE], expires=house.clock.now() + timedelta(seconds=120)
    )
    house.clock.tick(60)
    before = await ask(text.reveal())
    house.clock.tick(120)
    after = await ask(text.reveal())

    assert (before.status_code, after.status_code) == (200, 401)


async def test_the_accounting_over_http(house: GatewayHouse, ask: Ask, account: Credential) -> None:
    token, text = await house.new_token()
    await ask(text)
    await ask(house.token)
    await ask(house.token)
    _, admin = await house.new_token(Scope.ADMIN)
    app = Litestar(plugins=[KeycairnPlugin(keycairn=house.keycairn)], openapi_config=None, logging_config=None)

    async with AppClient(app) as client:
        client.headers["authorization"] = f"Bearer {admin}"
        by_token = (await client.get("/api/usage", params={"by": "token"})).json()
        by_credential = (await client.get("/api/usage", params={"by": "credential"})).json()
        whole = (await client.get("/api/usage")).json()
        metrics = (await client.get("/metrics")).text

    assert {one["token"]: one["requests"] for one in by_token}[token.id] == 1
    assert [(one["credential"], one["requests"], one["input_tokens"]) for one in by_credential] == [(account.id, 3, 24)]
    assert len(whole) == 2
    assert 'keycairn_gateway_calls_total{api="chat",code="",provider="openai",status="200"} 3.0' in metrics


async def test_guessing_is_slowed_down_on_every_door_together(house: GatewayHouse, ask: Ask) -> None:
    for _ in range(ATTEMPTS_PER_MINUTE):
        assert (await ask("kc_guess")).status_code == 401

    limited = await ask("kc_guess")
    known = await ask(house.token)
    with pytest.raises(TooManyAttemptsError):
        house.keycairn.attempts.check("127.0.0.1")

    assert (limited.status_code, limited.json()["error"]["code"]) == (429, "too_many_attempts")
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert known.status_code == 200, "a good token is not kept out by what others did from its address"
    house.clock.tick(61)
    assert (await ask("kc_guess")).status_code == 401


async def test_a_token_that_was_good_passes_where_others_guess(house: GatewayHouse, ask: Ask) -> None:
    assert (await ask(house.token)).status_code == 200
    for _ in range(ATTEMPTS_PER_MINUTE + 1):
        await ask("kc_guess")

    await house.rotate((await house.keycairn.credentials.list())[0].credential, KEY)  # all that is cached is forgotten
    assert (await ask(house.token)).status_code == 200


@pytest.fixture
async def pair(house: GatewayHouse, account: Credential, openai_server: OpenAIServer) -> Credential:
    """A second credential, which comes after the account's."""
    spare = await house.credential("openai", KEY, base_url=openai_server.url)
    await house.model(spare, "gpt-4o", priority=1)
    return spare


async def bound(house: GatewayHouse, credential: Credential, **limits: int) -> None:
    await house.keycairn.credentials.update(credential.id, CredentialPatch(limits=Limits(**limits)))


async def test_a_credential_at_its_limit_is_passed_over(
    house: GatewayHouse, ask: Ask, account: Credential, pair: Credential
) -> None:
    await bound(house, account, requests_per_minute=1)

    served = [(await ask(house.token)).headers for _ in range(2)]

    assert [one["x-keycairn-credential"] for one in served] == [account.id, pair.id]
    assert [one["x-keycairn-attempts"] for one in served] == ["1", "1"]
    metrics = generate_latest(house.gateway.metrics.registry).decode()
    assert 'keycairn_gateway_attempts_total{outcome="limit_reached",provider="openai"} 1.0' in metrics


async def test_all_credentials_at_their_limits_refuse_with_the_soonest_end(
    house: GatewayHouse, ask: Ask, account: Credential, pair: Credential
) -> None:
    await bound(house, account, requests_per_minute=1)
    await bound(house, pair, requests_per_minute=2)
    statuses = [(await ask(house.token)).status_code for _ in range(3)]

    refused = await ask(house.token)

    assert statuses == [200, 200, 200]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "limit_reached")
    assert "of this credential" in refused.json()["error"]["message"]
    assert 28 <= int(refused.headers["retry-after"]) <= 30
    assert refused.headers["x-keycairn-attempts"] == "0"


async def test_a_credentials_model_tokens_in_a_day(house: GatewayHouse, ask: Ask, account: Credential) -> None:
    await ask(house.token)  # ten, before there was a limit
    await bound(house, account, tokens_per_day=20)

    statuses = [(await ask(house.token)).status_code for _ in range(2)]
    house.clock.tick(86_400)
    after = await ask(house.token)

    assert statuses == [200, 429]
    assert after.status_code == 200


async def test_calls_of_a_credential_at_one_time(
    house: GatewayHouse, ask: Ask, account: Credential, openai_server: OpenAIServer
) -> None:
    await bound(house, account, concurrent=1)
    openai_server.faults = ["slow"]

    first = asyncio.create_task(ask(house.token))
    while not openai_server.requests:  # noqa: ASYNC110  # the server tells it in no other way
        await asyncio.sleep(0.01)
    second = await ask(house.token)
    first.cancel()
    for _ in range(100):
        third = await ask(house.token)
        if third.status_code == 200:
            break
        await asyncio.sleep(0.02)

    assert second.status_code == 429
    assert third.status_code == 200  # who left holds nothing


async def test_what_fails_gives_its_place_back(
    house: GatewayHouse, ask: Ask, account: Credential, openai_server: OpenAIServer
) -> None:
    await bound(house, account, concurrent=1)

    for fault in (400, 401, 429, 500, 503):
        openai_server.faults = [fault]
        assert (await ask(house.token)).status_code != 200
        house.clock.tick(60)  # a refused key is not asked again at once
    await openai_server.__aexit__(None, None, None)
    unreachable = [(await ask(house.token)).json()["error"]["code"] for _ in range(2)]
    await openai_server.__aenter__()

    assert unreachable == ["provider_unreachable"] * 2
