"""Streams are counted to the token, whether their clients ask for it or not."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from tests.gateway_house import GatewayHouse, behind

from keycairn.domain.credential import Credential
from keycairn.domain.limits import Limits
from keycairn.domain.usage import Usage
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY, Answer, Recorded, as_json, sse

HELLO = [{"role": "user", "content": "Hello"}]
CANARY = "sk-canary-0123456789"
CHAT = "/v1/chat/completions"
STREAMED = {"model": "gpt-4o", "stream": True, "messages": HELLO}


class StrictServer(OpenAIServer):
    """Refuses members that it does not know, as Mistral's API does."""

    def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
        if path == "/chat/completions" and "stream_options" in recorded.json():
            detail = [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs"}]
            return as_json({"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}, 422)
        return super().call(recorded, path, model)


class EndlessServer(OpenAIServer):
    """Streams words without an end that a client would wait for."""

    def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
        word = {"choices": [{"index": 0, "delta": {"content": "word "}}], "usage": None}
        return sse(*[word] * 20_000) if path == "/chat/completions" else super().call(recorded, path, model)


@pytest.fixture
async def account(house: GatewayHouse, openai_server: OpenAIServer) -> Credential:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    await house.model(credential, "gpt-4o")
    return credential


@pytest.fixture
async def client(house: GatewayHouse, account: Credential) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
        yield client


async def used(house: GatewayHouse) -> Usage:
    (sums,) = (await house.usage()).values()
    return sums


@pytest.mark.usefixtures("account")
async def test_forty_streams_that_do_not_ask_are_counted_and_look_as_they_would(house: GatewayHouse) -> None:
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.token) as client:
        for _ in range(40):
            chunks = [one async for one in await client.chat.completions.create(**STREAMED)]  # type: ignore[call-overload]  # a plain dict
            assert "".join(one.choices[0].delta.content or "" for one in chunks) == "Hello!"
    sums = await used(house)
    assert (sums.requests, sums.input_tokens, sums.output_tokens, sums.estimated) == (40, 320, 80, 0)


async def test_a_client_that_asks_gets_its_usage(house: GatewayHouse, client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, json={**STREAMED, "stream_options": {"include_usage": True}})
    events = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
    assert events[-1]["usage"]["total_tokens"] == 10
    assert (await used(house)).output_tokens == 2


async def test_a_client_that_turns_usage_off_is_counted_and_sees_none(
    house: GatewayHouse, client: httpx.AsyncClient, openai_server: OpenAIServer
) -> None:
    answer = await client.post(CHAT, json={**STREAMED, "stream_options": {"include_usage": False}})
    assert b'"usage"' not in answer.content
    assert answer.text.endswith("data: [DONE]\n\n")
    assert openai_server.requests[-1].json()["stream_options"] == {"include_usage": True}
    sums = await used(house)
    assert (sums.input_tokens, sums.output_tokens, sums.estimated) == (8, 2, 0)


async def test_streams_come_to_their_limit(house: GatewayHouse, client: httpx.AsyncClient) -> None:
    _, token = await house.new_token(limits=Limits(tokens_per_day=40))
    calls = [await client.post(CHAT, json=STREAMED, headers={"authorization": f"Bearer {token}"}) for _ in range(6)]
    assert [call.status_code for call in calls] == [200] * 4 + [429] * 2


async def test_a_provider_that_refuses_the_question_is_not_asked_again(house: GatewayHouse) -> None:
    async with StrictServer() as server:
        credential = await house.credential("mistral", KEY, base_url=server.url)
        await house.model(credential, "gpt-4o")
        async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
            for _ in range(3):
                assert (await client.post(CHAT, json=STREAMED)).status_code == 200
        assert ["stream_options" in one.json() for one in server.requests] == [True, False, False, False]
    sums = await used(house)
    assert (sums.requests, sums.estimated) == (3, 3)
    assert sums.input_tokens > 0 < sums.output_tokens


async def test_a_refusal_of_the_clients_own_question_is_the_clients(house: GatewayHouse) -> None:
    async with StrictServer(key=CANARY) as server, await behind(house, server.url) as client:
        asking = {**STREAMED, "model": "m", "stream_options": {"include_usage": True}}
        assert (await client.post(CHAT, json=asking)).status_code == 422
        assert len(server.requests) == 1


async def test_a_stream_whose_client_leaves_is_charged_what_came(house: GatewayHouse) -> None:
    async with (
        EndlessServer(key=CANARY) as server,
        await behind(house, server.url) as client,
        client.stream("POST", CHAT, json={**STREAMED, "model": "m"}) as answer,
    ):
        got = b""
        async for chunk in answer.aiter_raw():
            got += chunk
            if got.count(b"word") > 200:
                break
    for _ in range(500):
        if await house.usage():
            break
        await asyncio.sleep(0.01)
    sums = await used(house)
    assert sums.estimated == 1
    assert sums.output_tokens >= 200
    assert sums.input_tokens > 0


async def test_what_was_used_says_what_of_it_is_estimated(house: GatewayHouse, client: httpx.AsyncClient) -> None:
    await client.post(CHAT, json=STREAMED)
    sums = await used(house)
    assert (sums.cached_tokens, sums.estimated) == (0, 0)
