"""What an account says of its calls, and the outgoing proxy: both clients obey, over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.servers.connect_proxy import connect_proxy
from tests.servers.handling import handling
from tests.tls import make_authority

from keycairn.adapters.guarded_http import GuardedHttp, Trust
from keycairn.adapters.httptools_upstream import HttptoolsUpstream, WayOut
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.egress_proxy import EgressProxy
from keycairn.domain.errors import (
    CannotConnectError,
    EgressRefusedError,
    KeycairnError,
    NotSentError,
    ProviderTimeoutError,
)
from keycairn.domain.options import Options
from keycairn.domain.secret import Secret
from keycairn.ports.http import Request
from keycairn.ports.upstream import UpstreamRequest

KEY = "sk-canary-0123456789"
AUTH = {"authorization": Secret(f"Bearer {KEY}")}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Client = GuardedHttp | HttptoolsUpstream


def upstream(policy: EgressPolicy, **how: Any) -> HttptoolsUpstream:
    """The streaming client, made as the other one is."""
    return HttptoolsUpstream(WayOut(policy, **how))


Make = Callable[..., Client]
BOTH: list[Make] = [GuardedHttp, upstream]


@asynccontextmanager
async def listening(*parts: bytes, pause: float = 0.0, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A provider that answers each request with these parts, a pause before each but the first."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            for number, part in enumerate(parts):
                if number:
                    await asyncio.sleep(pause)
                writer.write(part)
                await writer.drain()

    async with handling(handle, tls) as port:
        yield port


async def here(host: str, port: int) -> Sequence[str]:  # a resolver's
    return ["127.0.0.1"]


async def nowhere(host: str, port: int) -> Sequence[str]:  # a resolver's
    raise OSError


async def ask(client: Client, url: str, options: Options = Options()) -> bytes:  # noqa: B008  # it cannot be changed
    """The body of an answer."""
    try:
        if isinstance(client, GuardedHttp):
            return (await client.send(Request(url=url, headers=AUTH, options=options), deadline=5)).body
        request = UpstreamRequest(method="GET", url=url, headers=[*AUTH.items()], options=options)
        answer = await client.start(request, connect_within=5, answer_within=5)
        return b"".join([chunk async for chunk in answer.chunks()])
    finally:
        await client.aclose()


async def failing(client: Client, url: str, options: Options = Options()) -> KeycairnError:  # noqa: B008  # as above
    with pytest.raises(KeycairnError) as raised:
        await ask(client, url, options)
    assert KEY not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("options", "parts", "late"),
    [
        (Options(first_byte_timeout=0.2), (b"", OK), True),
        (Options(idle_timeout=0.2), (OK[:-1], OK[-1:]), True),
        (Options(total_timeout=0.2), (OK[:-2], b"o", b"k"), True),
        (Options(first_byte_timeout=0.2), (OK[:-1], OK[-1:]), False),
        (Options(first_byte_timeout=3, idle_timeout=3, total_timeout=3), (b"", OK), False),
        (Options(idle_timeout=0.2), (b"", OK), False),
    ],
    ids=["first byte", "idle", "total", "slow body", "in time", "slow head"],
)
async def test_each_limit_of_time_is_kept(
    kind: Make, options: Options, parts: tuple[bytes, ...], *, late: bool
) -> None:
    async with listening(*parts, pause=0.35 if len(parts) == 2 else 0.15) as port:
        client = kind(EgressPolicy())
        begun = asyncio.get_running_loop().time()
        if late:
            assert isinstance(await failing(client, f"http://127.0.0.1:{port}/", options), ProviderTimeoutError)
            assert asyncio.get_running_loop().time() - begun < 0.34
        else:
            assert await ask(client, f"http://127.0.0.1:{port}/", options) == b"ok"


@pytest.mark.parametrize("kind", BOTH)
async def test_an_authority_of_an_account_is_trusted_for_it_alone(kind: Make) -> None:
    authority, other = make_authority("llm.example"), make_authority("other.example")
    mine, theirs = (Options(ca_certificates=one.pem.decode()) for one in (authority, other))
    async with listening(OK, tls=authority.server_context()) as port:
        url = f"https://llm.example:{port}/"
        assert await ask(kind(EgressPolicy(), lookup=here), url, mine) == b"ok"
        client = kind(EgressPolicy(), lookup=here)
        for options in (Options(), theirs):
            assert "TLS" in str(await failing(client, url, options))
        assert "TLS" in str(await failing(kind(EgressPolicy(), lookup=here), f"https://wrong.example:{port}/", mine))


@pytest.mark.parametrize("kind", BOTH)
async def test_a_connection_that_one_account_trusts_is_no_other_accounts(kind: Make) -> None:
    authority = make_authority("llm.example")
    async with listening(OK, tls=authority.server_context()) as port:
        client = kind(EgressPolicy(), lookup=here)
        url = f"https://llm.example:{port}/"
        mine = Options(ca_certificates=authority.pem.decode())
        if isinstance(client, GuardedHttp):
            assert (await client.send(Request(url=url, headers=AUTH, options=mine))).body == b"ok"
        else:
            request = UpstreamRequest(method="GET", url=url, headers=[*AUTH.items()], options=mine)
            answer = await client.start(request, connect_within=5, answer_within=5)
            assert b"".join([chunk async for chunk in answer.chunks()]) == b"ok"
        assert "TLS" in str(await failing(client, url))


@pytest.mark.parametrize("kind", BOTH)
async def test_the_operators_authorities_are_trusted_for_all(kind: Make) -> None:
    authority, more = make_authority("llm.example"), make_authority("other.example")
    async with listening(OK, tls=authority.server_context()) as port:
        url = f"https://llm.example:{port}/"
        for options in (Options(), Options(ca_certificates=more.pem.decode())):
            client = kind(EgressPolicy(), lookup=here, trust=Trust(authority.pem.decode()))
            assert await ask(client, url, options) == b"ok"


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("login", [None, "user:p@ss"])
async def test_a_name_is_reached_through_the_proxy_which_resolves_it(kind: Make, login: str | None) -> None:
    authority = make_authority("llm.example")
    trust = Trust(authority.pem.decode())
    async with listening(OK, tls=authority.server_context()) as port, connect_proxy() as proxy:
        proxy.places["llm.example:443"] = port
        way = EgressProxy("127.0.0.1", proxy.port, Secret(login) if login else None)
        client = kind(EgressPolicy(strict=True), lookup=nowhere, trust=trust, proxy=way)

        assert await ask(client, "https://llm.example/v1") == b"ok"

    assert proxy.asked == ["llm.example:443"]
    assert KEY not in proxy.heads[0], "the proxy sees no key"
    assert ("proxy-authorization: Basic dXNlcjpwQHNz\r\n" in proxy.heads[0]) == (login is not None)


@pytest.mark.parametrize("kind", BOTH)
async def test_the_certificate_is_checked_behind_the_proxy_too(kind: Make) -> None:
    authority = make_authority("llm.example")
    async with listening(OK, tls=authority.server_context()) as port, connect_proxy() as proxy:
        proxy.places |= {"llm.example:443": port, "other.example:443": port}
        way = EgressProxy("127.0.0.1", proxy.port)
        for url, trust in (
            ("https://llm.example/", Trust()),
            ("https://other.example/", Trust(authority.pem.decode())),
        ):
            client = kind(EgressPolicy(), lookup=nowhere, trust=trust, proxy=way)
            assert "TLS" in str(await failing(client, url))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    "url",
    [
        "https://metadata.google.internal/",
        "https://169.254.169.254/",
        "https://llm.example:6379/",
        "https://[::ffff:169.254.169.254]/",
        "https://instance-data.ec2.internal/",
        "http://llm.example/",
    ],
)
async def test_names_and_literal_addresses_are_judged_before_the_proxy_is_asked(kind: Make, url: str) -> None:
    async def public(host: str, port: int) -> Sequence[str]:  # a resolver's
        return ["93.184.216.34"]

    async with connect_proxy() as proxy:
        client = kind(EgressPolicy(), lookup=public, proxy=EgressProxy("127.0.0.1", proxy.port))
        assert isinstance(await failing(client, url), EgressRefusedError)
    assert proxy.heads == []


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "ollama", "llm.local", "llm.corp.internal"])
async def test_what_is_near_is_reached_directly(kind: Make, host: str) -> None:
    authority = make_authority(host)
    async with listening(OK) as plain, connect_proxy() as proxy:
        client = kind(EgressPolicy(), lookup=here, proxy=EgressProxy("127.0.0.1", proxy.port))
        assert await ask(client, f"http://{host}:{plain}/") == b"ok"
        if host != "127.0.0.1":  # the certificate is for a name
            async with listening(OK, tls=authority.server_context()) as port:
                trust = Trust(authority.pem.decode())
                client = kind(EgressPolicy(), lookup=here, trust=trust, proxy=EgressProxy("127.0.0.1", proxy.port))
                assert await ask(client, f"https://{host}:{port}/") == b"ok"
    assert proxy.heads == []


@pytest.mark.parametrize("kind", BOTH)
async def test_a_public_address_goes_through_the_proxy(kind: Make) -> None:
    async with connect_proxy() as proxy:
        client = kind(EgressPolicy(), lookup=nowhere, proxy=EgressProxy("127.0.0.1", proxy.port))
        assert "502" in str(await failing(client, "https://93.184.216.34/"))
    assert proxy.asked == ["93.184.216.34:443"]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", "403"),
        (b"SSH-2.0-x\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 20_000, "does not speak HTTP"),
        (b"HTTP/1.1 200", "closed the connection"),
    ],
    ids=["login", "forbidden", "no http", "more", "endless", "broken off"],
)
async def test_a_proxy_that_opens_no_tunnel_is_named(kind: Make, answer: bytes, said: str) -> None:
    async with connect_proxy() as proxy:
        proxy.answer = answer
        client = kind(EgressPolicy(), lookup=nowhere, proxy=EgressProxy("127.0.0.1", proxy.port))
        error = await failing(client, "https://llm.example/")
    assert isinstance(error, NotSentError if kind is upstream else CannotConnectError)
    assert said in str(error)


@pytest.mark.parametrize("kind", BOTH)
async def test_a_proxy_that_is_not_there_is_named(kind: Make) -> None:
    async with connect_proxy() as proxy:
        pass
    client = kind(EgressPolicy(), lookup=nowhere, proxy=EgressProxy("127.0.0.1", proxy.port))
    assert "proxy cannot be reached" in str(await failing(client, "https://llm.example/"))
