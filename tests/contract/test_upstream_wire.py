"""What the gateway's client makes of the bytes of HTTP, over sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keycairn.adapters.httptools_upstream import HttptoolsUpstream, WayOut
from keycairn.adapters.httptools_upstream.answer import READ_AHEAD
from keycairn.adapters.httptools_upstream.pool import Pool
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.errors import (
    CannotConnectError,
    GarbledAnswerError,
    KeycairnError,
    NotSentError,
    ProviderTimeoutError,
)
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.ports.upstream import Headers, UpstreamAnswer, UpstreamRequest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
AUTH = [("authorization", Secret("Bearer sk-canary-0123456789"))]


class Server:
    """Answers the requests of each connection with `answers` in turn, and knows what came."""

    def __init__(self, *answers: bytes, then: str = "wait") -> None:
        self.answers = answers
        self.then = then
        self.connections: list[list[bytes]] = []
        self.ended = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen: list[bytes] = []
        self.connections.append(seen)
        for answer in self.answers:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
        if self.then == "reset":
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
        if self.then == "wait":
            await reader.read()
            self.ended.set()


@asynccontextmanager
async def serving(server: Server, handle: Callable[..., Awaitable[None]] | None = None) -> AsyncIterator[Server]:
    tasks: set[asyncio.Task[Any]] = set()

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await (handle or server.handle)(reader, writer)
        writer.close()

    listener = await asyncio.start_server(handled, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


@pytest.fixture
async def client() -> AsyncIterator[HttptoolsUpstream]:
    client = HttptoolsUpstream(WayOut(EgressPolicy()))
    yield client
    await client.aclose()


async def start(client: HttptoolsUpstream, url: str, *, within: float = 2.0, **fields: Any) -> UpstreamAnswer:
    request = UpstreamRequest(**{"method": "POST", "url": url, "headers": AUTH, "body": b"{}", **fields})
    return await client.start(request, connect_within=within, answer_within=within)


async def whole(client: HttptoolsUpstream, url: str, **fields: Any) -> tuple[int, Headers, bytes]:
    answer = await start(client, url, **fields)
    try:
        return answer.status, answer.headers, b"".join([chunk async for chunk in answer.chunks()])
    finally:
        answer.close()


@pytest.mark.parametrize(
    ("wire", "then", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, "wait", b"ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "close", b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", "close", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n\r\n", "wait", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Late: 1\r\n\r\n", "wait", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "wait", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "wait", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "wait", b""),
    ],
    ids=["interim", "until closed", "1.0", "extension", "trailer", "204", "304", "empty"],
)
async def test_every_way_to_end_a_body(client: HttptoolsUpstream, wire: bytes, then: str, body: bytes) -> None:
    async with serving(Server(wire, then=then)) as server:
        status, headers, found = await whole(client, server.url)
        await client.aclose()
    assert found == body
    assert not {"link", "x-late"} & {name for name, _ in headers}
    assert status in {200, 204, 304}


async def test_an_answer_to_head_has_no_body_whatever_it_announces(client: HttptoolsUpstream) -> None:
    async with serving(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as server:
        assert (await whole(client, server.url, method="HEAD", body=None))[2] == b""
        await client.aclose()


@pytest.mark.parametrize(
    ("wire", "then", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nsome", "reset", CannotConnectError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome", "close", CannotConnectError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", "wait", GarbledAnswerError),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "wait",
            GarbledAnswerError,
        ),
        (b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok", "wait", GarbledAnswerError),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok", "wait", GarbledAnswerError),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "wait", GarbledAnswerError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "wait", GarbledAnswerError),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, "wait", GarbledAnswerError),
        (OK.replace(b"200", b"099"), "wait", GarbledAnswerError),
        (OK.replace(b"200", b"999"), "wait", GarbledAnswerError),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK, "wait", GarbledAnswerError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "wait", GarbledAnswerError),
    ],
    ids=[
        "reset",
        "short",
        "two lengths",
        "both",
        "NUL",
        "folded",
        "101",
        "bad chunk",
        "interim flood",
        "099",
        "999",
        "101 unasked",
        "unknown coding",
    ],
)
async def test_what_can_be_read_in_two_ways_is_not_read(
    client: HttptoolsUpstream, wire: bytes, then: str, error: type[KeycairnError]
) -> None:
    async with serving(Server(wire, then=then)) as server:
        with pytest.raises(error):
            await whole(client, server.url)
        await client.aclose()


async def test_connections_are_used_again_but_not_with_and_without_a_secret(client: HttptoolsUpstream) -> None:
    async with serving(Server(*[OK] * 5)) as server:
        for headers in (AUTH, AUTH, [], AUTH, []):
            assert (await whole(client, server.url, headers=headers))[2] == b"ok"
        with_key = [[b"authorization" in head for head in seen] for seen in server.connections]
        await client.aclose()
    assert sorted(with_key) == [[False, False], [True, True, True]]


@pytest.mark.parametrize(
    "wire",
    [
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        OK + b"x",
        OK + b"HTTP/1.1 100 Continue\r\n\r\n",
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + OK,
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"1.1", b"1.0"),
    ],
    ids=["an answer too many", "a byte too many", "an interim one too many", "one after close", "close", "1.0"],
)
async def test_no_call_gets_what_was_left_behind_another_ones_answer(client: HttptoolsUpstream, wire: bytes) -> None:
    async with serving(Server(wire, OK)) as server:
        assert (await whole(client, server.url))[2] == b"ok"
        assert (await whole(client, server.url))[2] == b"ok"
        connections = [len(seen) for seen in server.connections]
        await client.aclose()
    assert connections == [1, 1]


async def test_an_answer_nobody_asked_for_ends_the_idle_connection(client: HttptoolsUpstream) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections.append([await reader.readuntil(b"\r\n\r\n")])
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(OK.replace(b"ok", b"no"))
        await reader.read()
        server.ended.set()

    async with serving(server := Server(), handle):
        assert (await whole(client, server.url))[2] == b"ok"
        async with asyncio.timeout(2):
            await server.ended.wait()
        assert (await whole(client, server.url))[2] == b"ok"
        assert len(server.connections) == 2
        await client.aclose()


async def test_an_answer_before_the_end_of_the_body_ends_the_connection(client: HttptoolsUpstream) -> None:
    drawn = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal drawn
        while True:
            drawn += 1
            yield b"x" * 1000
            await asyncio.sleep(0.001)

    async with serving(Server(OK.replace(b"200 OK", b"413 Too Large"))) as server:
        assert (await whole(client, server.url, body=endless()))[0] == 413
        async with asyncio.timeout(2):
            await server.ended.wait()
        at_end = drawn
        await asyncio.sleep(0.02)
        assert drawn == at_end
        await client.aclose()


@pytest.mark.parametrize(("method", "good"), [("GET", True), ("POST", False)])
async def test_a_kept_connection_that_is_closed_under_a_request(
    client: HttptoolsUpstream, method: str, *, good: bool
) -> None:
    """What may be repeated is; a POST may have been carried out."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections.append([await reader.readuntil(b"\r\n\r\n")])
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")

    async with serving(server := Server(), handle):
        fields: dict[str, Any] = {"method": method, "body": None}
        assert (await whole(client, server.url, **fields))[2] == b"ok"
        if good:
            assert (await whole(client, server.url, **fields))[2] == b"ok"
        else:
            with pytest.raises(CannotConnectError):
                await whole(client, server.url, **fields)
        await client.aclose()
    assert len(server.connections) == (2 if good else 1)


