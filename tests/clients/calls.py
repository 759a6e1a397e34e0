"""Operations of real SDKs, unchanged but for their URL and their key. Run by a Python that has the SDKs, not by pytest.

    python calls.py PLACES

PLACES is JSON: `url` and `token` of the gateway, and the native URLs by provider. Standard output gets a JSON list of
[client, operation, result]; the result is "ok", or what went wrong.
"""

import asyncio
import importlib.metadata
import io
import json
import sys
import wave
from collections.abc import Awaitable, Callable
from typing import Any

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
OPERATIONS: list[tuple[str, str, Callable[[dict[str, str]], Any]]] = []


def operation(client: str, name: str) -> Callable[[Callable[[dict[str, str]], Any]], Callable[[dict[str, str]], Any]]:
    """Register an operation. It raises where the answer is not what the provider said."""

    def register(call: Callable[[dict[str, str]], Any]) -> Callable[[dict[str, str]], Any]:
        OPERATIONS.append((client, name, call))
        return call

    return register


def same(got: object, wanted: object) -> None:
    if got != wanted:
        raise AssertionError(f"{got!r} in place of {wanted!r}")


def raises(kind: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def sound() -> io.BytesIO:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(1600))
    file.seek(0)
    file.name = "a.wav"
    return file


# openai


def _openai(at: dict[str, str], **more: Any) -> Any:
    import openai

    return openai.OpenAI(base_url=at["url"] + "/v1", **{"api_key": at["token"], "max_retries": 0, **more})


def _async_openai(at: dict[str, str]) -> Any:
    import openai

    return openai.AsyncOpenAI(base_url=at["url"] + "/v1", api_key=at["token"], max_retries=0)


@operation("openai", "chat")
def _(at: dict[str, str]) -> None:
    same(_openai(at).chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content, "Hello!")


@operation("openai", "chat, streamed")
def _(at: dict[str, str]) -> None:
    stream = _openai(at).chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
    same("".join(chunk.choices[0].delta.content or "" for chunk in stream), "Hello!")


@operation("openai", "chat, async and streamed with usage")
async def _(at: dict[str, str]) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    stream = await _async_openai(at).chat.completions.create(model="gpt-4o", messages=HELLO, **options)
    chunks = [chunk async for chunk in stream]
    same(chunks[-1].usage.total_tokens, 10)


@operation("openai", "chat with tools")
def _(at: dict[str, str]) -> None:
    answer = _openai(at).chat.completions.create(model="gpt-4o", messages=HELLO, tools=[TOOL])
    same(answer.usage.total_tokens, 10)


@operation("openai", "embeddings")
def _(at: dict[str, str]) -> None:
    same(len(_openai(at).embeddings.create(model="text-embedding-3-small", input=["a", "b"]).data), 2)


@operation("openai", "speech")
def _(at: dict[str, str]) -> None:
    assert _openai(at).audio.speech.create(model="tts-1", voice="alloy", input="Hi").content.startswith(b"ID3")


@operation("openai", "transcription")
def _(at: dict[str, str]) -> None:
    same(_openai(at).audio.transcriptions.create(model="whisper-1", file=sound()).text, "you")


@operation("openai", "responses, their turns, reading, deleting")
def _(at: dict[str, str]) -> None:
    client = _openai(at)
    first = client.responses.create(model="gpt-kept", input="Hello")
    second = client.responses.create(model="gpt-kept", input="And?", previous_response_id=first.id)
    same(second.previous_response_id, first.id)
    same(client.responses.retrieve(second.id).output_text, second.output_text)
    same([item.id for item in client.responses.input_items.list(first.id)], ["msg_0"])
    client.responses.delete(first.id)


@operation("openai", "responses, streamed")
def _(at: dict[str, str]) -> None:
    with _openai(at).responses.stream(model="gpt-kept", input="Hello") as events:
        same(events.get_final_response().status, "completed") if list(events) else None


