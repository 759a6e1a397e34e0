"""The official `openai` SDK against the gateway, with servers of the real format behind it."""

from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam
from tests.gateway_house import GatewayHouse

from keycairn.domain.credential import Credential
from keycairn.domain.modality import Modality
from keycairn.plugins.payloads import silent_wav
from keycairn.testing.openai_server import SOUND, VECTOR, OpenAIServer
from keycairn.testing.server import KEY


@pytest.fixture
async def account(house: GatewayHouse, openai_server: OpenAIServer) -> Credential:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    for name, type in {
        "gpt-4o": Modality.LANGUAGE,
        "text-embedding-3-small": Modality.EMBEDDING,
        "whisper-1": Modality.SPEECH_TO_TEXT,
        "tts-1": Modality.TEXT_TO_SPEECH,
    }.items():
        await house.model(credential, name, type)
    return credential


@pytest.fixture
async def client(house: GatewayHouse, account: Credential) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key=house.token, base_url=house.url + "/v1", max_retries=0) as client:
        yield client


GREETING: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("name", ["gpt-4o", "openai/gpt-4o", "OpenAI/gpt-4o"])
async def test_chat(client: AsyncOpenAI, openai_server: OpenAIServer, name: str) -> None:
    answer = await client.chat.completions.create(model=name, messages=GREETING)

    assert answer.choices[0].message.content == "Hello!"
    assert openai_server.requests[-1].json()["model"] == "gpt-4o"
    assert openai_server.requests[-1].headers["authorization"] == f"Bearer {KEY}"


async def test_a_stream_of_chat(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="gpt-4o", messages=GREETING, stream=True)

    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello!"


async def test_embeddings(client: AsyncOpenAI) -> None:
    answer = await client.embeddings.create(model="openai/text-embedding-3-small", input=["a", "b"])

    assert [one.embedding for one in answer.data] == [VECTOR, VECTOR]


async def test_an_audio_upload(client: AsyncOpenAI, openai_server: OpenAIServer) -> None:
    answer = await client.audio.transcriptions.create(
        model="openai/whisper-1", file=("a.wav", silent_wav(), "audio/wav")
    )

    assert answer.text == "you"
    assert openai_server.requests[-1].form()["model"] == b"whisper-1"
    assert openai_server.requests[-1].form()["file"] == silent_wav()


async def test_speech(client: AsyncOpenAI) -> None:
    answer = await client.audio.speech.create(model="tts-1", voice="alloy", input="Hello")

    assert answer.content == SOUND


async def test_the_list_of_models(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]

    assert sorted(names) == ["openai/gpt-4o", "openai/text-embedding-3-small", "openai/tts-1", "openai/whisper-1"]
    assert (await client.models.retrieve("openai/gpt-4o")).owned_by == "openai"


async def test_an_unknown_model(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="no-such", messages=GREETING)

    assert caught.value.code == "model_not_found"


async def test_a_wrong_token(house: GatewayHouse, account: Credential) -> None:
    async with AsyncOpenAI(api_key="sk-wrong", base_url=house.url + "/v1", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=GREETING)

    assert caught.value.code == "unauthenticated"


async def test_a_refused_key_is_told_apart_from_a_refused_token(
    client: AsyncOpenAI, openai_server: OpenAIServer
) -> None:
    openai_server.key = "sk-another-key"

    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="gpt-4o", messages=GREETING)

    assert caught.value.code == "provider_invalid_auth"
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_a_providers_refusal_is_passed_on_with_the_key_masked(
    client: AsyncOpenAI, openai_server: OpenAIServer
) -> None:
    openai_server.fault = 400

    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="gpt-4o", messages=GREETING)

    assert KEY not in caught.value.response.text
    assert caught.value.response.headers["x-keycairn-error"] == "provider_error"
    assert "Something about the key ******** you sent." in str(caught.value)


async def test_usage_is_counted(house: GatewayHouse, client: AsyncOpenAI, account: Credential) -> None:
    await client.chat.completions.create(model="gpt-4o", messages=GREETING)
    await client.chat.completions.create(model="gpt-4o", messages=GREETING)

    ((key, sums),) = (await house.usage()).items()

    assert key.credential == account.id
    assert (sums.requests, sums.failed, sums.input_tokens, sums.output_tokens) == (2, 0, 16, 4)
