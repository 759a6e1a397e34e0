"""The client for websockets: it goes where the HTTP client goes, and holds no more than it says."""

import asyncio
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from tests.egress import CATEGORIES, TLS, Case, each, resolver
from tests.nights import by_day
from tests.servers.connect_proxy import connect_proxy
from tests.servers.handling import handling
from tests.tls import make_authority
from websockets.server import ServerProtocol

from keycairn.adapters.httptools_upstream import WayOut
from keycairn.adapters.websockets_upstream import WebsocketsUpstream
from keycairn.adapters.websockets_upstream.connection import SLICE
from keycairn.domain.egress import EgressPolicy, parse_allow
from keycairn.domain.egress_proxy import parse_proxy
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
from keycairn.domain.options import Options
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.ports.upstream import UpstreamRequest
from keycairn.ports.websocket import Close, Message

KEY = "sk-canary-0123456789"
AUTH = [("authorization", Secret(f"Bearer {KEY}"))]
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Reached:
    """While `on`, connections of this process are refused, and recorded."""

    def __init__(self) -> None:
        self.on = False
        self.addresses: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if self.on and event == "socket.connect":
            self.addresses.append(details[1][0])
            message = "recorded"
            raise ConnectionRefusedError(message)


_reached = Reached()


async def open_at(client: WebsocketsUpstream, url: str, *, within: float = 2.0, **fields: Any) -> Any:
    subprotocols = fields.pop("subprotocols", ())
    request = UpstreamRequest(**{"method": "GET", "url": url, "headers": AUTH, **fields})
    return await client.open(request, subprotocols, connect_within=within, answer_within=within)


def peer(*sent: bytes, head: bytes | None = None) -> tuple[Peer, list[str]]:
    """A provider that agrees, and sends these bytes; and the heads it was sent. `head` is said in place of a yes."""
    heads: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        heads.append(asked.decode("latin-1"))
        server = ServerProtocol()
        server.receive_data(asked)
        [request] = server.events_received()
        server.send_response(server.accept(request))  # type: ignore[arg-type]  # the request
        writer.write(b"".join(server.data_to_send()) if head is None else head)
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        while await reader.read(2**16):
            pass

    return handle, heads


@asynccontextmanager
async def opened(*sent: bytes, **fields: Any) -> AsyncIterator[Any]:
    handle, _ = peer(*sent)
    async with handling(handle) as port:
        socket = await open_at(
            WebsocketsUpstream(WayOut(EgressPolicy())), f"http://127.0.0.1:{port}/v1/realtime", **fields
        )
        try:
            yield socket
        finally:
            socket.close()


@pytest.mark.parametrize("strict", [False, True], ids=["self-hosted", "strict"])
@pytest.mark.parametrize("category", by_day(CATEGORIES, one_in=3))
async def test_no_socket_is_told_to_connect_to_a_forbidden_address(category: str, *, strict: bool) -> None:
    await each(category, partial(connects_where_it_may, strict=strict), strict=strict)


async def connects_where_it_may(case: Case, *, strict: bool) -> None:
    client = WebsocketsUpstream(WayOut(EgressPolicy(strict=strict), lookup=resolver(case), tls=TLS))
    outcomes: list[type[Exception]] = []
    _reached.on, _reached.addresses = True, []
    try:
        for _ in range(2 if "dns_seq" in case else 1):
            try:
                await open_at(client, case["url"])
            except (EgressRefusedError, NotSentError) as error:
                outcomes.append(type(error))
    finally:
        _reached.on = False
    reached = set(_reached.addresses)
    if case["verdict"] == "allow":
        host = parse_url(case["url"]).host
        assert reached == set(case.get("dns", {}).get(host, [host])), case["why"]
        assert outcomes == [NotSentError]
    elif case["cat"] == "rebind":
        assert reached == {"8.8.8.8"}
        assert outcomes == [NotSentError, EgressRefusedError]
    elif outcomes == [NotSentError]:
        with pytest.raises(UrlRefusedError):
            EgressPolicy(strict=strict).judge_url(parse_url(case["url"]))
    else:
        assert outcomes == [EgressRefusedError]
        assert not reached, case["why"]


