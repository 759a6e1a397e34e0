"""Passing an answer on to the client."""

from collections.abc import Callable
from contextlib import aclosing

import msgspec
from litestar.types import Send

from keycairn.app.gateway.answer_headers import is_media, returned
from keycairn.app.gateway.attempt import Exchange
from keycairn.app.gateway.call import Call, Report
from keycairn.app.gateway.errors import Dialect, render
from keycairn.app.gateway.masking import ContentMask, is_packed, is_text
from keycairn.app.gateway.stream_usage import UsageEventFilter
from keycairn.app.gateway.usage_scanner import UsageScanner
from keycairn.domain.errors import GarbledAnswerError, KeycairnError, ProviderError
from keycairn.domain.modality import Modality

LARGEST_ERROR = 2**20
"""Bytes of a provider's error that are read, to mask secrets in it."""


_OF_THE_BODY = frozenset({b"content-length", b"content-type", b"content-disposition", b"content-language"})


class BrokenOffError(Exception):
    """The answer ended too early, after its beginning was passed on: the client's connection must be cut."""


async def pass_on(
    exchange: Exchange, call: Call, report: Report, send: Send, dialect: Dialect, elapsed: Callable[[], float]
) -> None:
    """Send the answer as it comes, and note in `report` what it says of tokens.

    Raises KeycairnError before the first byte, BrokenOffError after.
    """
    answer = exchange.answer
    if 300 <= answer.status < 400:
        raise ProviderError("The provider answered with a redirect, which is not followed.", status=answer.status)
    headers = returned(answer.headers, exchange.redactor)
    headers += marks(report)
    report.status = answer.status
    if answer.status >= 400:
        await _pass_error(exchange, headers, report, send, dialect)
        return
    report.begun = True
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    try:
        await _pass_content(exchange, call, headers, report, send, elapsed)
    except KeycairnError as error:
        report.code = error.code
        await _break_off(error, headers, send, dialect)
        raise BrokenOffError from None


async def _pass_content(
    exchange: Exchange,
    call: Call,
    headers: list[tuple[bytes, bytes]],
    report: Report,
    send: Send,
    elapsed: Callable[[], float],
) -> None:
    """The body as it comes. The last chunk, where its length was announced, goes out together with the end."""
    kind = next((value for name, value in headers if name == b"content-type"), b"")
    usage, mask, left = UsageScanner(kind), ContentMask(exchange.redactor), _length(headers)
    unasked = UsageEventFilter() if exchange.usage_asked and kind.startswith(b"text/event-stream") else None
    media = is_media(headers)
    passing = b""
    try:
        async with aclosing(exchange.answer.chunks()) as chunks:
            async for chunk in chunks:
                if report.first_byte is None:
                    report.first_byte = elapsed()
                    media = media and not is_text(chunk)
                    if not media and is_packed(chunk):
                        raise GarbledAnswerError(status=exchange.answer.status)
                usage.see(chunk)
                left = None if left is None else left - len(chunk)
                last = left is not None and left <= 0
                passing = unasked.see(chunk) if unasked else chunk
                passing = passing if media else mask.see(passing, last=last)
                if last:
                    break
                if passing:
                    await send({"type": "http.response.body", "body": passing, "more_body": True})
            else:
                passing = mask.see(unasked.rest()) if unasked else b""
    finally:
        uses = call.api.uses_tokens
        report.used = usage.counted(sent=report.sent, estimates=uses, answers=call.api.type is not Modality.EMBEDDING)
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
    shown = exchange.redactor.masked_json(shown) if shown is not None else None
    report.code = "provider_error"
    kept = [(name, value) for name, value in headers if name not in _OF_THE_BODY]
    if shown is None:
        why = f"The provider answered with status {answer.status} and no readable reason."
        _, _, shown = render(ProviderError(why, status=answer.status), dialect)
    kept.append((b"content-type", b"application/json"))
    kept += [(b"x-keycairn-error", b"provider_error"), (b"content-length", str(len(shown)).encode())]
    report.begun = True
    await send({"type": "http.response.start", "status": answer.status, "headers": kept})
    await send({"type": "http.response.body", "body": shown, "more_body": False})


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


def _length(headers: list[tuple[bytes, bytes]]) -> int | None:
    text = next((value for name, value in headers if name == b"content-length"), b"")
    return int(text) if text.isdigit() and len(text) < 16 else None
