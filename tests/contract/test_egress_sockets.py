"""What reaches the operating system: every address a socket is told to connect to is recorded, and none is reached."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from tests.egress import CASES, CATEGORIES, TLS, Case, each, resolver

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.errors import CannotConnectError, EgressRefusedError, UrlRefusedError
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url
from keycairn.ports.http import Request

AUTH = {"Authorization": Secret("Bearer sk-canary-0123456789")}
REDIRECTS = [case["redirect_to"] for case in CASES if case["cat"] == "redirect"]


class Watch:
    """Sees, by the interpreter's audit events, where sockets connect and send, and lets only `through` pass."""

    def __init__(self) -> None:
        self.on = False
        self.through: tuple[str, int] | None = None
        self.reached: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if self.on and event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            address = details[1]
            self.reached.append(address[0])
            if address[:2] != self.through:
                message = "recorded"
                raise ConnectionRefusedError(message)
        elif self.on and event == "socket.getaddrinfo" and not str(details[0]).replace(".", "").isdigit():
            self.reached.append(f"asked for {details[0]}")


_watch = Watch()


@contextmanager
def watching(through: tuple[str, int] | None = None) -> Iterator[list[str]]:
    _watch.on, _watch.through, _watch.reached = True, through, []
    try:
        yield _watch.reached
    finally:
        _watch.on = False


@pytest.mark.parametrize("strict", [False, True], ids=["self-hosted", "strict"])
@pytest.mark.parametrize("category", CATEGORIES)
async def test_no_socket_is_told_to_connect_to_a_forbidden_address(category: str, *, strict: bool) -> None:
    await each(category, partial(connects_where_it_may, strict=strict), strict=strict)


async def connects_where_it_may(case: Case, *, strict: bool) -> None:
    client = GuardedHttp(EgressPolicy(strict=strict), lookup=resolver(case), tls=TLS)
    outcomes: list[type[Exception]] = []
    with watching() as reached:
        for _ in range(2 if "dns_seq" in case else 1):
            # Without `vet`: the moment of use must hold on its own.
            try:
                await client.send(Request(url=case["url"], headers=AUTH), deadline=1)
            except (EgressRefusedError, CannotConnectError) as error:
                outcomes.append(type(error))
    await client.aclose()

    if case["verdict"] == "allow":
        host = parse_url(case["url"]).host
        assert reached == case.get("dns", {}).get(host, [host]), case["why"]
        assert outcomes == [CannotConnectError]
    elif case["cat"] == "rebind":
        assert reached == ["8.8.8.8"]
        assert outcomes == [CannotConnectError, EgressRefusedError]
    elif outcomes == [CannotConnectError]:
        # A base URL may be refused for what would be appended to it, while the same text as a request is harmless.
        with pytest.raises(UrlRefusedError):
            client.vet(case["url"])
        assert case["cat"] in {"base-url", "control", "further"}, case["why"]
        assert set(reached) <= {"8.8.8.8", "127.0.0.1", "93.184.216.34"}
    else:
        assert outcomes == [EgressRefusedError]
        assert reached == [], case["why"]


@pytest.fixture
async def moved() -> AsyncIterator[tuple[list[str], int]]:
    """A server that answers every request with a redirect to the last location of its list."""
    locations: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {locations[-1]}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield locations, server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize("location", REDIRECTS)
async def test_a_redirect_is_an_answer_and_not_an_instruction(location: str, moved: tuple[list[str], int]) -> None:
    locations, port = moved
    locations.append(location)
    client = GuardedHttp(EgressPolicy())
    with watching(through=("127.0.0.1", port)) as reached:
        answer = await client.send(Request(url=f"http://127.0.0.1:{port}/v1", headers=AUTH), deadline=1)
    await client.aclose()
    assert (answer.status, answer.headers["location"]) == (302, location)
    assert reached == ["127.0.0.1"]


async def test_the_record_would_show_a_connection() -> None:
    with watching() as reached, pytest.raises(ConnectionRefusedError, match="recorded"):
        await asyncio.open_connection("127.0.0.1", 9)
    assert reached == ["127.0.0.1"]
