"""Bodies of any size and shape: repeated at the next account, bounded in memory and on disk, and holding up nobody."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import thread_time

import httpx
import pytest
from tests.bodies import a_form, open_files
from tests.gateway_house import GatewayHouse, gateway_house
from tests.servers.raw import Handler, raw_server

from keycairn.adapters.file_spool import FileSpools
from keycairn.app.gateway.kept import LARGEST_KEPT

BOUNDARY = "b0undary"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
GOOD = b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{"text":"you"}'


def refusing(status: int, *, after: int | None) -> Handler:
    """Answers with a refusal when so many bytes of the body came, None for all of it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = f"--{BOUNDARY}--\r\n".encode()
        seen, last = 0, b""
        while not last.endswith(end) and (after is None or seen < after):
            chunk = await reader.read(65_536)
            if not chunk:
                return
            seen, last = seen + len(chunk), (last + chunk)[-64:]
        writer.write(b"HTTP/1.1 %d No\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}" % status)
        await writer.drain()
        if after is not None:
            await reader.read()  # closing with bytes unread would take the answer back on its way (RFC 9112, 9.6)

    return handle


class Listening:
    """A provider that takes a body whole."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = bytearray()
        end = f"--{BOUNDARY}--\r\n".encode()
        while not body.endswith(end):
            chunk = await reader.read(65_536)
            if not chunk:
                return
            body += chunk
        self.bodies.append(bytes(body))
        writer.write(GOOD)
        await writer.drain()


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[FileSpools]:
    spools = FileSpools(tmp_path)
    yield spools
    spools.close()
    assert not open_files(tmp_path)


@asynccontextmanager
async def two_accounts(
    spools: FileSpools, first: Handler, second: Handler
) -> AsyncIterator[tuple[GatewayHouse, httpx.AsyncClient]]:
    """Two accounts with a model `m`, the first of which is asked first."""
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(gateway_house(spools=spools))
        for priority, handler in enumerate((first, second)):
            url = await stack.enter_async_context(raw_server(handler))
            account = await house.credential("openai_compatible", f"sk-canary-012345678{priority}", base_url=url)
            await house.model(account, "m", priority=priority)
        headers = {"authorization": f"Bearer {house.token}"}
        yield house, await stack.enter_async_context(httpx.AsyncClient(base_url=house.url, headers=headers, timeout=60))
        assert house.gateway.intake.held == house.gateway.intake.spooled == 0


def an_upload(size: int, *, model_last: bool = False) -> bytes:
    parts = [("model", b"openai_compatible/m"), ("file", os.urandom(size // 2) * 2)]
    return a_form(*(parts[::-1] if model_last else parts), boundary=BOUNDARY)


def as_sent(body: bytes) -> bytes:
    return body.replace(b"openai_compatible/m", b"m")


@pytest.mark.parametrize("status", [429, 401, 503])
@pytest.mark.parametrize("size", [1_000, 300_000, 2_000_000])
@pytest.mark.parametrize("after", [None, 1, 100_000])
async def test_an_upload_goes_on_to_the_next_account(
    spools: FileSpools, status: int, size: int, after: int | None
) -> None:
    listening, body = Listening(), an_upload(size, model_last=size == 2_000_000)
    async with two_accounts(spools, refusing(status, after=after), listening.handle) as (_, client):
        answer = await client.post("/v1/audio/transcriptions", content=body, headers=FORM)

    assert answer.json() == {"text": "you"}
    assert answer.headers["x-keycairn-attempts"] == "2"
    assert listening.bodies == [as_sent(body)]


async def in_chunks(body: bytes, pause: float = 0.0) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 100_000):
        yield body[at : at + 100_000]
        await asyncio.sleep(pause)


async def test_an_upload_of_unknown_length_goes_on_to_the_next_account(spools: FileSpools) -> None:
    listening, body = Listening(), an_upload(2_000_000)
    done = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = bytearray()
        while not whole.endswith(b"0\r\n\r\n"):
            whole += await reader.read(65_536)
        listening.bodies.append(bytes(whole))
        writer.write(GOOD)
        done.set()

    async with two_accounts(spools, refusing(429, after=150_000), handle) as (_, client):
        answer = await client.post("/v1/audio/transcriptions", content=in_chunks(body, 0.005), headers=FORM)

    assert answer.json() == {"text": "you"}
    rest, whole = listening.bodies[0], b""
    while rest != b"0\r\n\r\n":
        size, _, rest = rest.partition(b"\r\n")
        whole, rest = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    assert whole == as_sent(body)


async def test_with_a_full_disk_an_upload_still_goes_on_once(tmp_path: Path) -> None:
    listening, body = Listening(), an_upload(2_000_000)
    full = FileSpools(tmp_path / "gone")
    async with two_accounts(full, listening.handle, refusing(500, after=None)) as (_, client):
        answer = await client.post("/v1/audio/transcriptions", content=body, headers=FORM)

    assert answer.json() == {"text": "you"}
    assert listening.bodies == [as_sent(body)]
    async with two_accounts(full, refusing(429, after=None), listening.handle) as (_, client):
        answer = await client.post("/v1/audio/transcriptions", content=body, headers=FORM)
    full.close()

    assert answer.status_code == 429
    assert answer.headers["x-keycairn-attempts"] == "1"


async def test_what_is_longer_than_is_kept_is_sent_once(spools: FileSpools) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield an_upload(10).removesuffix(f"--{BOUNDARY}--\r\n".encode())
        yield f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="more"\r\n\r\n'.encode()
        for _ in range(LARGEST_KEPT // 2**20 + 1):
            yield bytes(2**20)
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = b""
        while not last.endswith(b"0\r\n\r\n"):
            last = (last + await reader.read(2**20))[-64:]
        writer.write(b"HTTP/1.1 429 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")

    async with two_accounts(spools, handle, refusing(500, after=None)) as (house, client):
        answer = await client.post("/v1/audio/transcriptions", content=body(), headers=FORM)
        assert house.gateway.intake.spooled == 0

    assert answer.status_code == 429
    assert answer.headers["x-keycairn-attempts"] == "1"


async def test_a_client_that_leaves_its_upload_leaves_nothing_behind(spools: FileSpools) -> None:
    listening, body = Listening(), an_upload(3_000_000)
    async with two_accounts(spools, listening.handle, listening.handle) as (house, client):
        calls = [
            asyncio.create_task(client.post("/v1/audio/transcriptions", content=in_chunks(body, 0.05), headers=FORM))
            for _ in range(10)
        ]
        while not house.gateway.intake.spooled:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(5):
            while house.gateway.intake.held or house.gateway.intake.spooled:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    assert not listening.bodies


@pytest.mark.parametrize("between", [100, 400_000])
async def test_a_second_model_reaches_no_provider_whole(spools: FileSpools, between: int) -> None:
    listening = Listening()
    body = a_form(("model", b"openai_compatible/m"), ("file", bytes(between)), ("model", b"other"), boundary=BOUNDARY)
    async with two_accounts(spools, listening.handle, listening.handle) as (_, client):
        answer = await client.post("/v1/audio/transcriptions", content=body, headers=FORM)

    assert answer.status_code == 400
    assert "exactly one part" in answer.json()["error"]["message"]
    assert not listening.bodies


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'\xef\xbb\xbf{"model":"m"}', "byte order mark"),
        (b'{"model":"m","x":NaN}', "NaN is no value in JSON (byte 17)"),
        (b'{"model":"m","x":"\\ud83d"}', "surrogate"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b'{"model":"m","model":"n"}', "exactly once"),
    ],
)
async def test_the_client_is_told_what_is_wrong_with_its_body(house: GatewayHouse, body: bytes, reason: str) -> None:
    headers = {"authorization": f"Bearer {house.token}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=house.url, headers=headers) as client:
        for path in ("/v1/chat/completions", "/anthropic/v1/messages"):
            answer = await client.post(path, content=body)

            assert answer.status_code == 400
            assert reason in answer.json()["error"]["message"]


async def test_a_picture_and_a_tool_with_a_model_hold_up_nobody(house: GatewayHouse) -> None:
    picture = "A" * (8 * 2**20)
    call = {
        "model": "openai_compatible/m",
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": picture}]}],
        "tools": [{"type": "image_generation", "model": "gpt-image-1"}],
    }
    body = json.dumps(call).encode()
    received: list[int] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = 0
        while size < len(body) - len("openai_compatible/"):
            size += len(await reader.read(2**20))
        received.append(size)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")

    gaps: list[float] = []

    async def beat() -> None:
        while True:
            before = thread_time()
            await asyncio.sleep(0)
            gaps.append(thread_time() - before)

    async with raw_server(handle) as url:
        account = await house.credential("openai_compatible", "sk-canary-0123456789", base_url=url)
        await house.model(account, "m")
        head = f"POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {house.token}\r\n"
        host, _, port = house.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode())
        beating = asyncio.create_task(beat())
        for at in range(0, len(body), 2**16):
            writer.write(body[at : at + 2**16])
            await writer.drain()
        line = await reader.readline()
        beating.cancel()
        writer.close()

    assert b"200" in line
    assert received == [len(body) - len("openai_compatible/")]
    assert sorted(gaps)[-3] < 0.005  # seconds of this thread's own time; the two longest may be a collection's
