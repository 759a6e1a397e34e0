"""The door of a real service: what it takes in, from whom, and what strangers leave behind."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.flood import ADMIN, KINDS, Service, bearer, exchange, flood, request, serving

API, GATEWAY = "/api/credentials", "/v1/models"
EVERY_DOOR = (API, GATEWAY, "/native/credential:none/models", "/anthropic/v1/models")
OWN = bearer()


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    variables = {
        "KEYCAIRN_CORS_ORIGINS": "https://app.example.com",
        "KEYCAIRN_PUBLIC_URL": "https://keys.example.com/cairn",
    }
    async with serving(tmp_path_factory.mktemp("service"), variables) as running:
        yield running


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def chunked(path: str, *lines: str, trailers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return (head + "".join(f"{line}\r\n" for line in lines) + f"\r\n2\r\n{{}}\r\n0\r\n{trailers}\r\n").encode("latin-1")


CHUNKED = "Transfer-Encoding: chunked"
AMBIGUOUS: dict[str, tuple[bytes, set[int]]] = {
    "two tokens": (request("GET", "PATH", OWN, bearer("kc_other")), {400}),
    "one token twice": (request("GET", "PATH", OWN, OWN), {400}),
    "two hosts": (request("GET", "PATH", OWN, "Host: localhost"), {400}),
    "no host": (f"GET PATH HTTP/1.1\r\n{OWN}\r\n\r\n".encode(), {400}),
    "two lengths": (request("POST", "PATH", OWN, "Content-Length: 0", "Content-Length: 0"), {400}),
    "two ranges": (request("GET", "PATH", OWN, "Range: bytes=0-1", "Range: bytes=2-3"), {400}),
    "two lines of cookies": (request("GET", "PATH", OWN, "Cookie: a=b", "Cookie: a=c"), {400}),
    "two keys of repetition": (request("GET", "PATH", OWN, "Idempotency-Key: a", "Idempotency-Key: b"), {400}),
    "another host beside": (request("GET", "PATH", OWN, "Host: evil.example"), {400}),
    "two types": (request("GET", "PATH", OWN, "Content-Type: a/b", "Content-Type: c/d"), {400}),
    "a signed length": (request("POST", "PATH", OWN, "Content-Length: +0"), {400}),
    "a length in hex": (request("POST", "PATH", OWN, "Content-Length: 0x0"), {400}),
    "a length and chunks": (chunked("PATH", OWN, CHUNKED, "Content-Length: 2"), {400}),
    "chunks twice": (chunked("PATH", OWN, CHUNKED, CHUNKED), {400}),
    "compressed chunks": (chunked("PATH", OWN, "Transfer-Encoding: gzip, chunked"), {501}),
    "chunks of another kind": (chunked("PATH", OWN, "Transfer-Encoding: xchunked"), {400, 501}),
    "chunks in HTTP/1.0": (chunked("PATH", OWN, CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0"), {400}),
    "a compressed body": (chunked("PATH", OWN, CHUNKED, "Content-Encoding: gzip"), {415}),
    "an expectation": (request("GET", "PATH", OWN, "Expect: 200-ok"), {417}),
    "an upgrade": (request("GET", "PATH", OWN, "Connection: Upgrade", "Upgrade: websocket"), {400}),
    "an upgrade to HTTP/2": (request("GET", "PATH", OWN, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), {400}),
    "a folded header": (request("GET", "PATH", "Authorization: Bearer", f" {ADMIN}"), {400}),
    "a space before the colon": (request("GET", "PATH", f"Authorization : Bearer {ADMIN}"), {400}),
    "a control in a header": (request("GET", "PATH", OWN, "X-A: a\x01b"), {400}),
    "a NUL in a header": (request("GET", "PATH", OWN, "X-A: a\0b"), {400}),
    "a lone CR": (request("GET", "PATH", OWN, "X-A: a\rb: c"), {400}),
    "lone LFs": (request("GET", "PATH", OWN).replace(b"\r\n", b"\n"), {400}),
    "a whole URL": (request("GET", "http://localhostPATH", OWN), {400}),
    "another's URL": (request("GET", "http://evil.examplePATH", OWN), {400}),
    "an authority": (request("CONNECT", "evil.example:443", OWN), {400}),
    "an asterisk": (request("OPTIONS", "*", OWN), {400}),
    "a fragment": (request("GET", "PATH#x", OWN), {400}),
    "a control in the path": (request("GET", "PATH\x01", OWN), {400}),
    "letters beyond ASCII": (request("GET", "PATH\xe9", OWN), {400}),
    "two slashes before": (request("GET", "/PATH", OWN), {400, 404}),
    "HTTP/0.9": (b"GET PATH\r\n\r\n", {400}),
    "HTTP/1.2": (request("GET", "PATH", OWN).replace(b"HTTP/1.1", b"HTTP/1.2"), {400}),
    "RTSP": (request("DESCRIBE", "PATH", OWN).replace(b"HTTP/1.1", b"RTSP/1.0"), {400, 404, 405, 501}),
    "a long target": (request("GET", f"PATH?{'a' * 9000}", OWN), {414}),
    **{
        f"the path {ending}": (request("GET", f"PATH{ending}", OWN), {400, 404})
        for ending in (
            *("/..", "/../x", "/%2e%2e/x", "/%252e%252e/x", "/x%00", "/%c0%ae/x", "/x%2fy", "/x%5cy", "/x\\y", "/x;y"),
            *("//x", "/%78", "/x%3by", "/x%0d%0ay", "/x%zz", "/%ef%bc%8e%ef%bc%8e/x", "/x%7f"),
        )
    },
}


@pytest.mark.parametrize("path", EVERY_DOOR)
async def test_an_ambiguous_request_is_refused_on_every_door(service: Service, path: str) -> None:
    wrong = {}
    for name, (sent, expected) in AMBIGUOUS.items():
        (answer,) = await service.send(sent.replace(b"PATH", path.encode()))
        # Below /v1/models stands the name of a model, which may hold a slash, and is not there.
        if status(answer) not in expected:
            wrong[name] = answer[:200]
    assert wrong == {}
    (health,) = await service.send(request(path="/health/live"))
    assert status(health) == 200


@pytest.mark.parametrize(
    "garbled",
    [b"G\x01T / HTTP/1.1\r\n\r\n", chunked("/", "Transfer-Encoding: xchunked"), b"GET / HTTP/1.1\r\nA b\r\n\r\n"],
)
async def test_what_was_asked_before_something_garbled_is_answered_in_its_turn(
    service: Service, garbled: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(request("GET", API, OWN) + request("GET", "/health/live") + garbled + request("GET", "/health/live"))
    async with asyncio.timeout(5):
        answers = await reader.read()
    writer.close()
    assert answers.startswith(b"HTTP/1.1 200 OK")
    assert answers.count(b"HTTP/1.1 ") == 2
    assert answers.endswith(b'{"status":"ok","service":"keycairn"}')


@pytest.mark.parametrize("path", [API, GATEWAY, "/v1/chat/completions"])
async def test_a_trailer_is_no_header(service: Service, path: str) -> None:
    trailers = f"{OWN}\r\nX-Api-Key: {ADMIN}\r\nContent-Type: text/plain\r\n"
    for declared in ((), ("Trailer: Authorization",)):
        stranger, known = await service.send(
            chunked(path, CHUNKED, *declared, trailers=trailers),
            chunked(path, CHUNKED, OWN, *declared, trailers=f"{bearer('kc_other')}\r\nX-Request-Id: trailed\r\n"),
        )
        assert status(stranger) == 401
        assert status(known) not in {0, 401, 415}
        assert b"ambiguous" not in known
        assert b"trailed" not in known


async def test_trailers_without_end_are_cut_off(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(chunked(API, CHUNKED, OWN)[:-2] + b"X-A: ")
    sent = 0
    try:
        async with asyncio.timeout(10):
            while sent < 2**24 and not reader.at_eof():
                writer.write(b"a" * 65536)
                await writer.drain()
                sent += 65536
                await asyncio.sleep(0)
    except ConnectionError:
        pass
    finally:
        writer.close()
    assert sent < 2**24


async def test_several_headers_with_different_tokens_are_refused_by_the_gateway(service: Service) -> None:
    both, differing, query = await service.send(
        request("GET", GATEWAY, OWN, f"X-Api-Key: {ADMIN}"),
        request("GET", GATEWAY, OWN, "X-Goog-Api-Key: AIza"),
        request("GET", f"/native/credential:none/models?key={ADMIN}", OWN),
    )
    assert [status(answer) for answer in (both, differing, query)] == [200, 400, 400]
    assert ADMIN.encode() not in differing + query


FOREIGN: dict[str, tuple[str, ...]] = {
    "another origin": ("Origin: https://evil.example",),
    "an origin of its own": ("Origin: null",),
    "another port": ("Origin: http://localhost:3000",),
    "no-cors": ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"),
    "a neighbour": ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"),
    "a frame": ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
}


@pytest.mark.parametrize("path", [*EVERY_DOOR, "/openapi", "/metrics", "/nowhere"])
async def test_requests_of_foreign_pages_are_refused_at_once(service: Service, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        for lines in FOREIGN.values():
            (answer,) = await service.send(request(method, path, *lines, OWN, "Content-Length: 0"))
            assert status(answer) == 403
            assert b"foreign_origin" in answer
            assert b"access-control-allow-origin" not in answer
    (health,) = await service.send(request("GET", "/health/live", *FOREIGN["no-cors"]))
    assert status(health) == 200


async def test_a_visitor_may_be_sent_here_and_pages_of_ours_may_ask(service: Service) -> None:
    navigate = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    visitor, posted, own, public = await service.send(
        request("GET", "/openapi", *navigate),
        request("POST", API, *navigate, OWN, "Content-Length: 0"),
        request("GET", API, OWN, "Origin: http://localhost", "Sec-Fetch-Site: same-origin"),
        request("GET", API, OWN, "Origin: https://keys.example.com", host="keys.example.com"),
    )
    assert [status(answer) for answer in (visitor, posted, own, public)] == [200, 403, 200, 200]


@pytest.mark.parametrize("path", [API, GATEWAY])
async def test_a_page_of_the_list_may_call_api_and_gateway(service: Service, path: str) -> None:
    page = "Origin: https://app.example.com"
    asked, got, refused, plain = await service.send(
        request(
            *("OPTIONS", path, page, "Sec-Fetch-Site: cross-site", "Access-Control-Request-Method: GET"),
            "Access-Control-Request-Headers: authorization,content-type",
        ),
        request("GET", path, page, "Sec-Fetch-Site: cross-site", OWN),
        request("GET", path, page, bearer("kc_wrong")),
        request("GET", path, OWN),
    )
    assert [status(answer) for answer in (asked, got, refused, plain)] == [204, 200, 401, 200]
    assert b"access-control-allow-headers: authorization, content-type\r\n" in asked
    for answer in (asked, got, refused):
        assert answer.count(b"access-control-allow-origin: https://app.example.com\r\n") == 1
        assert b"access-control-allow-credentials" not in answer
    for answer in (asked, got, refused, plain):
        assert b"vary: Origin" in answer
    assert b"access-control-allow-origin" not in plain


async def test_links_and_the_document_lead_to_the_public_address(service: Service) -> None:
    (document,) = await service.send(request("GET", "/openapi/openapi.json"))
    assert b'"servers":[{"url":"https://keys.example.com/cairn"}]' in document
    (page,) = await service.send(request("GET", "/api/audit?limit=1", OWN, host="keys.example.com"))
    assert b"link: <https://keys.example.com/cairn/api/audit?" in page


async def test_without_trusted_proxies_nobodys_word_counts(service: Service) -> None:
    for number in range(30):
        await service.send(request("GET", API, bearer(f"kc_{number}"), f"X-Forwarded-For: 198.51.100.{number}"))
    (answer,) = await service.send(request("GET", API, bearer("kc_x"), "X-Forwarded-For: 198.51.100.200"))
    assert status(answer) == 429


async def test_a_valid_token_is_not_kept_out_by_others_and_neither_after_a_restart(tmp_path: Path) -> None:
    created = b""
    for start in range(2):
        async with serving(tmp_path) as service:
            if not created:
                body = b'{"name": "app", "scopes": ["invoke", "credentials:read"]}'
                head = request(
                    "POST", "/api/tokens", OWN, "Content-Type: application/json", f"Content-Length: {len(body)}"
                )
                (answer,) = await service.send(head + body)
                created = answer.partition(b'"token":"')[2].partition(b'"')[0]
                assert created.startswith(b"kc_")
            guesses = [request("GET", path, bearer(f"kc_{n}")) for n in range(20) for path in (API, GATEWAY)]
            nothing = [request("GET", path) for path in (API, GATEWAY)] * 20
            answers = await service.send(*nothing, *guesses)
            assert {status(answer) for answer in answers[:40]} == {401}, "no token is no guess"
            assert [status(answer) for answer in answers[40:]] == [401] * 20 + [429] * 20
            for token in (created.decode(), ADMIN):
                good = await service.send(*(request("GET", path, bearer(token)) for path in (API, GATEWAY)))
                assert [status(answer) for answer in good] == [200, 200], f"start {start}"


REQUESTS = int(os.environ.get("KEYCAIRN_TEST_STRANGERS", "250"))
"""Of each kind. benchmarks/strangers.py sends ten thousand."""
MOST_GROWTH = 5 * 2**20


@pytest.mark.night
@pytest.mark.timeout(1800)
async def test_what_strangers_cause_is_bounded(tmp_path: Path) -> None:
    async with serving(tmp_path, {"KEYCAIRN_TRUSTED_PROXIES": "127.0.0.1"}) as service:
        for make in KINDS.values():
            await flood(service, 40, make)
        memory, disk = service.memory(), service.disk()
        for make in KINDS.values():
            await flood(service, REQUESTS, make)
        assert service.memory() - memory < MOST_GROWTH
        assert service.disk() - disk < MOST_GROWTH
        (events,) = await exchange(service.port, [request("GET", "/api/audit?action=access.refused", OWN)])
    assert service.log.read_text().count('"event": "request"') < 100, "one line each would be a thousand"
    assert service.disk() - disk < MOST_GROWTH, "also when it has written everything down"
    assert b"xxxx" not in events
    assert b"xxxx" not in service.log.read_bytes()