@operation("openai", "files and batches")
def _(at: dict[str, str]) -> None:
    client = _openai(at)
    file = client.files.create(file=("a.jsonl", b"{}"), purpose="batch", extra_query={"model": "gpt-kept"})
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
    same(client.files.content(client.batches.retrieve(batch.id).output_file_id).content, b'{"custom_id": "1"}')
    client.files.delete(file.id)


@operation("openai", "list of models")
def _(at: dict[str, str]) -> None:
    assert "openai/gpt-4o" in [model.id for model in _openai(at).models.list()]


@operation("openai", "errors: token, model")
def _(at: dict[str, str]) -> None:
    import openai

    wrong = _openai(at, api_key="kc_wrong")
    raises(openai.AuthenticationError, lambda: wrong.chat.completions.create(model="gpt-4o", messages=HELLO))
    raises(openai.NotFoundError, lambda: _openai(at).chat.completions.create(model="nothing", messages=HELLO))


@operation("openai", "timeout")
def _(at: dict[str, str]) -> None:
    import openai

    slow = _openai(at, timeout=0.3)
    raises(openai.APITimeoutError, lambda: slow.chat.completions.create(model="slow", messages=HELLO))


RESPONSE = "response.output_text.delta"


@operation("openai", "realtime, async")
async def _(at: dict[str, str]) -> None:
    async with _async_openai(at).realtime.connect(model="gpt-realtime") as session:
        await session.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
        await session.conversation.item.create(item=item)
        await session.input_audio_buffer.append(audio="AAAA")
        await session.response.create()
        said = ""
        async for event in session:
            said += event.delta if event.type == RESPONSE else ""
            if event.type == "response.done":
                same(event.response.usage.total_tokens, 30)
                break
        same(said, "Hello!")


@operation("openai", "realtime")
def _(at: dict[str, str]) -> None:
    with _openai(at).realtime.connect(model="gpt-realtime") as session:
        same(session.recv().type, "session.created")
        session.response.create()
        while (event := session.recv()).type != "response.done":
            pass
        same(event.response.status, "completed")


@operation("openai", "realtime, errors: token, model")
def _(at: dict[str, str]) -> None:
    from websockets.exceptions import InvalidStatus

    raises(InvalidStatus, lambda: _openai(at, api_key="kc_wrong").realtime.connect(model="gpt-realtime").enter())
    raises(InvalidStatus, lambda: _openai(at).realtime.connect(model="nothing").enter())


# anthropic


def _anthropic(at: dict[str, str], place: str = "anthropic", **more: Any) -> Any:
    import anthropic

    return anthropic.Anthropic(base_url=at[place], **{"api_key": at["token"], "max_retries": 0, **more})


MESSAGE = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": HELLO}


@operation("anthropic", "messages")
def _(at: dict[str, str]) -> None:
    same(_anthropic(at).messages.create(**MESSAGE).content[0].text, "Hello!")


@operation("anthropic", "messages, streamed")
def _(at: dict[str, str]) -> None:
    with _anthropic(at).messages.stream(**MESSAGE) as stream:
        same("".join(stream.text_stream), "Hello!")


@operation("anthropic", "messages, async")
async def _(at: dict[str, str]) -> None:
    import anthropic

    client = anthropic.AsyncAnthropic(base_url=at["anthropic"], api_key=at["token"], max_retries=0)
    same((await client.messages.create(**MESSAGE)).usage.output_tokens, 2)


@operation("anthropic", "messages with tools")
def _(at: dict[str, str]) -> None:
    tool = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
    same(_anthropic(at).messages.create(**MESSAGE, tools=[tool]).stop_reason, "end_turn")


@operation("anthropic", "batches and their results")
def _(at: dict[str, str]) -> None:
    batches = _anthropic(at).messages.batches
    params = {**MESSAGE, "model": "claude-opus-4-8"}
    made = batches.create(requests=[{"custom_id": one, "params": params} for one in ("a", "b")])
    same([one.custom_id for one in batches.results(made.id)], ["a", "b"])
    same(batches.cancel(made.id).processing_status, "canceling")
    batches.delete(made.id)