@pytest.mark.parametrize("listener", ["0.0.0.0", "127.0.0.1", "localhost"])
async def test_our_own_listener_is_refused_by_any_of_its_addresses(listener: str) -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    client = WebsocketsUpstream(
        WayOut(EgressPolicy(own=((listener, 8765),), allow=parse_allow(["127.0.0.0/8"])), lookup=lookup)
    )
    for url in ("http://127.0.0.1:8765/", "http://llm.example:8765/"):
        with pytest.raises(EgressRefusedError):
            await open_at(client, url)


async def test_tls_holds_to_the_accounts_own_authorities_and_goes_by_the_proxy() -> None:
    authority = make_authority("voice.example")
    handle, heads = peer()
    options = Options(ca_certificates=authority.pem.decode())
    async with handling(handle, authority.server_context()) as port, connect_proxy() as proxy:
        proxy.places[f"voice.example:{port}"] = port
        way = parse_proxy(Secret(f"http://who:secret@127.0.0.1:{proxy.port}"))
        client = WebsocketsUpstream(WayOut(EgressPolicy(), proxy=way))
        with pytest.raises(NotSentError, match="certificate"):
            await open_at(client, f"https://voice.example:{port}/v1/realtime")
        assert not heads
        socket = await open_at(client, f"https://voice.example:{port}/v1/realtime?model=m", options=options)
        socket.close()
        assert heads[0].startswith("GET /v1/realtime?model=m HTTP/1.1\r\n")
        assert f"Host: voice.example:{port}\r\n" in heads[0]
        assert proxy.asked == [f"voice.example:{port}"] * 2
        proxy.answer = b"HTTP/1.1 403 Forbidden\r\n\r\n"
        with pytest.raises(NotSentError, match="refused"):
            await open_at(client, f"https://voice.example:{port}/v1/realtime", options=options)


async def test_the_handshake_holds_what_it_is_given_and_nothing_that_speaks_of_the_client() -> None:
    handle, heads = peer()
    async with handling(handle) as port:
        headers = [*AUTH, ("user-agent", "M\xfcller"), ("origin", "https://a.example"), ("host", "evil.example")]
        headers += [("sec-websocket-protocol", "smuggled"), ("sec-websocket-extensions", "permessage-deflate")]
        headers += [("connection", "close"), ("transfer-encoding", "chunked"), ("accept-encoding", "identity")]
        url = f"http://127.0.0.1:{port}/v1/realtime"
        socket = await open_at(
            WebsocketsUpstream(WayOut(EgressPolicy())), url, headers=headers, subprotocols=("realtime",)
        )
        socket.close()
    head = heads[0].lower()
    assert f"authorization: bearer {KEY}\r\n" in head
    assert "user-agent: m\xfcller\r\n" in head
    assert "sec-websocket-protocol: realtime\r\n" in head
    for name in ("origin", "sec-websocket-extensions", "transfer-encoding", "accept-encoding"):
        assert f"\r\n{name}:" not in head
    for name in ("host", "connection", "sec-websocket-protocol", "upgrade"):
        assert head.count(f"\r\n{name}:") == 1
    assert "evil" not in head


@pytest.mark.parametrize("header", [("x", "a\r\nb: c"), ("a b", "c"), ("x", "\x00"), ("x", "\u0100")])
async def test_a_header_that_http_does_not_allow_is_not_sent(header: tuple[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        await open_at(WebsocketsUpstream(WayOut(EgressPolicy())), "http://127.0.0.1:9/", headers=[header])


NO = b"HTTP/1.1 %b\r\ncontent-length: 2\r\n\r\nno"
YES = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n%b\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "outcome"),
    [
        (NO % b"401 Unauthorized", 401),
        (NO % b"429 Too Many", 429),
        (NO % b"301 Moved\r\nlocation: http://127.0.0.1:9/", 301),
        (NO % b"503 Down", 503),
        (NO % b"200 OK", GarbledAnswerError),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", GarbledAnswerError),
        (YES % b"sec-websocket-accept: AAAA", GarbledAnswerError),
        (YES % b"x: y", GarbledAnswerError),
        (YES % b"sec-websocket-accept: AAAA\r\nsec-websocket-protocol: other", GarbledAnswerError),
        (YES % (b"x: " + b"y" * 2**17), GarbledAnswerError),
        (b"HTTP/1.1 101 OK\r\n" + b"x: y\r\n" * 1000 + b"\r\n", GarbledAnswerError),
        (b"HTTP/1.1 403 No\r\ncontent-length: 99999999\r\n\r\n", GarbledAnswerError),
        (b"HTTP/1.1 403 No\r\ncontent-length: 10\r\n\r\n", ProviderTimeoutError),
        (b"HTTP/1.1 101", ProviderTimeoutError),
    ],
)
async def test_what_is_no_yes_is_a_refusal_or_a_typed_error(head: bytes, outcome: int | type[KeycairnError]) -> None:
    handle, heads = peer(head=head)
    async with handling(handle) as port:
        client = WebsocketsUpstream(WayOut(EgressPolicy()))
        url = f"http://127.0.0.1:{port}/"
        if isinstance(outcome, int):
            answer = await open_at(client, url)
            assert answer.status == outcome
            assert b"".join([chunk async for chunk in answer.chunks()]) == b"no"
        else:
            with pytest.raises(outcome) as error:
                await open_at(client, url, within=0.5)
            assert KEY not in str(error.value)
    assert len(heads) == 1