async def test_a_request_that_never_left_goes_out_on_another_connection(client: HttptoolsUpstream) -> None:
    """Between taking a kept connection and the end of the loop's turn it may be gone; that POST was not sent."""
    async with serving(Server(OK, OK)) as server:
        assert (await whole(client, server.url))[2] == b"ok"
        call = asyncio.ensure_future(whole(client, server.url))
        await asyncio.sleep(0)
        (pool,) = client._pools.values()
        (connection,) = pool._all
        connection.connection_lost(ConnectionResetError())
        assert (await call)[2] == b"ok"
        assert [len(seen) for seen in server.connections] == [1, 1]
        await client.aclose()


async def test_a_silent_provider_is_not_asked_again(client: HttptoolsUpstream) -> None:
    async with serving(Server(OK)) as server:
        assert (await whole(client, server.url, method="GET", body=None))[2] == b"ok"
        with pytest.raises(ProviderTimeoutError):
            await whole(client, server.url, method="GET", body=None, within=0.05)
        assert len(server.connections) == 1
        await client.aclose()


async def test_an_endless_answer_waits_for_its_reader(client: HttptoolsUpstream) -> None:
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 64 * 2**20:
            writer.write(sent.to_bytes(4, "big") * 16_384)
            await writer.drain()
            sent += 2**16

    async with serving(server := Server(), handle):
        answer = await start(client, server.url)
        await asyncio.sleep(0.1)
        before = sent
        await asyncio.sleep(0.05)
        assert sent == before  # it is stuck, having filled the buffers of both kernels and ours
        assert before < READ_AHEAD + 16 * 2**20
        read = 0
        async for chunk in answer.chunks():
            assert len(chunk) <= READ_AHEAD + 2**19
            read += len(chunk)
        assert read == sent == 64 * 2**20
        await client.aclose()


