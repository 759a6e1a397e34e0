"""The guarded client, over real sockets wherever one may be opened."""

import asyncio
import gzip
import logging
import socket
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpcore
import pytest
from cryptography.x509 import Certificate
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tls import make_authority

from keycairn.adapters.guarded_http import Destination, GuardedHttp, VettingBackend
from keycairn.adapters.guarded_http.backend import under_way
from keycairn.adapters.guarded_http.client import CONNECTIONS
from keycairn.domain.egress import EgressPolicy, parse_allow
from keycairn.domain.errors import (
    CannotConnectError,
    EgressRefusedError,
    GarbledAnswerError,
    InvalidInputError,
    KeycairnError,
    ProviderTimeoutError,
    UrlRefusedError,
)
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.ports.http import Request

KEY = "sk-canary-0123456789"
AUTH = {"Authorization": Secret(f"Bearer {KEY}")}

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(*parts: bytes, pause: float = 0) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return handle


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def resolving(**names: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return names[host.replace(".", "_")]

    return lookup


class Recorder(httpcore.AsyncNetworkBackend):
    """Opens nothing, and remembers every address it was asked to connect to."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    async def connect_tcp(self, host: str, *args: Any, **more: Any) -> httpcore.AsyncNetworkStream:
        self.opened.append(host)
        raise httpcore.ConnectError("recorded")


@pytest.fixture
async def http() -> AsyncIterator[GuardedHttp]:
    client = GuardedHttp(EgressPolicy())
    yield client
    await client.aclose()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_the_name_is_sent_and_the_judged_address_connected() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    client = GuardedHttp(EgressPolicy(), lookup=resolving(llm_example=["127.0.0.1"]))
    async with listening(handle) as port:
        answer = await client.send(Request(url=f"http://LLM.example:{port}/v1?x=1", headers=AUTH))
        await client.aclose()

    head = seen[0].decode().lower()
    assert answer.body == b"ok"
    assert head.startswith("get /v1?x=1 http/1.1\r\n")
    assert f"host: llm.example:{port}\r\n" in head
    assert "accept-encoding: identity\r\n" in head
    assert f"authorization: bearer {KEY}" in head


async def test_one_forbidden_answer_refuses_the_name_whatever_its_place() -> None:
    for answers in (["127.0.0.1", "169.254.169.254"], ["fe80::1", "127.0.0.1"]):
        recorder = Recorder()
        client = GuardedHttp(EgressPolicy(), lookup=resolving(mixed_example=answers), connect=recorder)
        with pytest.raises(EgressRefusedError):
            await client.send(Request(url="http://mixed.example/"))
        assert recorder.opened == []


class TestTls:
    @pytest.mark.parametrize(("name", "good"), [("llm.example", True), ("other.example", False)])
    async def test_the_certificate_is_checked_against_the_name(self, name: str, *, good: bool) -> None:
        authority = make_authority("llm.example")
        client = GuardedHttp(
            EgressPolicy(),
            lookup=resolving(llm_example=["127.0.0.1"], other_example=["127.0.0.1"]),
            tls=authority.client_context(),
        )
        asked: list[str | None] = []
        context = authority.server_context()
        context.sni_callback = lambda _socket, server, _context: asked.append(server)
        async with listening(answering(OK), context) as port:
            request = Request(url=f"https://{name}:{port}/", headers=AUTH)
            if good:
                assert (await client.send(request)).status == 200
            else:
                with pytest.raises(CannotConnectError, match="TLS"):
                    await client.send(request)
        await client.aclose()
        assert asked == [name]

    async def test_an_unknown_authority_is_refused(self, http: GuardedHttp) -> None:
        authority = make_authority("localhost")
        assert isinstance(authority.certificate, Certificate)
        async with listening(answering(OK), authority.server_context()) as port:
            with pytest.raises(CannotConnectError, match="TLS"):
                await http.send(Request(url=f"https://localhost:{port}/", headers=AUTH))


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (answering(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 50, pause=0.05), ProviderTimeoutError),
        (answering(b"HTTP/1.1 2", *[b"0"] * 50, pause=0.05), ProviderTimeoutError),
        (answering(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 4096] * 100), GarbledAnswerError),
        (answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\n\r\n"), GarbledAnswerError),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), GarbledAnswerError),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), GarbledAnswerError),
        (answering(b"HTTP/1.1 200 OK\r\nX-Your-Key " + KEY.encode() + b"\r\n\r\n"), GarbledAnswerError),
        (answering(KEY.encode() * 10 + b"\r\n\r\n"), GarbledAnswerError),
        (answering(), CannotConnectError),
        (resetting, CannotConnectError),
    ],
    ids=[
        "slow body",
        "slow head",
        "endless body",
        "huge header",
        "not http",
        "truncated",
        "echo",
        "echo 2",
        "silence",
        "reset",
    ],
)
async def test_a_hostile_answer_ends_in_a_typed_error_in_time(handler: Handler, error: type[KeycairnError]) -> None:
    client = GuardedHttp(EgressPolicy(), largest_answer=100_000)
    async with listening(handler) as port:
        with pytest.raises(error) as raised:
            await client.send(Request(url=f"http://127.0.0.1:{port}/", headers=AUTH), deadline=0.3)
    await client.aclose()
    assert type(raised.value) is error
    assert KEY not in "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


async def test_a_compressed_answer_is_refused_before_it_is_unfolded(http: GuardedHttp) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with listening(answering(head, bomb)) as port:
        with pytest.raises(GarbledAnswerError, match="compressed"):
            await http.send(Request(url=f"http://127.0.0.1:{port}/"))


@given(st.binary(max_size=300) | st.builds(bytes.__add__, st.just(b"HTTP/1.1 200 OK\r\n"), st.binary(max_size=200)))
@settings(max_examples=100)
def test_whatever_comes_back_is_an_answer_or_a_typed_error(noise: bytes) -> None:
    async def exchange() -> None:
        client = GuardedHttp(EgressPolicy(), connect=httpcore.AsyncMockBackend([noise]))
        with suppress(GarbledAnswerError, CannotConnectError):
            assert 100 <= (await client.send(Request(url="http://127.0.0.1:8080/", headers=AUTH))).status < 1000
        await client.aclose()

    asyncio.run(exchange())


class TestConnections:
    @staticmethod
    async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heads: list[tuple[int, str]]) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            heads.append((writer.get_extra_info("peername")[1], head.decode()))
            writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")

    async def test_are_kept_for_their_origin_but_never_shared_with_requests_without_a_secret(self) -> None:
        heads: list[tuple[int, str]] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError):
                await self._serve(reader, writer, heads)

        client = GuardedHttp(EgressPolicy(), lookup=resolving(a_example=["127.0.0.1"], b_example=["127.0.0.1"]))
        async with listening(handle) as port:
            for name, headers in (("a", AUTH), ("a", AUTH), ("b", AUTH), ("a", {}), ("a", {})):
                await client.send(Request(url=f"http://{name}.example:{port}/", headers=headers))
            await client.aclose()

        first, again, other, plain, plain_again = [peer for peer, _ in heads]
        assert (first == again, plain == plain_again, len({first, other, plain})) == (True, True, 3)
        assert not any("cookie" in head.lower() for _, head in heads)

    async def test_are_free_again_after_answers_that_never_came(self) -> None:
        answers = False

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                if answers:
                    writer.write(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                else:
                    await reader.read()

        client = GuardedHttp(EgressPolicy())
        async with listening(handle) as port:
            request = Request(url=f"http://127.0.0.1:{port}/")
            calls = (client.send(request, deadline=0.2) for _ in range(CONNECTIONS + 10))
            assert {type(end) for end in await asyncio.gather(*calls, return_exceptions=True)} == {ProviderTimeoutError}
            answers = True
            assert (await client.send(request, deadline=1)).body == b"ok"
            await client.aclose()


async def test_nobody_there_is_cannot_connect(http: GuardedHttp) -> None:
    async with listening(answering(OK)) as port:
        pass
    with pytest.raises(CannotConnectError):
        await http.send(Request(url=f"http://127.0.0.1:{port}/"))
    with pytest.raises(CannotConnectError, match="resolved"):
        await http.send(Request(url="http://nobody.invalid/"))


async def test_every_answer_of_a_name_is_tried_in_turn() -> None:
    client = GuardedHttp(EgressPolicy(), lookup=resolving(twice_example=["127.0.0.9", "127.0.0.1"]))
    async with listening(answering(OK)) as port:
        assert (await client.send(Request(url=f"http://twice.example:{port}/"))).status == 200
    await client.aclose()


async def test_an_address_that_swallows_packets_does_not_use_up_the_deadline() -> None:
    tried: list[str] = []

    class Swallowing(httpcore.AsyncMockBackend):
        async def connect_tcp(self, host: str, *args: Any, **more: Any) -> httpcore.AsyncNetworkStream:
            tried.append(host)
            if host == "10.0.0.1":
                await asyncio.sleep(60)
            return await super().connect_tcp(host, *args, **more)

    backend = VettingBackend(
        EgressPolicy(), resolving(twice_example=["10.0.0.1", "10.0.0.2"]), Swallowing([]), attempt=0.02
    )
    under_way.set(Destination(parse_url("http://twice.example"), secret=False))
    async with asyncio.timeout(1):
        await backend.connect_tcp("twice.example", 80)
    assert tried == ["10.0.0.1", "10.0.0.2"]
    with pytest.raises(EgressRefusedError):
        await backend.connect_tcp("another.example", 80)


async def test_a_service_that_listens_everywhere_is_not_called_by_any_of_its_addresses() -> None:
    async with listening(answering(OK)) as port:
        client = GuardedHttp(EgressPolicy(own=(("0.0.0.0", port),), allow=parse_allow(["127.0.0.0/8"])))
        with pytest.raises(EgressRefusedError):
            await client.send(Request(url=f"http://127.0.0.1:{port}/"))


@pytest.mark.parametrize("called", ["127.0.0.1", "llm.example"])
async def test_a_database_known_by_name_is_not_called_by_its_address_or_another_name(called: str) -> None:
    client = GuardedHttp(
        EgressPolicy(own=(("Surreal.lan", 8000),)),
        lookup=resolving(surreal_lan=["10.0.0.9", "127.0.0.1"], llm_example=["127.0.0.1"]),
        connect=(recorder := Recorder()),
    )
    with pytest.raises(EgressRefusedError, match="Keycairn itself"):
        await client.send(Request(url=f"http://{called}:8000/"))
    assert recorder.opened == []


@pytest.mark.parametrize("name", ["Host", "Content-Length", "transfer-encoding", "Accept-Encoding", "X-A b", "X:", ""])
async def test_a_caller_does_not_say_who_is_asked_or_where_a_message_ends(http: GuardedHttp, name: str) -> None:
    with pytest.raises(InvalidInputError):
        await http.send(Request(url="http://127.0.0.1:8080/x", headers={name: "1"}))


@pytest.mark.parametrize("value", [f"{KEY}\r\nX: y", f"{KEY}\x00", f"{KEY}\u2028", f"{KEY}é"])
async def test_a_header_that_http_cannot_carry_is_refused_without_an_echo(http: GuardedHttp, value: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await http.send(Request(url="http://127.0.0.1:8080/x", headers={"X-Key": Secret(value)}))
    assert KEY not in str(refused.value)


async def test_no_log_at_debug_holds_the_key_or_the_url(http: GuardedHttp, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with listening(answering(OK)) as port:
            await http.send(Request(url=f"http://127.0.0.1:{port}/{KEY}", headers=AUTH))
    assert KEY not in caplog.text


def test_vetting_names_the_field_and_not_the_url(http: GuardedHttp) -> None:
    with pytest.raises(UrlRefusedError) as refused:
        http.vet("http://169.254.169.254/secret-path", field="base_url")
    assert list(refused.value.fields) == ["base_url"]
    assert "secret-path" not in str(refused.value)
