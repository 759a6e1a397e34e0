"""Passing an answer on to the client."""

from collections.abc import Callable
from contextlib import aclosing

import msgspec
from litestar.types import Send

from keycairn.app.gateway.call import Call, Report
from keycairn.app.gateway.errors import Dialect, render
from keycairn.app.gateway.exchange import Exchange
from keycairn.app.gateway.headers import returned
from keycairn.app.gateway.masking import ContentMask, masked
from keycairn.app.gateway.watch import Watch
from keycairn.domain.errors import GarbledAnswerError, KeycairnError, ProviderError

LARGEST_ERROR = 2**20
"""Bytes of a provider's error that are read, to mask secrets in it."""


class BrokenOffError(Exception):
    """The answer ended too early, after its beginning was passed on: the client's connection must be cut."""


async def pass_on(
    exchange: Exchange, call: Call, report: Report, send: Send, dialect: Dialect, elapsed: Callable[[], float]
) -> None:
    """Send the answer as it comes. Raises KeycairnError before the first byte, BrokenOffError after."""
    answer = exchange.answer
    if 300 <= answer.status < 400:
        raise ProviderError("The provider answered with a redirect, which is not followed.", status=answer.status)
    headers = returned(answer.headers, exchange.secrets)
    said = dict(headers)
    encoding = said.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    plain = encoding in {"", "identity"}
    if not plain and (answer.status >= 400 or encoding not in call.accepts.lower()):
        raise GarbledAnswerError("The provider's answer is compressed, which was not asked for.", status=answer.status)
    headers += marks(report)
    report.status = answer.status
    if answer.status >= 400:
        await _pass_error(exchange, headers, report, send, dialect)
        return
    report.begun = True
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    try:
        await _pass_content(exchange, _length(said), report, send, elapsed, counted=plain)
    except KeycairnError as error:
        report.code = error.code
        await _break_off(error, headers, send, dialect)
        raise BrokenOffError from None


async def _pass_content(
    exchange: Exchange, left: int | None, report: Report, send: Send, elapsed: Callable[[], float], *, counted: bool
) -> None:
    """The body as it comes. The last chunk, where its length was announced, goes out together with the end."""
    watch, mask = Watch(), ContentMask(exchange.secrets)
    passing = b""
    try:
        async with aclosing(exchange.answer.chunks()) as chunks:
            async for chunk in chunks:
                if report.first_byte is None:
                    report.first_byte = elapsed()
                watch.see(chunk)
                passing = mask.see(chunk)
                if left is not None:
                    left -= len(chunk)
                    if left <= 0:
                        break
                if passing:
                    await send({"type": "http.response.body", "body": passing, "more_body": True})
            else:
                passing = b""
    finally:
        if counted:
            report.input_tokens, report.output_tokens = watch.tokens()
    await send({"type": "http.response.body", "body": passing + mask.rest(), "more_body": False})


def marks(report: Report) -> list[tuple[bytes, bytes]]:
    """The headers that say what the gateway decided."""
    found = [(b"x-keycairn-attempts", str(report.attempts).encode())]
    if report.credential:
        found.append((b"x-keycairn-credential", report.credential.encode()))
    return found


async def _pass_error(
    exchange: Exchange, headers: list[tuple[bytes, bytes]], report: Report, send: Send, dialect: Dialect
) -> None:
    """The provider's refusal, whole, so that no secret is missed where two chunks meet."""
    answer = exchange.answer
    body = bytearray()
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > LARGEST_ERROR:
                raise ProviderError(
                    "The provider answered with an error longer than can be shown.", status=answer.status
                )
    shown = _error_object(bytes(body))
    report.code = "provider_error"
    kept = [(name, value) for name, value in headers if name != b"content-length"]
    if shown is None:
        _, _, shown = render(_OpaqueError(answer.status), dialect)
        kept = [(name, value) for name, value in kept if name != b"content-type"]
        kept.append((b"content-type", b"application/json"))
    shown = masked(shown, exchange.secrets)
    kept += [(b"x-keycairn-error", b"provider_error"), (b"content-length", str(len(shown)).encode())]
    report.begun = True
    await send({"type": "http.response.start", "status": answer.status, "headers": kept})
    await send({"type": "http.response.body", "body": shown, "more_body": False})


class _OpaqueError(ProviderError):
    def __init__(self, status: int) -> None:
        super().__init__(f"The provider answered with status {status} and no readable reason.", status=status)


def _error_object(body: bytes) -> bytes | None:
    """The JSON object a provider's error is, None for anything else, such as the page of a proxy in between.

    Google's OpenAI-compatible API puts the object into a list, where no client finds it.
    """
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    if isinstance(decoded, list) and len(decoded) == 1 and isinstance(decoded[0], dict):
        return msgspec.json.encode(decoded[0])
    return body if isinstance(decoded, dict) else None


async def _break_off(error: KeycairnError, headers: list[tuple[bytes, bytes]], send: Send, dialect: Dialect) -> None:
    """Tell the reader of an event stream, in the way its API does, before the connection is cut."""
    kind = next((value for name, value in headers if name == b"content-type"), b"")
    if not kind.startswith(b"text/event-stream"):
        return
    _, _, body = render(error, dialect)
    name = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
    event = b"\n\n" + name + b"data: " + body + b"\n\n"
    await send({"type": "http.response.body", "body": event, "more_body": True})


def _length(headers: dict[bytes, bytes]) -> int | None:
    text = headers.get(b"content-length", b"")
    return int(text) if text.isdigit() and len(text) < 16 else None
