"""The gateway's client: where it connects, and what it makes of answers."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from tests.egress import CATEGORIES, TLS, Case, each, resolver
from tests.tls import make_authority

from keycairn.adapters.httptools_upstream import HttptoolsUpstream, WayOut
from keycairn.domain.egress import EgressPolicy, parse_allow
from keycairn.domain.errors import (
    CannotConnectError,
    EgressRefusedError,
    GarbledAnswerError,
    InvalidInputError,
    KeycairnError,
    NotSentError,
    ProviderTimeoutError,
    UrlRefusedError,
)
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.ports.upstream import UpstreamAnswer, UpstreamRequest

KEY = "sk-canary-0123456789"
AUTH = [("authorization", Secret(f"Bearer {KEY}"))]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Sockets:
    """Hears of every connection of this process; while `on`, refuses and records them."""

    def __init__(self) -> None:
        self.on = False
        self.reached: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if self.on and event == "socket.connect":
            self.reached.append(details[1][0])
            message = "recorded"
            raise ConnectionRefusedError(message)


_sockets = Sockets()


async def start(client: HttptoolsUpstream, url: str, *, within: float = 2.0, **fields: Any) -> UpstreamAnswer:
    request = UpstreamRequest(**{"method": "GET", "url": url, "headers": AUTH, **fields})
    return await client.start(request, connect_within=within, answer_within=within)


async def body_of(answer: UpstreamAnswer) -> bytes:
    try:
        return b"".join([chunk async for chunk in answer.chunks()])
    finally:
        answer.close()


@asynccontextmanager
async def listening(handler: Handler, tls: Any = None) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


def answering(*parts: bytes, pause: float = 0) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return handle


OK = b"HTTP/1.1 200 OK\r\nX-One: 1\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def client() -> AsyncIterator[HttptoolsUpstream]:
    client = HttptoolsUpstream(WayOut(EgressPolicy()))
    yield client
    await client.aclose()


@pytest.mark.parametrize("strict", [False, True], ids=["self-hosted", "strict"])
@pytest.mark.parametrize("category", CATEGORIES)
async def test_no_socket_is_told_to_connect_to_a_forbidden_address(category: str, *, strict: bool) -> None:
    await each(category, partial(connects_where_it_may, strict=strict), strict=strict)


async def connects_where_it_may(case: Case, *, strict: bool) -> None:
    client = HttptoolsUpstream(WayOut(EgressPolicy(strict=strict), lookup=resolver(case), tls=TLS))
    outcomes: list[type[Exception]] = []
    _sockets.on, _sockets.reached = True, []
    try:
        for _ in range(2 if "dns_seq" in case else 1):
            try:
                await start(client, case["url"])
            except (EgressRefusedError, NotSentError) as error:
                outcomes.append(type(error))
    finally:
        _sockets.on = False
        await client.aclose()

    reached = set(_sockets.reached)
    if case["verdict"] == "allow":
        host = parse_url(case["url"]).host
        assert reached == set(case.get("dns", {}).get(host, [host])), case["why"]
        assert outcomes == [NotSentError]
    elif case["cat"] == "rebind":
        assert reached == {"8.8.8.8"}
        assert outcomes == [NotSentError, EgressRefusedError]
    elif outcomes == [NotSentError]:
        # A base URL may be refused for what would be appended to it, while the same text as a request is harmless.
        with pytest.raises(UrlRefusedError):
            EgressPolicy(strict=strict).judge_url(parse_url(case["url"]))
        assert reached <= {"8.8.8.8", "127.0.0.1", "93.184.216.34"}
    else:
        assert outcomes == [EgressRefusedError]
        assert not reached, case["why"]


@pytest.mark.parametrize("listener", ["0.0.0.0", "127.0.0.1", "localhost"])
async def test_our_own_listener_is_refused_by_any_of_its_addresses(listener: str) -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    policy = EgressPolicy(own=((listener, 8765),), allow=parse_allow(["127.0.0.0/8"]))
    client = HttptoolsUpstream(WayOut(policy, lookup=lookup))
    for url in ("http://127.0.0.1:8765/", "http://llm.example:8765/"):
        with pytest.raises(EgressRefusedError):
            await start(client, url)
    await client.aclose()


async def test_our_own_database_known_by_name_is_refused_by_its_address() -> None:
    addresses = {"db.internal.example": ["127.0.0.2"], "llm.example": ["127.0.0.1"]}

    async def lookup(host: str, port: int) -> Sequence[str]:
        return addresses[host]

    async with listening(answering(OK)) as port:
        client = HttptoolsUpstream(WayOut(EgressPolicy(own=(("db.internal.example", port),)), lookup=lookup))
        for url in (f"http://127.0.0.1:{port}/", f"http://llm.example:{port}/"):
            assert await body_of(await start(client, url)) == b"ok"
        addresses["db.internal.example"] = ["127.0.0.1"]  # it moved
        for url in (f"http://127.0.0.1:{port}/", f"http://llm.example:{port}/"):
            with pytest.raises(EgressRefusedError):
                await start(client, url)
        await client.aclose()


async def test_the_name_is_sent_and_the_judged_address_connected() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async def lookup(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    client = HttptoolsUpstream(WayOut(EgressPolicy(), lookup=lookup))
    async with listening(handle) as port:
        answer = await start(client, f"http://llm.example:{port}/v1?x=%2Fy")
        assert (answer.status, await body_of(answer)) == (200, b"ok")
        assert ("x-one", "1") in answer.headers
        await client.aclose()

    head = seen[0].decode().lower()
    assert head.startswith("get /v1?x=%2fy http/1.1\r\n")
    assert f"host: llm.example:{port}\r\n" in head
    assert f"authorization: bearer {KEY}\r\n" in head
    assert "user-agent" not in head


@pytest.mark.parametrize(("name", "good"), [("llm.example", True), ("other.example", False)])
async def test_the_certificate_is_checked_against_the_name(name: str, *, good: bool) -> None:
    authority = make_authority("llm.example")

    async def lookup(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    client = HttptoolsUpstream(WayOut(EgressPolicy(), lookup=lookup, tls=authority.client_context()))
    async with listening(answering(OK), authority.server_context()) as port:
        if good:
            assert await body_of(await start(client, f"https://{name}:{port}/")) == b"ok"
        else:
            with pytest.raises(NotSentError, match="TLS"):
                await start(client, f"https://{name}:{port}/")
        await client.aclose()


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\n\r\n"), GarbledAnswerError),
        (answering(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 5000 + b"\r\n"), GarbledAnswerError),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), GarbledAnswerError),
        (answering(KEY.encode() * 10 + b"\r\n\r\n"), GarbledAnswerError),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), CannotConnectError),
        (answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), CannotConnectError),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"", pause=1), ProviderTimeoutError),
        (answering(b"", pause=1), ProviderTimeoutError),
        (answering(), CannotConnectError),
    ],
    ids=["huge header", "many headers", "not http", "echo", "truncated", "cut chunk", "stalls", "silent", "closed"],
)
async def test_a_hostile_answer_ends_in_a_typed_error(
    client: HttptoolsUpstream, handler: Handler, error: type[KeycairnError]
) -> None:
    async with listening(handler) as port:
        with pytest.raises(error) as raised:
            await body_of(await start(client, f"http://127.0.0.1:{port}/", within=0.3))
        await client.aclose()

    assert type(raised.value) is error
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_nothing_was_sent_where_nobody_listens(client: HttptoolsUpstream) -> None:
    async with listening(answering(OK)) as port:
        pass
    with pytest.raises(NotSentError):
        await start(client, f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("length", [None, 11])
async def test_a_streamed_body_arrives_whole(client: HttptoolsUpstream, length: int | None) -> None:
    seen = b""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        while not seen.endswith((b"second", b"0\r\n\r\n")):
            seen += await reader.read(65536)
        writer.write(OK)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"1st, "
        await asyncio.sleep(0.01)
        yield b"second"

    async with listening(handle) as port:
        answer = await start(client, f"http://127.0.0.1:{port}/", method="POST", body=chunks(), length=length)
        assert await body_of(answer) == b"ok"
        await client.aclose()

    head, _, body = seen.partition(b"\r\n\r\n")
    if length is None:
        assert b"transfer-encoding: chunked" in head.lower()
    else:
        assert b"content-length: 11" in head.lower()
        assert body == b"1st, second"


async def test_the_failure_of_a_streamed_body_passes_through(client: HttptoolsUpstream) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        message = "the client is too slow"
        raise InvalidInputError(message)

    async with listening(handle) as port:
        with pytest.raises(InvalidInputError, match="too slow"):
            await start(client, f"http://127.0.0.1:{port}/", method="POST", body=chunks(), length=100)
        await client.aclose()


async def test_closing_an_answer_cuts_its_connection(client: HttptoolsUpstream) -> None:
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await reader.read()
        ended.set()

    async with listening(handle) as port:
        answer = await start(client, f"http://127.0.0.1:{port}/")
        assert await anext(answer.chunks()) == b"x"
        answer.close()
        answer.close()
        async with asyncio.timeout(2):
            await ended.wait()


async def test_a_header_that_http_does_not_allow_is_not_sent(client: HttptoolsUpstream) -> None:
    with pytest.raises(InvalidInputError):
        await start(client, "http://127.0.0.1:9/", headers=[("x-a", "b\r\nx-c: d")])


def test_a_requests_repr_shows_no_key_and_no_path() -> None:
    request = UpstreamRequest(method="GET", url="http://a.example/secret/path", headers=AUTH)
    assert KEY not in repr(request)
    assert "path" not in repr(request)
