"""What of a provider's answer reaches the client: headers by a list, bodies that were looked into."""

import asyncio
import gzip
import json
import re
import zlib
from contextlib import closing, suppress

import pytest
from tests.gateway_house import GatewayHouse, behind
from tests.servers.raw import answering, raw_server
from tests.spelled import SPELLINGS, recoverable

from keycairn.app.gateway.answer_headers import BYTES, PLAIN, declared
from keycairn.app.security_headers import SECURITY_HEADERS

KEY = "sk-canary-0123456789"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
PASSED = {
    "retry-after": "1",
    "retry-after-ms": "900",
    "x-should-retry": "false",
    "x-request-id": "req_1",
    "request-id": "req_2",
    "openai-processing-ms": "17",
    "anthropic-ratelimit-requests-remaining": "9",
    "x-ratelimit-remaining-tokens": "1000",
}
LEFT_OUT = (
    "Clear-Site-Data",
    "Refresh",
    "Set-Cookie",
    "Location",
    "Link",
    "Alt-Svc",
    "Strict-Transport-Security",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "Server-Timing",
    "NEL",
    "Report-To",
    "Reporting-Endpoints",
    "Service-Worker-Allowed",
    "SourceMap",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Permissions-Policy",
    "Content-Location",
    "Content-Security-Policy-Report-Only",
    "X-Keycairn-Credential",
    "X-Anything",
    "Upgrade",
    "Via",
)


def said(status: str, body: bytes, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "429 Too Many"])
async def test_what_sdks_read_passes_and_what_a_browser_obeys_does_not(house: GatewayHouse, status: str) -> None:
    headers = {**PASSED, **dict.fromkeys(LEFT_OUT, "theirs"), "Cache-Control": "public", "X-Frame-Options": "ALLOWALL"}
    answer_bytes = said(status, b'{"error": {"message": "m"}}', **headers, content_type="application/json")
    async with raw_server(answering(answer_bytes)) as url, await behind(house, url) as client:
        answer = await client.post("/v1/chat/completions", json=BODY)

    assert {name: answer.headers.get(name) for name in PASSED} == PASSED
    assert "theirs" not in answer.headers.values()
    assert {name.decode(): answer.headers.get_list(name.decode()) for name, _ in SECURITY_HEADERS} == {
        name.decode(): [value.decode()] for name, value in SECURITY_HEADERS
    }


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/v1/chat/completions"])
async def test_what_the_gateway_says_itself_is_harmless_too(house: GatewayHouse, path: str) -> None:
    async with raw_server(answering(b"")) as url, await behind(house, url) as client:
        answer = await client.get(path)
    assert all(answer.headers[name.decode()] == value.decode() for name, value in SECURITY_HEADERS)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("text/html", PLAIN),
        ("text/html; charset=utf-8", PLAIN),
        ("TEXT/HTML", PLAIN),
        ("application/xhtml+xml", PLAIN),
        ("image/svg+xml", PLAIN),
        ("text/javascript", PLAIN),
        ("application/json, text/html", PLAIN),
        ("application/json\ttext/html", PLAIN),
        ("", PLAIN),
        ("application/pdf", BYTES),
        ("application/json; charset=utf-8", "application/json; charset=utf-8"),
        ("text/event-stream", "text/event-stream"),
        ("application/vnd.api+json", "application/vnd.api+json"),
        ("audio/mpeg", "audio/mpeg"),
        ("image/png", "image/png"),
    ],
)
def test_nothing_is_declared_as_what_a_browser_runs(theirs: str, ours: str) -> None:
    assert declared(theirs) == ours


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
@pytest.mark.parametrize(
    "line",
    [
        f"content-type: application/json; k={KEY}",
        f"content-type: audio/{KEY}",
        f"content-type: application/{KEY[:9]}; k={KEY[9:]}",
        f"openai-{KEY}: 1",
        f"x-ratelimit-{KEY.encode().hex()}: 1",
        f"dg-{KEY[:10]}: 1\r\ndg-{KEY[10:]}: 2",
        f"openai-version: {KEY[::-1]}",
        f"request-id: {KEY[:8]}\r\nx-request-id: {KEY[8:]}",
        f"content-disposition: attachment; filename={KEY}",
        f"retry-after: {KEY}",
        f"content-type: application/json\r\nopenai-version: {KEY}",
        f"content-type: text/event-stream\r\nrequest-id: {KEY[:8]}\r\nx-request-id: {KEY[8:]}",
    ],
)
async def test_no_header_of_an_answer_holds_a_key_in_name_value_or_type(
    house: GatewayHouse, line: str, status: str
) -> None:
    body = b'{"error": {"message": "m"}}'
    answer_bytes = f"HTTP/1.1 {status}\r\n{line}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    async with raw_server(answering(answer_bytes)) as url, await behind(house, url) as client:
        answer = await client.post("/v1/chat/completions", json=BODY)
    told = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
    assert answer.json()["error"]
    assert not recoverable(KEY, told)
    assert not recoverable(KEY, "\n".join(answer.headers)), "in their names"
    assert not recoverable(KEY, "\n".join(answer.headers.values())), "in their values"


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "GZIP"])
async def test_an_answer_that_is_compressed_unasked_is_unpacked_and_looked_into(
    house: GatewayHouse, coding: str
) -> None:
    text = json.dumps({"content": f"the key is {KEY}", "more": "x" * 5000}).encode()
    packed = zlib.compress(text) if coding == "deflate" else gzip.compress(text)
    async with (
        raw_server(answering(said("200 OK", packed, content_encoding=coding))) as url,
        await behind(house, url) as client,
    ):
        answer = await client.post("/v1/chat/completions", json=BODY, headers={"accept-encoding": "gzip, deflate"})

    assert answer.json()["content"] == f"the key is {'*' * len(KEY)}"
    assert "content-encoding" not in answer.headers


