"""Clients other than the official SDKs: the sync OpenAI client and esperanto."""

import asyncio
from typing import Any

import pytest
from esperanto import AIFactory
from esperanto.common_types import ChatCompletion
from openai import OpenAI
from tests.gateway_house import GatewayHouse

from keycairn.domain.credential import Credential
from keycairn.domain.modality import Modality
from keycairn.plugins.payloads import silent_wav
from keycairn.testing.openai_server import VECTOR, OpenAIServer
from keycairn.testing.server import KEY

GREETING: Any = [{"role": "user", "content": "Hello"}]
TOOL: Any = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def account(house: GatewayHouse, openai_server: OpenAIServer) -> Credential:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    await house.model(credential, "gpt-4o")
    await house.model(credential, "text-embedding-3-small", Modality.EMBEDDING)
    await house.model(credential, "whisper-1", Modality.SPEECH_TO_TEXT)
    return credential


@pytest.mark.usefixtures("account")
async def test_the_sync_client(house: GatewayHouse, openai_server: OpenAIServer) -> None:
    def ask() -> tuple[str | None, str]:
        with OpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
            whole = client.chat.completions.create(model="gpt-4o", messages=GREETING, tools=[TOOL])
            chunks = client.chat.completions.create(model="gpt-4o", messages=GREETING, stream=True)
            return whole.choices[0].message.content, "".join(c.choices[0].delta.content or "" for c in chunks)

    assert await asyncio.to_thread(ask) == ("Hello!", "Hello!")
    assert openai_server.requests[0].json()["tools"] == [TOOL]


@pytest.mark.usefixtures("account")
async def test_esperanto(house: GatewayHouse) -> None:
    config = {"api_key": house.token, "base_url": house.url + "/v1"}
    chat = AIFactory.create_language("openai-compatible", "openai/gpt-4o", config=config)
    embedding = AIFactory.create_embedding("openai-compatible", "openai/text-embedding-3-small", config=config)

    answer = await chat.achat_complete(GREETING)
    stream = await chat.achat_complete(GREETING, stream=True)
    assert isinstance(answer, ChatCompletion)
    assert not isinstance(stream, ChatCompletion)
    deltas = [chunk.choices[0].delta.content or "" async for chunk in stream]
    vectors = await embedding.aembed(["a"])
    await chat.aclose()
    await embedding.aclose()

    assert answer.choices[0].message.content == "Hello!"
    assert "".join(deltas) == "Hello!"
    assert vectors == [VECTOR]


@pytest.mark.usefixtures("account")
async def test_an_upload_by_esperanto(house: GatewayHouse, tmp_path: Any) -> None:
    file = tmp_path / "a.wav"
    file.write_bytes(silent_wav())
    config = {"api_key": house.token, "base_url": house.url + "/v1"}
    model = AIFactory.create_speech_to_text("openai-compatible", "openai/whisper-1", config=config)

    heard = await model.atranscribe(str(file))
    await model.aclose()

    assert heard.text == "you"