@operation("anthropic", "files, used in a message")
def _(at: dict[str, str]) -> None:
    client = _anthropic(at)
    file = client.beta.files.upload(file=("a.txt", b"text", "text/plain"), extra_query={"model": "claude-opus-4-8"})
    same(client.beta.files.download(file.id).read(), b"text")
    part = {"type": "document", "source": {"type": "file", "file_id": file.id}}
    call = {**MESSAGE, "model": "claude-opus-4-8", "messages": [{"role": "user", "content": [part]}]}
    same(client.beta.messages.create(**call, betas=["files-api-2025-04-14"]).content[0].text, "Hello!")
    client.beta.files.delete(file.id)


@operation("anthropic", "messages with beta headers")
def _(at: dict[str, str]) -> None:
    same(_anthropic(at).beta.messages.create(**MESSAGE, betas=["a-1", "b-2"]).content[0].text, "Hello!")


@operation("anthropic", "native, as it is")
def _(at: dict[str, str]) -> None:
    same(_anthropic(at, "native_anthropic").messages.create(**MESSAGE).content[0].text, "Hello!")


@operation("anthropic", "list of models")
def _(at: dict[str, str]) -> None:
    assert [model.id for model in _anthropic(at).models.list()]


@operation("anthropic", "errors: token, model")
def _(at: dict[str, str]) -> None:
    import anthropic

    wrong = _anthropic(at, api_key="kc_wrong")
    raises(anthropic.AuthenticationError, lambda: wrong.messages.create(**MESSAGE))
    raises(anthropic.NotFoundError, lambda: _anthropic(at).messages.create(**{**MESSAGE, "model": "nothing"}))


# google-genai


def _google(at: dict[str, str], token: str = "") -> Any:
    from google import genai

    return genai.Client(api_key=token or at["token"], http_options={"base_url": at["native_google"]})


@operation("google-genai", "generate")
def _(at: dict[str, str]) -> None:
    client = _google(at)  # kept: it closes what it has opened when it goes
    same(client.models.generate_content(model="gemini-2.5-flash", contents="Hello").text, "Hello!")


@operation("google-genai", "generate, streamed")
def _(at: dict[str, str]) -> None:
    client = _google(at)
    chunks = client.models.generate_content_stream(model="gemini-2.5-flash", contents="Hello")
    same("".join(chunk.text for chunk in chunks), "Hello!")


@operation("google-genai", "generate, async")
async def _(at: dict[str, str]) -> None:
    client = _google(at)
    answer = await client.aio.models.generate_content(model="gemini-2.5-flash", contents="Hello")
    same(answer.usage_metadata.total_token_count, 4)


@operation("google-genai", "embed")
def _(at: dict[str, str]) -> None:
    client = _google(at)
    assert client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"]).embeddings


@operation("google-genai", "list of models")
def _(at: dict[str, str]) -> None:
    client = _google(at)
    assert [model.name for model in client.models.list()]


@operation("google-genai", "errors: token, model")
def _(at: dict[str, str]) -> None:
    from google.genai import errors

    client, wrong = _google(at), _google(at, "kc_wrong")
    raises(errors.ClientError, lambda: wrong.models.generate_content(model="gemini-2.5-flash", contents="Hello"))
    raises(errors.ClientError, lambda: client.models.generate_content(model="nothing", contents="Hello"))


def _live(at: dict[str, str], token: str = "") -> Any:
    import ssl

    from google import genai

    options = {"base_url": at["live"], "async_client_args": {"ssl": ssl.create_default_context(cafile=at["authority"])}}
    return genai.Client(api_key=token or at["token"], http_options=options)