async def test_who_hangs_up_at_the_handshake_said_nothing() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with handling(handle) as port:
        with pytest.raises(CannotConnectError):
            await open_at(WebsocketsUpstream(WayOut(EgressPolicy())), f"http://127.0.0.1:{port}/")


def frame(payload: bytes, opcode: int = 1, *, first: int = 0x80, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    head = bytes([first | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    return head + (b"\x7e" + struct.pack("!H", size) if size < 2**16 else b"\x7f" + struct.pack("!Q", size)) + payload


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([frame(b"a"), frame(b"\x00", 2)], [Message(b"a"), Message(b"\x00", text=False)]),
        ([frame(b"\xc3", 1, first=0), frame(b"\xa9", 0)], [Message("é".encode())]),
        ([frame(b"a", 2, first=0), frame(b"x", 9), frame(b"b", 0)], [Message(b"ab", text=False)]),
        ([frame(b"a", 1, first=0), frame(b"", 0, first=0) * 50_000, frame(b"b", 0)], [Message(b"ab")]),
        ([frame(b"x" * 2**24)], [Message(b"x" * 2**24)]),
        ([frame(struct.pack("!H", 1011) + b"why", 8)], [Close(1011, "why")]),
        ([frame(b"", 8)], [Close(1005)]),
        ([frame(b"", length=2**24 + 1)], [Close(1009)]),
        ([frame(b"x" * 2**23, 2, first=0), frame(b"x" * (2**23 + 1), 0)], [Close(1009)]),
        ([frame(b"\xff")], [Close(1007)]),
        ([frame(b"x", first=0xC0)], [Close(1002)]),
        ([frame(b"x", 3)], [Close(1002)]),
        ([b"\x81\x81\x00\x00\x00\x00x"], [Close(1002)]),
    ],
)
async def test_messages_come_whole_and_what_is_none_ends_the_connection(
    sent: list[bytes], said: list[Message | Close]
) -> None:
    async with opened(*sent) as socket:
        for one in said:
            async with asyncio.timeout(10):
                got = await socket.receive()
            if isinstance(one, Close):
                assert (got.code, one.reason in got.reason) == (one.code, True)
            else:
                assert got == one
        if isinstance(said[-1], Close):
            assert await socket.receive() == got


async def test_a_provider_that_floods_us_with_frames_of_nothing_keeps_nobody_waiting() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    flood = frame(b"", 9) * 100_000
    async with opened(flood, frame(b"end")) as socket:
        watch = asyncio.create_task(others())
        assert await asyncio.wait_for(socket.receive(), 60) == Message(b"end")
        watch.cancel()
    assert turns >= len(flood) // SLICE


async def test_what_nobody_takes_is_not_read() -> None:
    sent = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        agree, _ = peer()
        task = asyncio.create_task(agree(reader, writer))
        await asyncio.sleep(0.05)
        while not task.done():
            writer.write(frame(b"x" * 2**16))
            await writer.drain()
            sent += 1

    async with handling(handle) as port:
        socket = await open_at(WebsocketsUpstream(WayOut(EgressPolicy())), f"http://127.0.0.1:{port}/")
        await asyncio.sleep(0.6)
        held = sent
        await asyncio.sleep(0.2)
        assert 0 < sent == held < 200
        socket.close()
