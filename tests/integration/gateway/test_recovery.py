"""Several credentials for one model, refusals, rate limits, failures, and what comes back by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from tests.gateway_house import GatewayHouse

from keycairn.app.services.models import ModelPatch
from keycairn.domain.credential import Credential
from keycairn.domain.modality import Modality
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


class Two:
    """Two credentials, each with a server of its own, for the same models; the first goes first."""

    def __init__(self, house: GatewayHouse, servers: list[OpenAIServer], credentials: list[Credential]) -> None:
        self.house, self.servers, self.credentials = house, servers, credentials
        self.client = httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"})

    async def chat(self, about: str = "Hello") -> httpx.Response:
        """A first question. Those about one thing are one conversation."""
        body = {**BODY, "messages": [{"role": "user", "content": about}]}
        return await self.client.post("/v1/chat/completions", json=body)

    async def embed(self) -> httpx.Response:
        return await self.client.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": "a"})

    def counts(self) -> list[int]:
        return [sum(request.method == "POST" for request in server.requests) for server in self.servers]


@pytest.fixture
async def two(house: GatewayHouse) -> AsyncIterator[Two]:
    async with OpenAIServer() as first, OpenAIServer() as second:
        credentials = []
        for priority, server in enumerate((first, second)):
            credential = await house.credential("openai", KEY, base_url=server.url)
            await house.model(credential, "gpt-4o", priority=priority)
            await house.model(credential, "text-embedding-3-small", Modality.EMBEDDING, priority=priority)
            credentials.append(credential)
        two = Two(house, [first, second], credentials)
        async with two.client:
            yield two


async def test_the_first_priority_serves_while_it_is_healthy(two: Two) -> None:
    answers = [await two.chat() for _ in range(3)]

    assert {answer.headers["x-keycairn-credential"] for answer in answers} == {two.credentials[0].id}
    assert {answer.headers["x-keycairn-attempts"] for answer in answers} == {"1"}


async def test_equals_share_the_calls_by_their_weights(two: Two) -> None:
    models = await two.house.keycairn.models.list(type=Modality.LANGUAGE)
    for model, weight in zip(models, (1, 0), strict=True):
        await two.house.keycairn.models.update(model.id, ModelPatch(priority=0, weight=weight))
    alone = {(await two.chat(str(n))).headers["x-keycairn-credential"] for n in range(10)}
    await two.house.keycairn.models.update(models[1].id, ModelPatch(weight=1))
    shared = {(await two.chat(str(n))).headers["x-keycairn-credential"] for n in range(60)}

    assert alone == {two.credentials[0].id}
    assert shared == {credential.id for credential in two.credentials}


async def test_the_turns_of_a_conversation_stay_where_its_beginning_is_cached(two: Two) -> None:
    for model in await two.house.keycairn.models.list(type=Modality.LANGUAGE):
        await two.house.keycairn.models.update(model.id, ModelPatch(priority=0, weight=1))
    for conversation in range(8):
        turns = {(await two.chat(str(conversation))).headers["x-keycairn-credential"] for _ in range(5)}
        assert len(turns) == 1


async def test_a_refused_key_sends_the_call_to_the_next_and_is_passed_by_after(two: Two) -> None:
    two.servers[0].key = "sk-changed-at-the-provider"

    first, second = await two.chat(), await two.chat()

    assert (first.status_code, first.headers["x-keycairn-attempts"]) == (200, "2")
    assert first.headers["x-keycairn-credential"] == two.credentials[1].id
    assert second.headers["x-keycairn-attempts"] == "1"
    assert two.counts() == [1, 2]


async def test_a_refused_key_is_probed_and_comes_back_by_itself(two: Two) -> None:
    two.servers[0].key = "sk-changed-at-the-provider"
    await two.chat()
    two.servers[0].key = KEY
    await two.chat()
    assert two.counts() == [1, 2]  # its rest is not over

    two.house.clock.tick(20)
    await two.chat()  # passes it by, and has it probed
    for _ in range(100):
        if two.house.gateway.health.clear:
            break
        await asyncio.sleep(0.01)
    answer = await two.chat()

    assert answer.headers["x-keycairn-credential"] == two.credentials[0].id


async def test_a_rotated_key_is_used_at_once_even_where_the_old_one_was_refused(two: Two) -> None:
    two.servers[0].key = "sk-new-key-at-the-provider"
    await two.chat()

    await two.house.rotate(two.credentials[0], "sk-new-key-at-the-provider")
    answer = await two.chat()

    assert answer.headers["x-keycairn-credential"] == two.credentials[0].id


async def test_a_rate_limit_rests_the_credential_as_long_as_the_provider_says(two: Two) -> None:
    two.servers[0].faults = [429]

    first, second = await two.chat(), await two.chat()
    two.house.clock.tick(8)
    third = await two.chat()

    assert [answer.status_code for answer in (first, second, third)] == [200, 200, 200]
    assert [answer.headers["x-keycairn-credential"] for answer in (first, second, third)] == [
        two.credentials[1].id,
        two.credentials[1].id,
        two.credentials[0].id,
    ]


async def test_a_rate_limit_of_all_is_the_clients_with_its_retry_after(two: Two) -> None:
    two.servers[0].fault = two.servers[1].fault = 429

    answer = await two.chat()

    assert (answer.status_code, answer.headers["retry-after"], answer.headers["x-keycairn-attempts"]) == (429, "7", "2")


async def test_a_failure_that_was_answered_goes_on_to_the_next(two: Two) -> None:
    two.servers[0].fault = 500

    chat = await two.chat()

    assert (chat.status_code, chat.headers["x-keycairn-attempts"]) == (200, "2")
    assert two.counts() == [1, 1]


async def test_what_does_no_harm_is_repeated_elsewhere(two: Two) -> None:
    two.servers[0].fault = 500

    embedding = await two.embed()

    assert (embedding.status_code, embedding.headers["x-keycairn-attempts"]) == (200, "2")


async def test_an_overloaded_provider_has_done_nothing(two: Two) -> None:
    two.servers[0].fault = 503

    assert (await two.chat()).headers["x-keycairn-credential"] == two.credentials[1].id


@asynccontextmanager
async def gone(two: Two) -> AsyncIterator[None]:
    await two.servers[0].__aexit__(None, None, None)
    yield
    await two.servers[0].__aenter__()


async def test_a_provider_that_cannot_be_reached_is_passed_by(two: Two) -> None:
    async with gone(two):
        first, second = await two.chat(), await two.chat()

    assert (first.headers["x-keycairn-attempts"], second.headers["x-keycairn-attempts"]) == ("2", "1")


async def test_an_undecryptable_credential_is_passed_by_and_said_when_alone(two: Two) -> None:
    vault = two.house.keycairn.vault
    vault.keyset.cipher.kids = frozenset({99})  # type: ignore[attr-defined]  # the fake cipher forgets its key

    answer = await two.chat()

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "undecryptable"
    assert two.counts() == [0, 0]
