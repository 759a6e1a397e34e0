"""What an account's failure does to the call that met it, and to those after."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import httpx
import pytest
from tests.gateway_house import GatewayHouse
from tests.servers.raw import raw_server

from keycairn.domain.credential import Credential
from keycairn.domain.modality import Modality
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY, Answer, Recorded, as_json, sse

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
PAGE = b"<!doctype html><title>Sign in</title>"
ERROR = {"error": {"code": 429, "message": "Provider returned error"}}


class Failing(OpenAIServer):
    """Answers every call with `given`, where there is one."""

    given: Answer | None = None

    def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
        return self.given or super().call(recorded, path, model)


class Pair:
    """One model at two accounts: a failing one, which is asked first, and a good one."""

    def __init__(self, house: GatewayHouse) -> None:
        self.house = house
        self.failing, self.good = Failing(), OpenAIServer()
        self.credentials: list[Credential] = []
        self.client = httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"})

    async def add(self, server: OpenAIServer, priority: int) -> None:
        credential = await self.house.credential("openai", KEY, base_url=server.url)
        await self.house.model(credential, "gpt-4o", priority=priority)
        self.credentials.append(credential)

    async def chat(self, **more: object) -> httpx.Response:
        return await self.client.post("/v1/chat/completions", json={**BODY, **more})

    def forget(self) -> None:
        """Begin anew with both accounts."""
        for credential in self.credentials:
            self.house.gateway.health._states.pop(credential.id, None)
        self.failing.requests.clear()
        self.good.requests.clear()


@pytest.fixture
async def pair(house: GatewayHouse) -> AsyncIterator[Pair]:
    pair = Pair(house)
    async with AsyncExitStack() as stack:
        for priority, server in enumerate((pair.failing, pair.good)):
            await stack.enter_async_context(server)
            await pair.add(server, priority)
        await stack.enter_async_context(pair.client)
        yield pair


@pytest.fixture
async def alone(house: GatewayHouse) -> AsyncIterator[Pair]:
    pair = Pair(house)
    async with pair.failing, pair.client:
        await pair.add(pair.failing, 0)
        yield pair


def failing(status: int, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    return as_json({"error": {"message": "m"}} if body is None else body, status, headers)


FAILURES: Mapping[str, Answer] = {
    **{f"status {one}": failing(one) for one in (402, 403, 408, 425, 429, 500, 502, 503, 504, *range(520, 528), 529)},
    "no credit": failing(400, {"error": {"message": "Your credit balance is too low to access the Anthropic API."}}),
    "quota": failing(403, {"error": {"message": "Quota exceeded"}}),
    "a firewall's page": Answer(403, PAGE, "text/html"),
    "another address": failing(404, {"detail": "Not Found"}),
    "an error as 200": as_json(ERROR),
    "an error as 200, behind an id": as_json({"id": "1", **ERROR}),
    "a page as 200": Answer(200, PAGE, "text/html"),
    "a first event that is an error": sse(ERROR),
    "a named first event that is an error": sse({"type": "error", **ERROR}, names=("error",), done=False),
    "an event in two pieces": Answer(
        type="text/event-stream", chunks=(b"event: error\nda", b"ta: " + json.dumps(ERROR).encode() + b"\n\n")
    ),
}


async def test_a_failure_before_the_first_byte_goes_on_to_the_next_account(pair: Pair) -> None:
    for name, answer in FAILURES.items():
        pair.forget()
        pair.failing.given = answer
        first, second = await pair.chat(), await pair.chat()

        assert (first.status_code, first.headers["x-keycairn-attempts"]) == (200, "2"), name
        assert first.json()["choices"][0]["message"]["content"] == "Hello!", name
        assert second.headers["x-keycairn-attempts"] == "1", f"{name}: it rests"
        assert (len(pair.failing.requests), len(pair.good.requests)) == (1, 2), name


async def test_a_stream_goes_on_too(pair: Pair) -> None:
    for name in ("a first event that is an error", "an event in two pieces", "a page as 200", "status 500"):
        pair.forget()
        pair.failing.given = FAILURES[name]

        answer = await pair.chat(stream=True)

        assert (answer.status_code, answer.headers["x-keycairn-attempts"]) == (200, "2"), name
        assert answer.text.endswith("data: [DONE]\n\n"), name


async def test_what_is_the_clients_own_fault_is_passed_on_unchanged_and_rests_nobody(pair: Pair) -> None:
    gone = {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}
    wrong = {"error": {"message": "Unsupported value", "type": "invalid_request_error", "code": "unsupported_value"}}
    for status, body in ((400, wrong), (404, gone), (413, wrong), (422, {"detail": [{"msg": "field required"}]})):
        pair.forget()
        pair.failing.given = failing(status, body)
        first, second = await pair.chat(), await pair.chat()

        assert (first.status_code, first.json()) == (status, body)
        assert first.headers["x-keycairn-attempts"] == second.headers["x-keycairn-attempts"] == "1"
        assert (len(pair.failing.requests), len(pair.good.requests)) == (2, 0)
        assert pair.house.gateway.health.clear


async def test_an_account_comes_back_when_its_rest_is_over(pair: Pair) -> None:
    patient = failing(429, None, {"retry-after": "20"})
    for answer, rest in ((FAILURES["no credit"], 60), (FAILURES["status 503"], 5), (patient, 20)):
        pair.forget()
        pair.failing.given = answer
        await pair.chat()
        pair.failing.given = None
        pair.house.clock.tick(rest - 1)
        resting = await pair.chat()
        pair.house.clock.tick(1)
        back = await pair.chat()

        assert [one.headers["x-keycairn-credential"] for one in (resting, back)] == [
            pair.credentials[1].id,
            pair.credentials[0].id,
        ]


class TestAlone:
    """Without another account the client is told what happened."""

    async def test_an_error_that_came_as_200_has_the_status_it_stands_for(self, alone: Pair) -> None:
        for answer, status in ((as_json(ERROR), 429), (sse(ERROR), 429), (as_json({"error": {"message": "m"}}), 502)):
            alone.failing.given = answer
            told = await alone.chat(stream=answer.type == "text/event-stream")

            assert told.status_code == status
            assert "message" in told.json()["error"]
            assert told.headers["x-keycairn-error"] == "provider_error"

    async def test_a_page_is_not_passed_on_as_an_answer(self, alone: Pair) -> None:
        alone.failing.given = Answer(200, PAGE, "text/html")

        told = await alone.chat()

        assert (told.status_code, told.headers["x-keycairn-failure"]) == (502, "not_a_provider")
        assert "a page, a proxy, or nothing" in told.json()["error"]["message"]

    async def test_a_failure_is_counted_as_one(self, alone: Pair) -> None:
        alone.failing.given = as_json(ERROR)
        await alone.chat()
        (usage,) = (await alone.house.usage()).values()
        assert (usage.requests, usage.failed) == (1, 1)

    async def test_the_kind_of_a_refusal_is_in_a_header(self, alone: Pair) -> None:
        kinds = {"no credit": "quota", "status 403": "no_permission", "status 503": "provider_down"}
        for name, kind in kinds.items():
            alone.failing.given = FAILURES[name]
            assert (await alone.chat()).headers["x-keycairn-failure"] == kind

    async def test_a_refused_key_rests_shortly_instead_of_being_asked_at_each_call(self, alone: Pair) -> None:
        alone.failing.key = "sk-changed-at-the-provider"
        answers = [await alone.chat() for _ in range(30)]

        assert {answer.status_code for answer in answers} == {502}
        assert {answer.json()["error"]["code"] for answer in answers} == {"provider_invalid_auth"}
        assert len(alone.failing.requests) == 1
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 15
        assert answers[-1].headers["x-should-retry"] == "false"

        alone.failing.key = KEY
        alone.house.clock.tick(16)
        assert (await alone.chat()).status_code == 200

    async def test_a_good_test_of_the_credential_ends_its_rest(self, alone: Pair) -> None:
        alone.failing.key = "sk-changed-at-the-provider"
        await alone.chat()
        alone.failing.key = KEY
        assert (await alone.chat()).status_code == 502

        assert (await alone.house.keycairn.probing.test(alone.credentials[0].id)).success

        assert (await alone.chat()).status_code == 200

    async def test_a_rotated_key_is_used_at_once(self, alone: Pair) -> None:
        alone.failing.key = "sk-new-key-at-the-provider"
        refused = await alone.chat()
        await alone.house.rotate(alone.credentials[0], "sk-new-key-at-the-provider")

        assert (refused.status_code, (await alone.chat()).status_code) == (502, 200)


async def test_two_refused_keys_are_not_asked_again_either(pair: Pair) -> None:
    pair.failing.key = pair.good.key = "sk-changed-at-the-provider"
    answers = [await pair.chat() for _ in range(5)]

    assert {answer.status_code for answer in answers} == {502}
    assert (len(pair.failing.requests), len(pair.good.requests)) == (1, 1)


async def test_an_answer_that_breaks_before_its_first_byte_goes_on_where_doing_it_twice_does_no_harm(
    house: GatewayHouse,
) -> None:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n")
        await writer.drain()
        writer.transport.abort()

    async with raw_server(handle) as url, OpenAIServer() as good:
        client = httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"})
        for priority, address in enumerate((url, good.url)):
            credential = await house.credential("openai", KEY, base_url=address)
            await house.model(credential, "gpt-4o", priority=priority)
            await house.model(credential, "text-embedding-3-small", Modality.EMBEDDING, priority=priority)
        async with client:
            chat = await client.post("/v1/chat/completions", json=BODY)
            vector = await client.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": "a"})

    assert (chat.status_code, chat.json()["error"]["code"]) == (502, "provider_unreachable")
    assert vector.status_code == 200


async def test_a_packed_page_is_a_page_too(pair: Pair) -> None:
    pair.failing.given = Answer(200, gzip.compress(PAGE), "text/html", {"Content-Encoding": "gzip"})
    assert (await pair.chat()).headers["x-keycairn-attempts"] == "2"


async def test_an_answer_of_no_bytes_is_none(pair: Pair) -> None:
    pair.failing.given = Answer(200, b"")
    assert (await pair.chat()).headers["x-keycairn-attempts"] == "2"
