"""The guarded client, over real sockets wherever one may be opened."""

import asyncio
import gzip
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography.x509 import Certificate
from tests.tls import make_authority

from keycairn.adapters.guarded_http import GuardedHttp
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
from keycairn.ports.http import Request

KEY = "sk-canary-0123456789"
AUTH = {"Authorization": Secret(f"Bearer {KEY}")}
with Path(__file__).parents[1].joinpath("data/egress_cases.jsonl").open() as _lines:
    CASES = [json.loads(line) for line in _lines]

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


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["cat"])
async def test_no_byte_goes_to_a_forbidden_address(case: dict[str, Any], *, strict: bool) -> None:
    if case["policy"] not in ("both", "strict" if strict else "self-hosted"):
        pytest.skip("a case of the other policy")
    sequence = {host: [*answers] for host, answers in case.get("dns_seq", {}).items()}

    async def lookup(host: str, port: int) -> Sequence[str]:
        if host in sequence:
            answers: list[str] = sequence[host].pop(0) if len(sequence[host]) > 1 else sequence[host][0]
            return answers
        return case.get("dns", {}).get(host, ["93.184.216.34"])

    recorder = Recorder()
    client = GuardedHttp(EgressPolicy(strict=strict), lookup=lookup, connect=recorder)
    url = case.get("redirect_to") or case["url"]
    for _ in range(2):
        try:
            client.vet(url)
            await client.send(Request(url=url, headers=AUTH), deadline=1)
        except (UrlRefusedError, EgressRefusedError, CannotConnectError):
            pass

    if case["verdict"] == "allow":
        assert recorder.opened, case["why"]
    elif case["cat"] == "rebind":
        assert recorder.opened == ["8.8.8.8"]
    elif "evil" not in url and "hop" not in url:
        assert recorder.opened == [], case["why"]


async def test_a_redirect_is_an_answer_and_not_an_instruction(http: GuardedHttp) -> None:
    hits: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hits.append(await reader.readuntil(b"\r\n\r\n"))

    async with listening(elsewhere) as trap:
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{trap}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with listening(answering(moved)) as port:
            answer = await http.send(Request(url=f"http://127.0.0.1:{port}/", headers=AUTH))
    assert (answer.status, hits) == (302, [])


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
        async with listening(answering(OK), authority.server_context()) as port:
            request = Request(url=f"https://{name}:{port}/", headers=AUTH)
            if good:
                assert (await client.send(request)).status == 200
            else:
                with pytest.raises(CannotConnectError, match="TLS"):
                    await client.send(request)
        await client.aclose()

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
        (answering(), CannotConnectError),
    ],
    ids=["slow body", "slow head", "endless body", "huge header", "not http", "truncated", "silence"],
)
async def test_a_hostile_answer_ends_in_a_typed_error_in_time(handler: Handler, error: type[KeycairnError]) -> None:
    client = GuardedHttp(EgressPolicy(), largest_answer=100_000)
    async with listening(handler) as port:
        with pytest.raises(error) as raised:
            await client.send(Request(url=f"http://127.0.0.1:{port}/", headers=AUTH), deadline=0.3)
    await client.aclose()
    assert type(raised.value) is error
    assert KEY not in repr(raised.value) + str(raised.value.__cause__) + str(raised.value.__context__)


async def test_a_compressed_answer_is_refused_before_it_is_unfolded(http: GuardedHttp) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with listening(answering(head, bomb)) as port:
        with pytest.raises(GarbledAnswerError, match="compressed"):
            await http.send(Request(url=f"http://127.0.0.1:{port}/"))


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


async def test_a_service_that_listens_everywhere_is_not_called_by_any_of_its_addresses() -> None:
    async with listening(answering(OK)) as port:
        client = GuardedHttp(EgressPolicy(own=(("0.0.0.0", port),), allow=parse_allow(["127.0.0.0/8"])))
        with pytest.raises(EgressRefusedError):
            await client.send(Request(url=f"http://127.0.0.1:{port}/"))


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