@operation("google-genai", "live")
async def _(at: dict[str, str]) -> None:
    client = _live(at)
    async with client.aio.live.connect(model="gemini-live", config={"response_modalities": ["TEXT"]}) as session:
        for _ in range(2):
            await session.send_client_content(turns={"role": "user", "parts": [{"text": "Hello"}]}, turn_complete=True)
            told = [message async for message in session.receive()]
            same("".join(message.text or "" for message in told), "Hello!")
            same(told[-1].usage_metadata.total_token_count, 10)


@operation("google-genai", "live, errors: token")
async def _(at: dict[str, str]) -> None:
    from websockets.exceptions import InvalidStatus

    status = 101
    try:
        async with _live(at, "kc_wrong").aio.live.connect(model="gemini-live"):
            pass
    except InvalidStatus as error:
        status = error.response.status_code
    same(status, 401)


# mistralai


def _mistral(at: dict[str, str]) -> Any:
    from mistralai.client import Mistral

    return Mistral(api_key=at["token"], server_url=at["native_mistral"])


@operation("mistralai", "chat")
def _(at: dict[str, str]) -> None:
    same(_mistral(at).chat.complete(model="mistral-large-latest", messages=HELLO).choices[0].message.content, "Hello!")


@operation("mistralai", "chat, streamed")
def _(at: dict[str, str]) -> None:
    events = _mistral(at).chat.stream(model="mistral-large-latest", messages=HELLO)
    same("".join(event.data.choices[0].delta.content or "" for event in events), "Hello!")


@operation("mistralai", "embeddings")
def _(at: dict[str, str]) -> None:
    same(len(_mistral(at).embeddings.create(model="mistral-embed", inputs=["a", "b"]).data), 2)


# groq


def _groq(at: dict[str, str]) -> Any:
    import groq

    return groq.Groq(api_key=at["token"], base_url=at["native_groq"], max_retries=0)


@operation("groq", "chat")
def _(at: dict[str, str]) -> None:
    same(_groq(at).chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content, "Hello!")


@operation("groq", "chat, streamed")
def _(at: dict[str, str]) -> None:
    stream = _groq(at).chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
    same("".join(chunk.choices[0].delta.content or "" for chunk in stream), "Hello!")


@operation("groq", "transcription")
def _(at: dict[str, str]) -> None:
    same(_groq(at).audio.transcriptions.create(model="whisper-1", file=("a.wav", sound().read())).text, "you")


# cohere


def _cohere(at: dict[str, str]) -> Any:
    import cohere

    return cohere.ClientV2(api_key=at["token"], base_url=at["native_cohere"])


@operation("cohere", "chat")
def _(at: dict[str, str]) -> None:
    same(_cohere(at).chat(model="command-r7b", messages=HELLO).message.content[0].text, "Hello!")


@operation("cohere", "embed")
def _(at: dict[str, str]) -> None:
    answer = _cohere(at).embed(model="embed-v4.0", texts=["a"], input_type="search_query", embedding_types=["float"])
    assert answer.embeddings.float_


# elevenlabs


def _elevenlabs(at: dict[str, str]) -> Any:
    from elevenlabs.client import ElevenLabs

    return ElevenLabs(api_key=at["token"], base_url=at["native_elevenlabs"])


@operation("elevenlabs", "speech")
def _(at: dict[str, str]) -> None:
    chunks = _elevenlabs(at).text_to_speech.convert(voice_id="v", text="Hi", model_id="eleven_v9")
    assert b"".join(chunks).startswith(b"ID3")


@operation("elevenlabs", "transcription")
def _(at: dict[str, str]) -> None:
    same(_elevenlabs(at).speech_to_text.convert(model_id="scribe_v1", file=sound()).text, "you")


@operation("elevenlabs", "list of models")
def _(at: dict[str, str]) -> None:
    assert [model.model_id for model in _elevenlabs(at).models.list()]


# deepgram


def _deepgram_places(place: str) -> Any:
    import inspect

    from deepgram.environment import DeepgramClientEnvironment

    known = inspect.signature(DeepgramClientEnvironment.__init__).parameters
    names = ("base", "production", "agent", "agent_rest")
    return DeepgramClientEnvironment(**{name: place for name in names if name in known})


