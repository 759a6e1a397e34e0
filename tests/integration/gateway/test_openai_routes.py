"""OpenAI's less common calls through the official SDK, its timeouts, and a call that is given up."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from tests.gateway_house import GatewayHouse

from keycairn.domain.credential import Credential
from keycairn.domain.modality import Modality
from keycairn.plugins.payloads import silent_wav
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY, Answer, Recorded, as_json, sse

GREETING: Any = [{"role": "user", "content": "Hello"}]
NOW: Any = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}


class WholeServer(OpenAIServer):
    """OpenAI's other calls too. Source: platform.openai.com/docs/api-reference."""

    def call(self, recorded: Recorded, path: str, model: str = "") -> Answer:
        calls = {
            "/completions": self._complete,
            "/responses": self._respond,
            "/images/generations": self._draw,
            "/moderations": self._moderate,
        }
        if recorded.method == "POST" and path in calls:
            return calls[path](recorded.json())
        if path == "/audio/translations" and recorded.form()["file"].startswith(b"RIFF"):
            return as_json({"text": f"heard by {recorded.form()['model'].decode()}"})
        if path == "/chat/completions" and recorded.json().get("tools"):
            return self._use_tool(recorded.json())
        return super().call(recorded, path, model)

    def _complete(self, body: dict[str, Any]) -> Answer:
        choice = {"index": 0, "text": "Hello!", "finish_reason": "stop", "logprobs": None}
        whole = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": body["model"], "choices": [choice]}
        return sse(whole) if body.get("stream") else as_json(whole)

    def _respond(self, body: dict[str, Any]) -> Answer:
        text = {"type": "output_text", "text": "Hello!", "annotations": []}
        message = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [text]}
        usage = {
            "input_tokens": 8,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 10,
        }
        head = {"id": "resp_1", "object": "response", "created_at": 1, "model": body["model"], "tools": []}
        head |= {"parallel_tool_calls": True, "tool_choice": "auto", "status": "completed", "error": None}
        whole = {**head, "output": [message], "usage": usage}
        if not body.get("stream"):
            return as_json(whole)
        names = "response.output_text.delta", "response.completed"
        delta: dict[str, Any] = {"type": names[0], "delta": "Hello!", "item_id": "m1", "output_index": 0}
        delta |= {"content_index": 0, "sequence_number": 1, "logprobs": []}
        end = {"type": names[1], "response": whole, "sequence_number": 2}
        return sse(delta, end, names=names, done=False)

    def _draw(self, body: dict[str, Any]) -> Answer:
        return as_json({"created": 1, "data": [{"b64_json": "aGk=", "revised_prompt": body["prompt"]}]})

    def _moderate(self, body: dict[str, Any]) -> Answer:
        verdict = {"flagged": False, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}
        return as_json({"id": "modr-1", "model": body["model"], "results": [verdict]})

    def _use_tool(self, body: dict[str, Any]) -> Answer:
        call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": '{"zone": "UTC"}'}}
        head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
            return as_json({**head, "object": "chat.completion", "choices": [choice]})
        deltas: list[dict[str, Any]] = [
            {"tool_calls": [{"index": 0, **call, "function": {"name": "now", "arguments": '{"zone": '}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '"UTC"}'}}]},
        ]
        chunk = {**head, "object": "chat.completion.chunk"}
        return sse(*({**chunk, "choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas))


@pytest.fixture
async def server() -> AsyncIterator[WholeServer]:
    async with WholeServer() as server:
        yield server


@pytest.fixture
async def account(house: GatewayHouse, server: WholeServer) -> Credential:
    credential = await house.credential("openai", KEY, base_url=server.url)
    await house.model(credential, "gpt-4o")
    await house.model(credential, "whisper-1", Modality.SPEECH_TO_TEXT)
    await house.model(credential, "dall-e-3")
    await house.model(credential, "omni-moderation")
    return credential


@pytest.fixture
async def client(house: GatewayHouse, account: Credential) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
        yield client


async def test_completions(client: AsyncOpenAI, server: WholeServer) -> None:
    answer = await client.completions.create(model="openai/gpt-4o", prompt="Hello")
    stream = await client.completions.create(model="gpt-4o", prompt="Hello", stream=True)

    assert answer.choices[0].text == "Hello!"
    assert [chunk.choices[0].text async for chunk in stream] == ["Hello!"]
    assert [request.json()["model"] for request in server.requests] == ["gpt-4o", "gpt-4o"]


async def test_responses_whole_and_streamed_are_counted(
    house: GatewayHouse, client: AsyncOpenAI, server: WholeServer
) -> None:
    answer = await client.responses.create(model="openai/gpt-4o", input="Hello")
    stream = await client.responses.create(model="openai/gpt-4o", input="Hello", stream=True)
    deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]

    assert answer.output_text == "Hello!"
    assert deltas == ["Hello!"]
    (sums,) = (await house.usage()).values()
    assert (sums.requests, sums.input_tokens, sums.output_tokens) == (2, 16, 4)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK would rather have transcriptions called
async def test_a_translation(client: AsyncOpenAI) -> None:
    answer = await client.audio.translations.create(model="openai/whisper-1", file=("a.wav", silent_wav(), "audio/wav"))

    assert answer.text == "heard by whisper-1"


async def test_an_image(client: AsyncOpenAI, server: WholeServer) -> None:
    answer = await client.images.generate(model="openai/dall-e-3", prompt="a cairn")

    assert answer.data is not None
    assert (answer.data[0].b64_json, answer.data[0].revised_prompt) == ("aGk=", "a cairn")
    assert server.requests[-1].json() == {"model": "dall-e-3", "prompt": "a cairn"}


async def test_a_moderation(client: AsyncOpenAI) -> None:
    answer = await client.moderations.create(model="openai/omni-moderation", input="Hello")

    assert (answer.model, answer.results[0].flagged) == ("omni-moderation", False)


async def test_tools_whole_and_streamed(client: AsyncOpenAI, server: WholeServer) -> None:
    answer = await client.chat.completions.create(model="gpt-4o", messages=GREETING, tools=[NOW])
    stream = await client.chat.completions.create(model="gpt-4o", messages=GREETING, tools=[NOW], stream=True)
    pieces = [chunk.choices[0].delta.tool_calls async for chunk in stream]

    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert json.loads(calls[0].function.arguments) == {"zone": "UTC"}
    assert "".join(piece[0].function.arguments or "" for piece in pieces if piece and piece[0].function) == (
        '{"zone": "UTC"}'
    )
    assert server.requests[0].json()["tools"] == [NOW]


async def test_a_timeout_of_the_async_client_ends_the_call(
    house: GatewayHouse, client: AsyncOpenAI, server: WholeServer
) -> None:
    server.faults = ["slow"]
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.2).chat.completions.create(model="gpt-4o", messages=GREETING)
    for _ in range(100):
        if not house.gateway._admission._calls:
            break
        await asyncio.sleep(0.01)

    assert not house.gateway._admission._calls
    assert (await client.chat.completions.create(model="gpt-4o", messages=GREETING)).choices


async def test_a_timeout_of_the_sync_client(house: GatewayHouse, account: Credential, server: WholeServer) -> None:
    server.faults = ["slow"]

    def ask() -> None:
        with OpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0, timeout=0.2) as client:
            client.chat.completions.create(model="gpt-4o", messages=GREETING)

    with pytest.raises(openai.APITimeoutError):
        await asyncio.to_thread(ask)


async def test_the_sdks_own_retry_waits_as_the_provider_says(client: AsyncOpenAI, server: WholeServer) -> None:
    server.retry_after = "0"
    server.faults = [429]

    answer = await client.with_options(max_retries=1).chat.completions.create(model="gpt-4o", messages=GREETING)

    assert answer.choices[0].message.content == "Hello!"
    assert len(server.requests) == 2
