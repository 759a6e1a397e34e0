"""What calls cost is summed up, and holds tokens and credentials to what they may spend."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from tests.gateway_house import GatewayHouse

from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.models import ModelPatch
from keycairn.domain.credential import Credential
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.price import Price
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY, Answer, Recorded, as_json

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
SPEECH = {"model": "tts-1", "voice": "a"}
CHAT = "/v1/chat/completions"
ONE_CALL = 40_000
"""Millionths: 8 tokens at 1,000, 2 tokens at 16,000 a million."""


@pytest.fixture
async def account(house: GatewayHouse, openai_server: OpenAIServer) -> Credential:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    model = await house.model(credential, "gpt-4o")
    await house.keycairn.models.update(model.id, ModelPatch(price=Price(input=1000, output=16_000)))
    await house.model(credential, "free")
    return credential


@pytest.fixture
async def client(house: GatewayHouse, account: Credential) -> AsyncIterator[httpx.AsyncClient]:
    del account
    async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
        yield client


async def statuses(client: httpx.AsyncClient, token: str, count: int) -> list[int]:
    headers = {"authorization": f"Bearer {token}"}
    return [(await client.post(CHAT, json=BODY, headers=headers)).status_code for _ in range(count)]


async def test_what_calls_cost_is_told_with_their_use(house: GatewayHouse, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.post(CHAT, json=BODY)
    await client.post(CHAT, json={**BODY, "stream": True})
    sums = list((await house.usage()).values())
    assert sum(one.nanos for one in sums) == 4 * ONE_CALL * 1000


async def test_a_token_stops_at_what_it_may_spend_in_a_day(house: GatewayHouse, client: httpx.AsyncClient) -> None:
    _, token = await house.new_token(limits=Limits(micros_per_day=3 * ONE_CALL))
    assert await statuses(client, token, 5) == [200] * 3 + [429] * 2
    refused = await client.post(CHAT, json=BODY, headers={"authorization": f"Bearer {token}"})
    assert "0.12 spent with this token in a day" in refused.json()["error"]["message"]
    house.clock.tick(timedelta(days=1).total_seconds())
    assert await statuses(client, token, 1) == [200]


async def test_and_in_a_month(house: GatewayHouse, client: httpx.AsyncClient) -> None:
    _, token = await house.new_token(limits=Limits(micros_per_month=3 * ONE_CALL))
    assert await statuses(client, token, 2) == [200] * 2
    house.clock.tick(timedelta(days=2).total_seconds())
    assert await statuses(client, token, 3) == [200, 429, 429]
    refused = await client.post(CHAT, json=BODY, headers={"authorization": f"Bearer {token}"})
    assert int(refused.headers["retry-after"]) > timedelta(days=20).total_seconds()
    house.clock.tick(timedelta(days=31).total_seconds())
    assert await statuses(client, token, 1) == [200]


async def test_a_credential_does_too(house: GatewayHouse, client: httpx.AsyncClient, account: Credential) -> None:
    await house.keycairn.credentials.update(account.id, CredentialPatch(limits=Limits(micros_per_day=2 * ONE_CALL)))
    assert await statuses(client, house.token, 4) == [200, 200, 429, 429]


async def test_a_limit_that_is_changed_counts_what_was_used_before(
    house: GatewayHouse, client: httpx.AsyncClient, account: Credential
) -> None:
    await house.keycairn.credentials.update(account.id, CredentialPatch(limits=Limits(tokens_per_day=1_000)))
    assert await statuses(client, house.token, 3) == [200] * 3
    house.clock.tick(timedelta(days=1).total_seconds())
    assert await statuses(client, house.token, 1) == [200]
    await house.keycairn.credentials.update(account.id, CredentialPatch(limits=Limits(micros_per_month=4 * ONE_CALL)))
    assert await statuses(client, house.token, 1) == [429]


async def test_a_limit_that_comes_back_counts_what_was_used_without_it(
    house: GatewayHouse, client: httpx.AsyncClient, account: Credential
) -> None:
    bound, free = CredentialPatch(limits=Limits(micros_per_day=3 * ONE_CALL)), CredentialPatch(limits=Limits())
    for patch, wanted in ((bound, [200]), (free, [200] * 3), (bound, [429])):
        await house.keycairn.credentials.update(account.id, patch)
        assert await statuses(client, house.token, len(wanted)) == wanted


async def test_a_model_without_a_price_costs_nothing(house: GatewayHouse, client: httpx.AsyncClient) -> None:
    _, token = await house.new_token(limits=Limits(micros_per_day=1))
    for _ in range(3):
        answer = await client.post(CHAT, json={**BODY, "model": "free"}, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code in {200, 404}
    assert all(one.nanos == 0 for one in (await house.usage()).values())


async def test_a_price_for_each_call_is_paid_for_answers_only(house: GatewayHouse) -> None:
    class Failing(OpenAIServer):
        def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
            if b"fail" in recorded.body:
                return as_json({"error": {"message": "no"}}, 400)
            return super().call(recorded, path, model)

    async with Failing() as server:
        credential = await house.credential("openai", KEY, base_url=server.url)
        model = await house.model(credential, "tts-1", Modality.TEXT_TO_SPEECH)
        await house.keycairn.models.update(model.id, ModelPatch(price=Price(call=0.5)))
        async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
            said = [
                (await client.post("/v1/audio/speech", json={**SPEECH, "input": text})).status_code
                for text in ("Hello", "fail", "Bye")
            ]
    assert said == [200, 400, 200]
    assert sum(one.nanos for one in (await house.usage()).values()) == 10**9
