"""Passing an answer on to the client."""

from collections.abc import Callable
from contextlib import aclosing

import msgspec
from litestar.types import Send
from msgspec import Struct

from keycairn.app.gateway.answer_edits import Edit, EventEdits, WholeEdits
from keycairn.app.gateway.answer_headers import is_media, returned
from keycairn.app.gateway.attempt import Exchange
from keycairn.app.gateway.call import Call, Report
from keycairn.app.gateway.errors import render
from keycairn.app.gateway.masking import SLICE, ContentMask, is_packed, is_text
from keycairn.app.gateway.resource_ids import SHORTEST_ID, IdEdit, ResultsEdit
from keycairn.app.gateway.stream_usage import UsageEdit
from keycairn.app.gateway.usage_scanner import UsageScanner
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import GarbledAnswerError, KeycairnError, ProviderError
from keycairn.domain.outcome import Outcome

LARGEST_ERROR = 2**20
"""Bytes of a provider's error that are read, to mask secrets in it."""

_OF_THE_BODY = frozenset({b"content-length", b"content-type", b"content-disposition", b"content-language"})


class BrokenOffError(Exception):
    """The answer ended too early, after its beginning was passed on: the client's connection must be cut."""


class PassedAnswer(Struct, frozen=True):
    """What is passed on, of which call and in whose dialect. `hold` counts bytes that are held, and may refuse."""

    exchange: Exchange
    call: Call
    report: Report
    dialect: Dialect
    hold: Callable[[int], None]


async def pass_on(passing: PassedAnswer, send: Send, elapsed: Callable[[], float]) -> None:
    """Send the answer as it comes, and note in the report what it says of tokens.

    Raises KeycairnError before the first byte, BrokenOffError after.
    """
    exchange, call, report, dialect = passing.exchange, passing.call, passing.report, passing.dialect
    answer = exchange.answer
    if 300 <= answer.status < 400:
        raise ProviderError("The provider answered with a redirect, which is not followed.", status=answer.status)
    headers = returned(answer.headers, exchange.redactor)
    headers += marks(report)
    report.status = answer.status
    if answer.status >= 400:
        await _pass_error(exchange, headers, call, report, send, dialect)
        return
    kind, length = _body_of(headers)
    edits = _edits(passing, kind)
    if edits is not None:
        headers, length = [pair for pair in headers if pair[0] != b"content-length"], None
    report.begun = True
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    try:
        await _pass_content(passing, edits, kind, length, send, elapsed)
    except KeycairnError as error:
        report.code = error.code
        await _break_off(error, kind, send, dialect, report.id)
        raise BrokenOffError from None


async def _pass_content(
    passing: PassedAnswer,
    edits: EventEdits | WholeEdits | None,
    kind: bytes,
    left: int | None,
    send: Send,
    elapsed: Callable[[], float],
) -> None:
    """The body as it comes. The last chunk, where its length (`left`) was announced, goes out together with the end."""
    exchange, call, report = passing.exchange, passing.call, passing.report
    usage, mask, media = UsageScanner(kind), ContentMask(exchange.redactor), is_media(kind)
    ready = b""
    chunks = exchange.answer.chunks()
    try:
        async for chunk in chunks:
            if report.first_byte is None:
                report.first_byte = elapsed()
                media = media and not is_text(chunk)
                if not media and is_packed(chunk):
                    raise GarbledAnswerError(status=exchange.answer.status)
            usage.see(chunk)
            left = None if left is None else left - len(chunk)
            last = left is not None and left <= 0
            ready = chunk if edits is None else edits.see(chunk)
            if not media:
                ready = mask.see(ready, last=last) if len(ready) <= SLICE else await mask.see_long(ready, last=last)
            if last:
                break
            if ready:
                await send({"type": "http.response.body", "body": ready, "more_body": True})
        else:
            ready = b"" if edits is None else await mask.see_long(edits.rest())
    finally:
        await chunks.aclose()
        if call.api.counts:
            answers = call.api.answers or call.api.native
            report.used = usage.counted(sent=report.sent, estimates=call.api.uses_tokens, answers=answers)
    await send({"type": "http.response.body", "body": ready + mask.rest(), "more_body": False})


def _edits(passing: PassedAnswer, kind: bytes) -> EventEdits | WholeEdits | None:
    """What is changed in an answer of that type, None where nothing is."""
    exchange, call = passing.exchange, passing.call
    edits: list[Edit] = [UsageEdit()] if exchange.usage_asked else []
    if call.resources is not None:
        edits.append(IdEdit(call.resources, exchange.credential, call.caller, call.referred))
        if call.results_below:
            edits.append(ResultsEdit(call.results_below))
    if edits and kind.startswith(b"text/event-stream"):
        return EventEdits(edits)
    return WholeEdits(edits, passing.hold) if edits and kind.startswith(b"application/json") else None


def marks(report: Report) -> list[tuple[bytes, bytes]]:
    """The headers that say what the gateway decided."""
    found = [(b"x-keycairn-call", report.id.encode()), (b"x-keycairn-attempts", str(report.attempts).encode())]
    if report.credential:
        found.append((b"x-keycairn-credential", report.credential.encode()))
    return found


async def _pass_error(
    exchange: Exchange, headers: list[tuple[bytes, bytes]], call: Call, report: Report, send: Send, dialect: Dialect
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
    if shown is not None:
        for own, given in call.referred.items():
            if len(own) >= SHORTEST_ID:
                shown = shown.replace(own, given)
        shown = await _masked(exchange, shown)
    report.code = "provider_error"
    kept = [(name, value) for name, value in headers if name not in _OF_THE_BODY]
    if shown is None:
        why = f"The provider answered with status {answer.status} and no readable reason."
        if exchange.failure is not None and exchange.failure.kind is Outcome.NOT_A_PROVIDER:
            why = "What answered is not the provider's API: a page, a proxy, or nothing. See the credential's URL."
        _, _, shown = render(ProviderError(why, status=answer.status), dialect, report.id)
    if exchange.failure is not None:
        kept.append((b"x-keycairn-failure", exchange.failure.kind.value.encode()))
    kept.append((b"content-type", b"application/json"))
    kept += [(b"x-keycairn-error", b"provider_error"), (b"content-length", str(len(shown)).encode())]
    report.begun = True
    await send({"type": "http.response.start", "status": answer.status, "headers": kept})
    await send({"type": "http.response.body", "body": shown, "more_body": False})


async def _masked(exchange: Exchange, shown: bytes) -> bytes | None:
    """An error without secrets: of a short one what holds one is left out, in a long one it becomes stars."""
    if len(shown) <= SLICE:
        return exchange.redactor.masked_json(shown)
    return await ContentMask(exchange.redactor).see_long(shown, last=True)


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


async def _break_off(error: KeycairnError, kind: bytes, send: Send, dialect: Dialect, call_id: str) -> None:
    """Tell the reader of an event stream, in the way its API does, before the connection is cut."""
    if not kind.startswith(b"text/event-stream"):
        return
    _, _, body = render(error, dialect, call_id)
    name = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
    event = b"\n\n" + name + b"data: " + body + b"\n\n"
    await send({"type": "http.response.body", "body": event, "more_body": True})


def _body_of(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, int | None]:
    """The type and the length of the body, as the first headers of these names say."""
    kind = length = b""
    for name, value in reversed(headers):
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            length = value
    return kind, int(length) if length.isdigit() and len(length) < 16 else None
