"""Clients that send too much, too slowly, or leave: cut off, told plainly, and no fault of ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvicorn
from litestar import Litestar, post
from tests.house import House

from keycairn.app.api.decoding import StrictRequest
from keycairn.app.cli.protocol import BoundedHttp
from keycairn.app.server import create_app, fronted
from keycairn.app.web.problems import EXCEPTION_HANDLERS

TOKEN = "admin-0123456789-0123456789-0123456789"
HEAD = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


class Impatient(BoundedHttp):
    head_within = 0.3


class Crowded(BoundedHttp):
    most = 3


@asynccontextmanager
async def serving(http: type[BoundedHttp] = Impatient) -> AsyncIterator[int]:
    house = House(admin_token=TOKEN)
    await house.open()
    app: Any = fronted(create_app(keycairn=house.keycairn))
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=http, log_config=None, access_log=False))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the test's process keeps its own
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110  # uvicorn tells it in no other way
        await asyncio.sleep(0.005)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def send(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """What comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(5):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            return await reader.read()
    except ConnectionError:
        return b"cut"
    finally:
        writer.close()


async def test_a_head_without_end_is_cut_off() -> None:
    async with serving() as port:
        endless = [b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-A: ", *[b"a" * 65536] * 64]
        answer = await send(port, *endless)
        assert answer == b"cut" or b"headers are too large" in answer
        many = [b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n", *[b"X-A: b\r\n" * 4096] * 64]
        answer = await send(port, *many)
        assert answer == b"cut" or b"headers are too large" in answer
        assert b"200 OK" in await send(port, b"GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")


async def test_a_head_that_takes_its_time_is_cut_off() -> None:
    async with serving() as port:
        assert await send(port) == b"", "nothing was said at all"
        assert await send(port, *[b"GET /health/live HT", b"TP/1.1\r\n", b"Host: h\r\n"], pause=0.2) in {b"", b"cut"}
        second = await send(port, b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\nGET /health", pause=0.5)
        assert second.count(b"HTTP/1.1 200 OK") == 1


async def test_a_large_body_right_behind_its_head_and_many_requests_on_one_connection_are_welcome() -> None:
    one = b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n"
    body = b'{"models": [' + b" " * 500_000 + b"]}"
    path = b"/api/credentials/credential:X/register-models"
    post = b"POST " + path + b" HTTP/1.1\r\nContent-Type: application/json\r\nConnection: close\r\n" + HEAD
    async with serving() as port:
        answer = await send(port, one * 20, post + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert answer.count(b"HTTP/1.1 200 OK") == 20
    assert b"HTTP/1.1 404" in answer, "understood, and of a credential that is not there"


async def test_a_client_that_leaves_amid_its_body_is_no_fault_of_ours() -> None:
    begun = b"POST /api/credentials HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n" + HEAD
    with structlog.testing.capture_logs() as logs:
        async with serving() as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun + b'\r\n{"name"')
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.close()
            await asyncio.sleep(0.2)
    assert [entry["status"] for entry in logs if entry["event"] == "request"] == [408]
    assert not [entry for entry in logs if entry["log_level"] == "error"]


class ImpatientRequest(StrictRequest):
    body_within = 0.05


async def test_a_body_that_takes_its_time_is_not_waited_for() -> None:
    @post("/")
    async def take(request: ImpatientRequest) -> None:
        await request.body()

    async def receive() -> Any:
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b" ", "more_body": True}

    sent: list[Any] = []

    async def send_back(message: Any) -> None:
        sent.append(message)

    app = Litestar([take], request_class=ImpatientRequest, exception_handlers=EXCEPTION_HANDLERS, openapi_config=None)
    scope: Any = {"type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
    scope |= {"root_path": "", "extensions": {}, "client": None, "server": None}
    await app(scope, receive, send_back)
    assert sent[0]["status"] == 408
    assert b"body_not_sent" in sent[1]["body"]


async def test_connections_that_do_nothing_make_way_and_those_that_work_stay() -> None:
    live = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(Crowded) as port:
        open_ones = [await asyncio.open_connection("127.0.0.1", port)]
        open_ones[0][1].write(b"POST /api/credentials HTTP/1.1\r\n" + HEAD + b"Content-Length: 9\r\n\r\n{")
        await asyncio.sleep(0.05)  # it is in the middle of a request, the next one waits for its second
        open_ones.append(await asyncio.open_connection("127.0.0.1", port))
        open_ones[1][1].write(live)
        assert (await open_ones[1][0].readuntil(b"}")).startswith(b"HTTP/1.1 200")
        for _ in range(4):
            open_ones.append(await asyncio.open_connection("127.0.0.1", port))
            await asyncio.sleep(0.01)
        for reader, _ in open_ones[1:4]:
            async with asyncio.timeout(2):
                assert await reader.read() == b""
        open_ones[5][1].write(live)
        assert (await open_ones[5][0].readuntil(b"}")).startswith(b"HTTP/1.1 200")
        open_ones[0][1].write(b"}       ")
        assert (await open_ones[0][0].readuntil(b"\r\n")).startswith(
            b"HTTP/1.1 415"
        )  # answered, since not told to be JSON
        for _, writer in open_ones:
            writer.close()
