"""What a limited token makes spends out of the same purse."""

import asyncio

import httpx
import pytest
from tests.gateway_house import GatewayHouse

from keycairn.app.gateway.limits import Limiter, Subject
from keycairn.domain.audit import Caller
from keycairn.domain.credential import Credential
from keycairn.domain.limits import Limits
from keycairn.domain.token import Scope
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
async def account(house: GatewayHouse, openai_server: OpenAIServer) -> Credential:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    await house.model(credential, "gpt-4o")
    return credential


async def family(house: GatewayHouse, limits: Limits) -> list[str]:
    """The texts of a token and of two it made, each with all that may be asked for."""
    maker, text = await house.new_token(Scope.ADMIN, limits=limits)
    texts = [text]
    for _ in range(2):
        _, child = await house.keycairn.tokens.create("c", [Scope.INVOKE], by=Caller(actor=maker.id))
        texts.append(child.reveal())
    return texts


async def status(house: GatewayHouse, token: str) -> int:
    async with httpx.AsyncClient(base_url=house.url, timeout=20) as client:
        answer = await client.post("/v1/chat/completions", json=BODY, headers={"authorization": f"Bearer {token}"})
        return answer.status_code


async def test_requests_of_a_minute_are_shared(house: GatewayHouse, account: Credential) -> None:
    maker, one, other = await family(house, Limits(requests_per_minute=2))
    assert [await status(house, token) for token in (one, other, one, other, maker)] == [200, 200, 429, 429, 429]


async def test_model_tokens_of_a_day_are_shared(house: GatewayHouse, account: Credential) -> None:
    maker, one, other = await family(house, Limits(tokens_per_day=20))
    assert [await status(house, token) for token in (one, other, one, other, maker)] == [200, 200, 429, 429, 429]


async def test_model_tokens_of_a_day_are_shared_after_a_restart_too(house: GatewayHouse, account: Credential) -> None:
    limits = Limits(tokens_per_day=20)
    _maker, one, other = await family(house, limits)
    assert [await status(house, token) for token in (one, other)] == [200, 200]
    stored = next(token for token in await house.keycairn.tokens.list() if token.limits == limits and not token.maker)
    subject = Subject("token", stored.id, stored.workspace, limits)
    fresh = Limiter(house.gateway.accounting.between, house.clock, house.keycairn.tokens.family)
    await fresh.prepare(subject)
    assert fresh.refusal(subject) is not None


async def test_calls_at_one_time_are_shared(
    house: GatewayHouse, account: Credential, openai_server: OpenAIServer
) -> None:
    _, one, other = await family(house, Limits(concurrent=1))
    openai_server.faults = ["slow"]
    first = asyncio.create_task(status(house, one))
    while not openai_server.requests:  # noqa: ASYNC110  # the server tells it in no other way
        await asyncio.sleep(0.01)
    assert await status(house, other) == 429
    first.cancel()


async def test_a_child_with_less_is_held_to_less(house: GatewayHouse, account: Credential) -> None:
    maker, text = await house.new_token(Scope.ADMIN, limits=Limits(requests_per_minute=3))
    _, child = await house.keycairn.tokens.create(
        "c", [Scope.INVOKE], limits=Limits(requests_per_minute=1), by=Caller(actor=maker.id)
    )
    asked = [child.reveal(), child.reveal(), text, text, text]
    assert [await status(house, token) for token in asked] == [200, 429, 200, 200, 429]


async def test_what_was_made_stops_at_once_with_its_maker(house: GatewayHouse, account: Credential) -> None:
    maker, _ = await house.new_token(Scope.ADMIN, limits=Limits(requests_per_minute=9))
    _, child = await house.keycairn.tokens.create("c", [Scope.INVOKE], by=Caller(actor=maker.id))
    assert await status(house, child.reveal()) == 200
    await house.keycairn.tokens.revoke(maker.id)
    assert await status(house, child.reveal()) == 401
