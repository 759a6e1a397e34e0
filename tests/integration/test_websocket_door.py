"""Websockets at the door of a real service: whose they may be, what hostile clients send, and its end."""

import asyncio
import json
import os
import signal
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio
from tests.flood import ADMIN, Service, exchange, request, serving
from tests.nights import by_day
from tests.servers.realtime_api import RealtimeServer
from tests.servers.sockets import until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from keycairn.testing.server import KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/v1/realtime?model=gpt-realtime"
BEARER = {"Authorization": f"Bearer {ADMIN}"}
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
OWN = f"Authorization: Bearer {ADMIN}"


class Place(NamedTuple):
    service: Service
    provider: RealtimeServer

    @property
    def url(self) -> str:
        return f"ws://localhost:{self.service.port}{PATH}"


async def prepared(service: Service, provider: RealtimeServer) -> None:
    """Have it serve a model of the provider."""
    async with httpx.AsyncClient(base_url=f"http://localhost:{service.port}", headers=BEARER) as http:
        account = {"provider": "openai", "name": "o", "api_key": KEY, "base_url": provider.url}
        made = (await http.post("/api/credentials", json=account)).json()
        model = {"name": "gpt-realtime", "provider": "openai", "type": "language", "credential": made["id"]}
        assert (await http.post("/api/models", json=model)).is_success


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    variables = {"KEYCAIRN_CORS_ORIGINS": "https://app.example.com", "KEYCAIRN_LOG_LEVEL": "debug"}
    async with RealtimeServer() as provider, serving(tmp_path_factory.mktemp("service"), variables) as service:
        await prepared(service, provider)
        yield Place(service, provider)


def frame(
    payload: bytes, opcode: int = 1, *, first: int = 0x80, length: int | None = None, masked: bool = True
) -> bytes:
    """A frame as it goes over the wire; `length` is what it says of itself."""
    size = len(payload) if length is None else length
    head = bytes([first | opcode])
    mark = 0x80 if masked else 0
    if size < 126:
        head += bytes([mark | size])
    elif size < 2**16:
        head += bytes([mark | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mark | 127]) + struct.pack("!Q", size)
    return head + (bytes(4) if masked else b"") + payload


