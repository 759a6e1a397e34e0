"""Rotation under load, hostile providers and hostile clients: bounded, and the others unaffected."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
from tests.gateway_house import GatewayHouse

from keycairn.testing.openai_server import OpenAIServer

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
KEY = "sk-canary-0123456789"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[str]:
    """A provider made by hand; its base URL."""

    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await reader.readuntil(b"\r\n\r\n")
                await handler(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers)


async def behind(house: GatewayHouse, url: str) -> httpx.AsyncClient:
    credential = await house.credential("openai_compatible", KEY, base_url=url)
    await house.model(credential, "m")
    return httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}, timeout=20)


def answering(*parts: bytes) -> Handler:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return handle


async def test_rotation_under_load_fails_no_request_and_uses_no_old_key(house: GatewayHouse) -> None:
    acknowledged = 0
    wrong: list[tuple[int, int]] = []

    async def reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
            number = head.lower().partition(b"authorization: bearer sk-rotated-")[2][:6]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            for _ in range(3):
                writer.write(b"data: {}\n\n")
                await writer.drain()
                await asyncio.sleep(0.001)
            writer.write(b"data: " + number + b"\n\n")
        writer.close()

    server = await asyncio.start_server(reading, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    credential = await house.credential("openai_compatible", "sk-rotated-000000", base_url=url)
    await house.model(credential, "m")
    ended = asyncio.Event()
    done = 0

    async def caller(client: httpx.AsyncClient) -> None:
        nonlocal done
        while not ended.is_set():
            at_begin = acknowledged
            answer = await client.post("/v1/chat/completions", json={**BODY, "stream": True})
            used = int(answer.text.strip().splitlines()[-1].removeprefix("data: "))
            if answer.status_code != 200 or used < at_begin:
                wrong.append((at_begin, used))
            done += 1

    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    headers = {"authorization": f"Bearer {house.token}"}
    async with httpx.AsyncClient(base_url=house.url, headers=headers, limits=limits, timeout=30) as client, server:
        callers = [asyncio.create_task(caller(client)) for _ in range(64)]
        for number in range(1, 101):
            await house.rotate(credential, f"sk-rotated-{number:06}")
            acknowledged = number
            await asyncio.sleep(0.01)
        ended.set()
        await asyncio.gather(*callers)

    assert not wrong
    assert done >= 64


async def test_a_stream_that_breaks_ends_in_an_error_the_client_can_see(house: GatewayHouse) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    async with raw_server(answering(head + b"10\r\ndata: {}\n\ndata: \r\n")) as url, await behind(house, url) as client:
        seen = b""
        broken = False
        try:
            async with client.stream("POST", "/v1/chat/completions", json=BODY) as answer:
                async for chunk in answer.aiter_raw():
                    seen += chunk
        except httpx.RemoteProtocolError:
            broken = True

    assert broken

    assert seen.startswith(b"data: {}\n\n")
    assert b'"code":"provider_unreachable"' in seen


LONG_KEY = "sk-canary-0123456789/abc"


async def test_a_key_that_is_echoed_in_a_good_answer_is_masked(house: GatewayHouse) -> None:
    body = b'{"echo": "Bearer sk-canary-0123456789/abc", "again": "sk-canary-0123456789\\/abc"}'
    head = f"HTTP/1.1 200 OK\r\nx-echo: {LONG_KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    async with raw_server(answering(head.encode() + body[:25], body[25:])) as url:
        credential = await house.credential("openai_compatible", LONG_KEY, base_url=url)
        await house.model(credential, "m")
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {house.token}"}) as client:
            answer = await client.post(f"{house.url}/v1/chat/completions", json=BODY)

    stars = "*" * len(LONG_KEY)
    assert (answer.status_code, answer.json()) == (200, {"echo": f"Bearer {stars}", "again": f"{stars}*"})
    assert answer.headers["x-echo"] == "********"


async def test_a_redirect_is_not_followed(house: GatewayHouse) -> None:
    redirect = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
    async with raw_server(answering(redirect)) as url, await behind(house, url) as client:
        answer = await client.post("/v1/chat/completions", json=BODY)

    assert answer.status_code == 502
    assert "location" not in answer.headers


async def test_a_bomb_is_not_unpacked(house: GatewayHouse) -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    async with raw_server(answering(head + bomb)) as url, await behind(house, url) as client:
        client.headers["accept-encoding"] = "identity"
        answer = await client.post("/v1/chat/completions", json=BODY)

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_garbled")


async def test_an_endless_header_is_cut_off(house: GatewayHouse) -> None:
    sent = 0

    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nx-long: ")
        for _ in range(1600):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with raw_server(handle) as url, await behind(house, url) as client:
        answer = await client.post("/v1/chat/completions", json=BODY)

    assert answer.status_code == 502
    assert sent < 20 * 2**20


async def test_a_client_that_leaves_ends_the_call_at_the_provider(house: GatewayHouse) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()  # the body, then the end of the connection
        while await reader.read(65536):
            pass
        ended.set()

    async with raw_server(handle) as url, await behind(house, url) as client:
        call = asyncio.create_task(client.post("/v1/chat/completions", json=BODY))
        await begun.wait()
        call.cancel()
        async with asyncio.timeout(3):
            await ended.wait()
        with suppress(asyncio.CancelledError):
            await call


async def test_a_slow_reader_holds_the_provider_back_and_not_the_memory(house: GatewayHouse) -> None:
    sent = 0

    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        while True:
            writer.write(b"data: " + b"x" * 65528 + b"\n\n")
            await writer.drain()
            sent += 65536

    async with raw_server(handle) as url, await behind(house, url) as client:  # noqa: SIM117  # reads better apart
        async with client.stream("POST", "/v1/chat/completions", json=BODY) as answer:
            chunks = answer.aiter_raw()
            await anext(chunks)
            tracemalloc.start()
            await asyncio.sleep(0.5)
            grown = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            stalled = sent
            await asyncio.sleep(0.3)

            assert sent == stalled
            assert grown < 16 * 2**20


async def test_drops_of_an_answer_pass_as_they_come_and_disturb_no_other(
    house: GatewayHouse, openai_server: OpenAIServer
) -> None:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for _ in range(5):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.2)

    other = await house.credential("openai", "sk-local-canary-0123456789", base_url=openai_server.url)
    await house.model(other, "gpt-4o")
    async with raw_server(handle) as url, await behind(house, url) as client:  # noqa: SIM117  # reads better apart
        async with client.stream("POST", "/v1/chat/completions", json=BODY) as answer:
            first = await anext(answer.aiter_raw())
            quick = await client.post("/v1/chat/completions", json={**BODY, "model": "gpt-4o"})

    assert first == b"x"
    assert quick.status_code == 200


async def test_a_body_that_never_ends_is_given_up(house: GatewayHouse) -> None:
    house.gateway.intake.within = 0.2
    host, _, port = house.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.token}\r\n"
    writer.write(f"{head}content-length: 1000\r\n\r\n{{".encode())
    async with asyncio.timeout(3):
        assert b"408" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_body_beyond_the_limit_is_refused_unread(house: GatewayHouse) -> None:
    host, _, port = house.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.token}\r\n"
    writer.write(f"{head}content-length: 99999999999\r\n\r\n{{".encode())
    async with asyncio.timeout(3):
        assert b"413" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_large_upload_is_streamed(house: GatewayHouse) -> None:
    size = 96 * 2**20
    received = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        while received < size and (chunk := await reader.read(2**20)):
            received += len(chunk)
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{"text":"you"}')
        await writer.drain()

    boundary = "b0undary"
    start = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="model"\r\n\r\nopenai_compatible/m\r\n--{boundary}\r\n'
    )
    start += 'content-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield start.encode()
        for _ in range(size // 2**20):
            yield bytes(2**20)
        yield f"\r\n--{boundary}--\r\n".encode()

    async with raw_server(handle) as url, await behind(house, url) as client:
        kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
        answer = await client.post("/v1/audio/transcriptions", content=body(), headers=kind)

    assert answer.json() == {"text": "you"}
    assert house.gateway.intake.held == 0
