"""Hostile clients: bounded memory, bounded time, and the others unaffected."""

import asyncio
import os
import resource
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.gateway_house import GatewayHouse, Others, behind
from tests.servers.raw import raw_server

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
IDLE = """
import socket, sys, time
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
kept = []
for number in range(count):
    kept.append(socket.create_connection((host, port)))
    if number % 2:
        kept[-1].sendall(b"POST /v1/chat/completions HTTP/1.1\\r\\nhost: x\\r\\n")
    if number % 100 == 99:
        time.sleep(0.01)
print("ready", flush=True)
sys.stdin.read()
"""


def memory() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.night
@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 11_000, reason="needs 11,000 open files")
async def test_ten_thousand_idle_connections(house: GatewayHouse, others: Others) -> None:
    assert await others()
    before = memory()
    host, _, port = house.url.removeprefix("http://").partition(":")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", IDLE, host, port, "10000", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        grown = memory() - before
        served = await others()
    finally:
        process.kill()
        await process.wait()

    assert served
    assert grown < 120 * 2**20


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
            stalled, still = -1, 0
            for _ in range(60):  # until the buffers on the way are full, however busy the machine is
                still = still + 1 if sent == stalled else 0
                stalled = sent
                if still == 3:
                    break
                await asyncio.sleep(0.4)
            grown = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            await asyncio.sleep(0.3)

            assert sent == stalled
            assert grown < 16 * 2**20


async def test_bodies_that_drip_hold_up_nobody_and_are_given_up(house: GatewayHouse, others: Others) -> None:
    house.gateway.intake.within = 1.0
    host, _, port = house.url.removeprefix("http://").partition(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.token}\r\n"

    async def drip() -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}content-length: 1000\r\n\r\n".encode())
        answer = asyncio.create_task(reader.readline())
        while not answer.done():
            writer.write(b"{")
            await asyncio.sleep(0.2)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return await answer

    clients = [asyncio.create_task(drip()) for _ in range(50)]
    await asyncio.sleep(0.3)
    served = await others()
    async with asyncio.timeout(10):
        lines = await asyncio.gather(*clients)

    assert served
    assert all(b"408" in line for line in lines)
    assert house.gateway.intake.held == 0


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