async def works(place: Place) -> None:
    """Others are served as ever."""
    async with connect(place.url, additional_headers=BEARER, proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "session.created"
        await socket.send('{"type": "response.create"}')
        async with asyncio.timeout(5):
            while json.loads(await socket.recv())["type"] != "response.done":
                pass


async def test_a_session_goes_through_and_leaves_no_secret_in_the_log(place: Place) -> None:
    async with connect(f"{place.url}&key={ADMIN}", proxy=None) as socket:
        assert json.loads(await socket.recv())["type"] == "session.created"
    offered = ["realtime", f"openai-insecure-api-key.{ADMIN}"]
    async with connect(place.url, subprotocols=offered, compression="deflate", proxy=None) as socket:  # type: ignore[arg-type]  # plain texts
        assert json.loads(await socket.recv())["type"] == "session.created"
        assert not socket.protocol.extensions
    await asyncio.sleep(0.4)
    log = place.service.log.read_text()
    assert '"realtime"' in log or "api=realtime" in log
    assert ADMIN not in log
    assert KEY not in log


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((OWN,), 101),
        ((OWN, "Origin: http://localhost:PORT"), 101),
        ((OWN, "Origin: https://app.example.com", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: websocket"), 101),
        ((OWN, "Origin: https://evil.example"), 403),
        ((OWN, "Origin: null"), 403),
        ((OWN, "Origin: http://localhost:1"), 403),
        ((OWN, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: websocket"), 403),
        ((OWN, "Origin: https://evil.example", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"), 403),
        ((OWN, "Origin: http://localhost:PORT", "Origin: https://evil.example"), 400),
        ((OWN, OWN), 400),
        ((OWN, "Content-Length: 5"), 400),
        ((OWN, "Expect: 100-continue"), 400),
        ((OWN, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        ((OWN, "Sec-WebSocket-Protocol: a\x01b"), 400),
        ((OWN, "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.kc_other"), 400),
        (("Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.",), 401),
        ((OWN, "Sec-WebSocket-Protocol: realtime, openai-organization.org-1, x-evil"), 101),
    ],
)
async def test_a_handshake_is_judged_as_a_request_is(place: Place, lines: tuple[str, ...], status: int) -> None:
    port = str(place.service.port)
    asked = request("GET", PATH, *HANDSHAKE, *(line.replace("PORT", port) for line in lines), host=f"localhost:{port}")
    (answer,) = await exchange(place.service.port, [asked])
    assert int(answer.split(b" ")[1]) == status, answer
    if status == 101:
        offered = place.provider.handshakes[-1].headers
        assert "Origin" not in offered
        assert offered.get("Sec-WebSocket-Protocol", "realtime") == "realtime"


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/api/credentials", "localhost", 400),
        ("/health/live", "localhost", 400),
        ("/", "localhost", 400),
        (PATH, "evil.example", 400),
        ("/v1/models", "localhost", 404),
        ("/v1//realtime?model=gpt-realtime", "localhost", 400),
        ("/v1/realtime%2f?model=gpt-realtime", "localhost", 400),
    ],
)
async def test_other_paths_open_no_websocket(place: Place, path: str, host: str, status: int) -> None:
    (answer,) = await exchange(place.service.port, [request("GET", path, *HANDSHAKE, OWN, host=host)])
    assert int(answer.split(b" ")[1]) == status, answer


HOSTILE: dict[str, tuple[list[bytes], int | None]] = {
    "a message beyond the bound": ([frame(b"", length=2**40)], 1009),
    "a message just beyond the bound": ([frame(b"", 2, length=2**24 + 1)], 1009),
    "frames that add up beyond the bound": (
        [frame(bytes(2**23), 2, first=0), frame(bytes(2**23), 0, first=0), frame(b"x", 0)],
        1009,
    ),
    "frames of nothing without end": ([frame(b"", 1, first=0), frame(b"", 0, first=0) * 400_000], None),
    "frames of a byte": ([frame(b"x", 1, first=0), frame(b"x", 0, first=0) * 400_000], None),
    "a frame without a mask": ([frame(b"x", masked=False)], 1002),
    "a compressed frame nobody agreed to": ([frame(b"x", first=0xC0)], 1002),
    "an unknown kind of frame": ([frame(b"x", 7)], 1002),
    "a ping in two frames": ([frame(b"x", 9, first=0)], 1002),
    "a ping that is too long": ([frame(bytes(126), 9)], 1002),
    "a continuation of nothing": ([frame(b"x", 0)], 1002),
    "a message within another": ([frame(b"x", 1, first=0), frame(b"x", 1)], 1002),
    "text that is none": ([frame(b"\xff\xfe")], 1007),
    "half a character": ([frame(b"\xc3", 1, first=0), frame(b"", 0)], 1007),
    "an end with a code nobody may send": ([frame(struct.pack("!H", 1005), 8)], 1002),
    "an end of one byte": ([frame(b"x", 8)], 1002),
    "a connection that is left": ([frame(b"x", 1, first=0)], None),
}


@pytest.mark.parametrize("name", by_day(HOSTILE, one_in=2))
async def test_hostile_frames_end_their_own_session_alone(place: Place, name: str) -> None:
    sent, code = HOSTILE[name]
    before = place.service.memory()
    reader, writer = await asyncio.open_connection("localhost", place.service.port, limit=2**24)
    writer.write(request("GET", PATH, *HANDSHAKE, OWN))
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    other = asyncio.create_task(works(place))
    try:
        for piece in sent:
            writer.write(piece)
            async with asyncio.timeout(20):
                await writer.drain()
    except ConnectionError:
        pass
    if code is not None:
        told = await _read_all(reader)
        assert struct.pack("!H", code) in told
    writer.close()
    await other
    await until(lambda: not place.provider.opened)
    assert place.service.memory() < before + 100 * 2**20


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    told = b""
    try:
        async with asyncio.timeout(15):
            while piece := await reader.read(2**16):
                told += piece
    except ConnectionError:
        pass
    return told


async def test_pings_are_answered_and_nothing_of_them_goes_on(place: Place) -> None:
    async with connect(place.url, additional_headers=BEARER, proxy=None) as socket:
        before = len(place.provider.received)
        async with asyncio.timeout(2):
            await (await socket.ping(b"are you there"))
        assert len(place.provider.received) == before


async def test_at_its_end_the_service_says_so_and_counts_what_was_used(tmp_path: Path) -> None:
    async with RealtimeServer() as provider, serving(tmp_path) as service:
        await prepared(service, provider)
        place = Place(service, provider)
        async with connect(place.url, additional_headers=BEARER, proxy=None) as socket:
            await socket.send('{"type": "response.create"}')
            while json.loads(await socket.recv())["type"] != "response.done":
                pass
            os.kill(service.pid, signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as end:
                await asyncio.wait_for(socket.recv(), 5)
            assert end.value.rcvd is not None
            assert end.value.rcvd.code == 1012
        await until(lambda: provider.closes)
        assert provider.closes[0][0] == 1001
        await until(lambda: not Path(f"/proc/{service.pid}").exists() or b"Z" in _state(service.pid), 10)
        log = service.log.read_text()
        assert "unexpected" not in log
        assert "input_tokens=20" in log or '"input_tokens":20' in log


def _state(pid: int) -> bytes:
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