async def test_a_body_is_drawn_no_faster_than_it_is_taken(client: HttptoolsUpstream) -> None:
    drawn = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal drawn
        for _ in range(1024):
            drawn += 2**16
            yield bytes(2**16)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.1)
        assert drawn < 24 * 2**20
        await reader.readexactly(2**26)
        writer.write(OK)

    async with serving(server := Server(), handle):
        assert (await whole(client, server.url, body=body(), length=2**26))[2] == b"ok"
        await client.aclose()


async def test_a_slow_reader_is_not_the_providers_silence(client: HttptoolsUpstream) -> None:
    async with serving(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")) as server:
        answer = await start(client, server.url, within=0.05)
        await asyncio.sleep(0.15)
        assert [chunk async for chunk in answer.chunks()] == [b"slow"]
        await client.aclose()


async def test_a_long_upload_that_goes_on_is_not_the_providers_silence(client: HttptoolsUpstream) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(8):
            await asyncio.sleep(0.02)
            yield b"x"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(8)
        writer.write(OK)

    async with serving(server := Server(), handle):
        assert (await whole(client, server.url, body=body(), length=8, within=0.08))[2] == b"ok"
        await client.aclose()


async def test_an_upload_that_nobody_takes_is(client: HttptoolsUpstream) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(2**16)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with serving(server := Server(), handle):
        with pytest.raises(ProviderTimeoutError):
            await whole(client, server.url, body=endless(), within=0.1)
        await client.aclose()


@pytest.mark.parametrize("moment", ["head", "body", "upload"])
async def test_cancelling_a_call_cuts_the_connection(client: HttptoolsUpstream, moment: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.001)
            yield b"x"

    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx" if moment == "body" else b""
    async with serving(Server(wire)) as server:
        body = endless() if moment == "upload" else b"{}"
        task = asyncio.create_task(whole(client, server.url, body=body))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(2):
            await server.ended.wait()


async def test_closing_the_client_ends_what_is_under_way_and_it_can_be_used_again(client: HttptoolsUpstream) -> None:
    async with serving(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")) as server:
        answer = await start(client, server.url)
        reading = asyncio.ensure_future(anext(answer.chunks()))
        await reading
        rest = asyncio.create_task(whole(client, server.url))
        await asyncio.sleep(0.02)
        await client.aclose()
        with pytest.raises(CannotConnectError):
            await rest
        answer.close()
        answer.close()
    async with serving(Server(OK)) as server:
        assert (await whole(client, server.url))[2] == b"ok"
        await client.aclose()


async def test_a_call_beyond_the_most_waits_for_room_and_not_forever() -> None:
    async with serving(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", OK)) as server:
        pool = Pool(parse_url(server.url), local, None, most=1)
        connection, _ = await pool.take(1)
        answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", None, length=None, bodiless=False, within=1)
        await answer.head()
        with pytest.raises(NotSentError):
            await pool.take(0.02)
        waiting = asyncio.create_task(pool.take(1))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        answer.close()
        assert (await waiting)[0].open
        pool.close()
        await asyncio.sleep(0)


async def test_room_is_given_in_turn_and_none_is_lost_to_those_who_left() -> None:
    async with serving(Server(*[OK] * 8)) as server:
        pool = Pool(parse_url(server.url), local, None, most=1)

        async def one() -> bytes:
            connection, _ = await pool.take(5)
            answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", None, length=None, bodiless=False, within=5)
            return b"".join([chunk async for chunk in answer.chunks()])

        order: list[int] = []

        async def numbered(number: int) -> None:
            await one()
            order.append(number)

        busy, _ = await pool.take(5)
        calls = [asyncio.create_task(numbered(number)) for number in range(6)]
        late = asyncio.create_task(pool.take(0.01))
        await asyncio.sleep(0.05)
        with pytest.raises(NotSentError):
            await late
        calls[1].cancel()  # while it waits
        held = busy.exchange(b"GET / HTTP/1.1\r\n\r\n", None, length=None, bodiless=False, within=5)
        assert [chunk async for chunk in held.chunks()] == [b"ok"]
        calls[0].cancel()  # at the moment it was its turn
        await asyncio.gather(*calls, return_exceptions=True)
        assert order == [2, 3, 4, 5]
        assert await one() == b"ok"
        pool.close()
        await asyncio.sleep(0)


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with serving(Server(OK)) as server:
        pool = Pool(parse_url(server.url), local, None, keep_alive=0.03)
        connection, _ = await pool.take(1)
        answer = connection.exchange(b"GET / HTTP/1.1\r\n\r\n", None, length=None, bodiless=False, within=1)
        assert [chunk async for chunk in answer.chunks()] == [b"ok"]
        assert connection.open
        async with asyncio.timeout(2):
            await server.ended.wait()
        assert pool.empty


async def local() -> list[str]:
    return ["127.0.0.1"]


HEAD = b"HTTP/1.1 200 OK\r\nX-One: 1\r\nX-Two: two words\r\n"
WIRES = (
    HEAD + b"Content-Length: 11\r\n\r\nhello world",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-Three: 3\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"\r\nhello world",
)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(wire=st.sampled_from(WIRES), cuts=st.sets(st.integers(1, 130), max_size=8))
def test_packets_make_no_difference(wire: bytes, cuts: set[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for begin, end in pairwise(edges):
            writer.write(wire[begin:end])
            await writer.drain()
            await asyncio.sleep(0)

    async def play() -> None:
        client = HttptoolsUpstream(WayOut(EgressPolicy()))
        async with serving(server := Server(), handle):
            status, headers, body = await whole(client, server.url)
            await client.aclose()
        assert (status, body) == (200, b"hello world")
        assert [pair for pair in headers if pair[0].startswith("x-")] == [("x-one", "1"), ("x-two", "two words")]

    asyncio.run(play())


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(wire=st.one_of(st.binary(max_size=200), st.sampled_from(WIRES).flatmap(lambda w: st.just(w).map(bytearray))))
def test_any_bytes_end_in_an_answer_or_in_a_typed_error(wire: bytes | bytearray) -> None:
    async def play() -> None:
        client = HttptoolsUpstream(WayOut(EgressPolicy()))
        async with serving(Server(bytes(wire), then="close")) as server:
            with suppress(CannotConnectError, GarbledAnswerError):
                await whole(client, server.url)
            await client.aclose()

    asyncio.run(play())