def _deepgram(at: dict[str, str], place: str = "") -> Any:
    from deepgram import DeepgramClient

    return DeepgramClient(api_key=at["token"], environment=_deepgram_places(place or at["native_deepgram"]))


@operation("deepgram-sdk", "speech")
def _(at: dict[str, str]) -> None:
    chunks = _deepgram(at).speak.v1.audio.generate(text="Hi", model="aura-2-thalia-en")
    assert b"".join(chunks).startswith(b"ID3")


@operation("deepgram-sdk", "transcription")
def _(at: dict[str, str]) -> None:
    answer = _deepgram(at).listen.v1.media.transcribe_file(request=sound().read(), model="nova-3")
    same(answer.results.channels[0].alternatives[0].transcript, "you")


@operation("deepgram-sdk", "live transcription")
def _(at: dict[str, str]) -> None:
    with _deepgram(at, at["listen"].replace("http", "ws", 1)).listen.v1.connect(model="nova-3") as session:
        session.send_media(bytes(3200))
        same(session.recv().channel.alternatives[0].transcript, "you")
        session.send_close_stream()
        same(session.recv().duration, 0.1)


@operation("deepgram-sdk", "live transcription, async")
async def _(at: dict[str, str]) -> None:
    from deepgram import AsyncDeepgramClient

    places = _deepgram_places(at["listen"].replace("http", "ws", 1))
    client = AsyncDeepgramClient(api_key=at["token"], environment=places)
    async with client.listen.v1.connect(model="nova-3") as session:
        await session.send_media(bytes(3200))
        same((await session.recv()).channel.alternatives[0].transcript, "you")


# voyageai, ollama, together


@operation("voyageai", "embed")
def _(at: dict[str, str]) -> None:
    import voyageai

    client = voyageai.Client(api_key=at["token"], base_url=at["native_voyage"] + "/v1", max_retries=0)
    same(len(client.embed(["a", "b"], model="voyage-3").embeddings), 2)


def _ollama(at: dict[str, str]) -> Any:
    import ollama

    return ollama.Client(host=at["native_ollama"], headers={"authorization": f"Bearer {at['token']}"})


@operation("ollama", "chat")
def _(at: dict[str, str]) -> None:
    same(_ollama(at).chat(model="llama3.2:latest", messages=HELLO).message.content, "Hello!")


@operation("ollama", "chat, streamed")
def _(at: dict[str, str]) -> None:
    parts = _ollama(at).chat(model="llama3.2:latest", messages=HELLO, stream=True)
    same("".join(part.message.content for part in parts), "Hello!")


@operation("ollama", "embed and list")
def _(at: dict[str, str]) -> None:
    same(len(_ollama(at).embed(model="nomic-embed-text:latest", input=["a", "b"]).embeddings), 2)
    assert _ollama(at).list().models


@operation("together", "chat")
def _(at: dict[str, str]) -> None:
    from together import Together

    client = Together(api_key=at["token"], base_url=at["url"])
    same(client.chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content, "Hello!")


def outcome(call: Callable[[dict[str, str]], Any], at: dict[str, str]) -> str:
    """Carry an operation out."""
    try:
        result = call(at)
        if isinstance(result, Awaitable):
            asyncio.run(asyncio.wait_for(result, 30))  # type: ignore[arg-type]  # a coroutine
    except Exception as error:  # noqa: BLE001  # whatever an SDK raises is the result
        return f"{type(error).__name__}: {error}"[:300]
    return "ok"


if __name__ == "__main__":
    places = json.loads(sys.argv[1])
    results = [(client, name, outcome(call, places)) for client, name, call in OPERATIONS]
    versions = {client: importlib.metadata.version(client) for client, _, _ in OPERATIONS}
    sys.stdout.write("\n" + json.dumps({"results": results, "versions": versions}) + "\n")