WISHES = ("br", "zstd", "br, zstd, gzip", "gzip;q=0.1, br", "*", "zstd, *;q=0.1", "identity;q=0.5, br;q=1.0", "")


async def test_a_client_that_asks_for_any_encoding_gets_an_answer_it_can_read(house: GatewayHouse) -> None:
    """The stand-in packs what it is asked to pack, in an encoding that nobody here could read."""
    asked: list[list[str]] = []

    async def packing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                size = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(size[1]) if size else 0)
                wishes = re.findall(r"accept-encoding: *([^\r]*)", head, re.IGNORECASE)
                asked.append(wishes)
                text = b'data: {"content": "read"}\n\n' if "/completions" in head else b'{"content": "read"}'
                if any(one in ",".join(wishes) for one in ("br", "zstd", "gzip", "*")):
                    writer.write(said("200 OK", b"\x0b" + text, content_encoding="br"))
                else:
                    writer.write(said("200 OK", text))

    server = await asyncio.start_server(packing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        async with await behind(house, url) as client:
            (account,) = await house.keycairn.store.credentials("default", limit=1)
            for wish in WISHES:
                for path in ("/v1/chat/completions", "/v1/rerank", f"/native/{account.id}/chat/completions"):
                    answer = await client.post(path, json=BODY, headers={"accept-encoding": wish})
                    assert '"read"' in answer.text, (wish, path, answer.status_code, answer.text)
                    assert "content-encoding" not in answer.headers
    finally:
        server.close()
        await server.wait_closed()
    assert asked == [["identity"]] * 3 * len(WISHES)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "identity, br", KEY])
@pytest.mark.parametrize("status", ["200 OK", "500 No"])
async def test_an_answer_in_an_encoding_nobody_knows_is_refused(house: GatewayHouse, coding: str, status: str) -> None:
    async with (
        raw_server(answering(said(status, b"\x1f\x8bwhatever", content_encoding=coding))) as url,
        await behind(house, url) as client,
    ):
        answer = await client.post("/v1/chat/completions", json=BODY, headers={"accept-encoding": coding})

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_garbled")


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_no_spelling_of_the_key_comes_through(house: GatewayHouse, spelling: str) -> None:
    text = SPELLINGS[spelling](KEY)
    plain = text if text.isascii() else ""
    good = f'data: {{"content": "{text}"}}\n\ndata: [DONE]\n\n'.encode()
    bad = f'{{"error": {{"message": "{text}", "{text}": 1}}}}'.encode()
    parts = [
        said("200 OK", good, content_type="text/event-stream", x_request_id=plain, openai_version=plain),
        said("400 Bad", bad, content_type="application/json", x_request_id=plain),
    ]
    told = ""
    for part in parts:
        async with raw_server(answering(part[:-30], part[-30:])) as url, await behind(house, url) as client:
            answer = await client.post("/v1/chat/completions", json=BODY)
            told += f"{answer.status_code} {answer.text} {answer.headers!r}\n"

    assert told.count("x-keycairn-attempts") == 2
    assert not any(recoverable(KEY, line) for line in told.splitlines())


async def test_sound_passes_untouched_and_text_that_is_called_sound_does_not(house: GatewayHouse) -> None:
    sound = b"ID3\x04\x00" + bytes(range(256)) * 40 + KEY.encode()
    text = f'{{"key": "{KEY}"}}'.encode()
    heard = []
    for body in (sound, text):
        async with (
            raw_server(answering(said("200 OK", body, content_type="audio/mpeg"))) as url,
            await behind(house, url) as client,
        ):
            heard.append((await client.post("/v1/chat/completions", json=BODY)).content)

    assert heard[0] == sound
    assert KEY.encode() not in heard[1]


async def test_the_callers_own_token_is_a_secret_of_the_call(house: GatewayHouse) -> None:
    body = f'{{"token": "{house.token}"}}'.encode()
    async with raw_server(answering(said("200 OK", body))) as url, await behind(house, url) as client:
        answer = await client.post("/v1/chat/completions", json=BODY)
    assert house.token not in answer.text
