"""A session: messages passed between a client and a provider over two websockets, until either ends or we do."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import msgspec
from litestar.types import Receive, Send
from msgspec import Struct

from keycairn.app.gateway.answer_headers import returned
from keycairn.app.gateway.answering import marks
from keycairn.app.gateway.attempt import Exchange
from keycairn.app.gateway.bookkeeping import Meter
from keycairn.app.gateway.call import Call, Report
from keycairn.app.gateway.errors import render
from keycairn.app.gateway.socket_masking import SocketMask
from keycairn.app.gateway.socket_names import SocketNames
from keycairn.app.gateway.socket_opening import refusal
from keycairn.app.gateway.socket_usage import SocketUsage
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import (
    CannotConnectError,
    KeycairnError,
    OverloadedError,
    ProviderError,
    ProviderTimeoutError,
    SealedError,
)
from keycairn.domain.provider_failure import Failure
from keycairn.ports.websocket import Close, Message, UpstreamSocket

SESSION_WITHIN = 24 * 3600.0
"""Seconds a session may take, where its account says no other total."""
CLOSE_WITHIN = 5.0
"""Seconds a client has to take what is said at the end."""
NO_CODE, LOST = 1005, 1006
GOING_AWAY, REFUSED, AGAIN_LATER, BAD_GATEWAY = 1001, 1008, 1013, 1014
"""Codes of RFC 6455, 7.4.1, and of the registry of the IANA."""
_CODES = {OverloadedError: AGAIN_LATER, SealedError: AGAIN_LATER, ProviderError: BAD_GATEWAY}
MOST_KEPT = 2**18
"""Bytes of a client's first messages that are kept, for another account, until the provider says something."""
LONGEST_REASON = 123
"""Bytes of the reason of an end (RFC 6455, 5.5)."""
_OF_A_BODY = (b"content-", b"date", b"retry-after")


class Ended(Struct, frozen=True):
    """How a session ends: what the client is told, and what the provider; None for the side that ended it."""

    client: Close | None
    provider: Close | None
    error: KeycairnError | None = None


Again = Callable[["SocketSession", Failure], Awaitable[Exchange | None]]
"""Gives a session another connection after such a failure, None where there is none. Raises KeycairnError."""


class SocketSession:
    """Passes messages on, each side as fast as the other takes them. `run` once; `stop` ends it from outside.

    `names` looks at what the client sends, None where nothing is to be looked at.
    """

    def __init__(
        self,
        exchange: Exchange,
        call: Call,
        report: Report,
        meter: Meter,
        names: SocketNames | None,
        dialect: Dialect,
        again: Again,
    ) -> None:
        self.call = call
        self.report = report
        self._usage = SocketUsage()
        self._meter = meter
        self._again = again
        self._attach(exchange)
        self._turn = asyncio.Lock()
        self._kept: list[Message] | None = []
        """What the client sent while the provider said nothing, None where that is over, or too much."""
        self._kept_size = 0
        self._names = names
        self._dialect = dialect
        self._total = exchange.total
        self._ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    def stop(self, error: KeycairnError) -> None:
        """End it, for that reason."""
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), REFUSED)
        self._end(Ended(Close(code, f"{error.code}: {error}"), Close(GOING_AWAY), error))

    async def run(self, receive: Receive, send: Send, subprotocol: str, elapsed: Callable[[], float]) -> None:
        """All of it, from the client's being let in to both ends. Raises nothing but what `send` raises at first."""
        self.report.begun, self.report.status = True, self._socket.status
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": self._socket.subprotocol or subprotocol or None,
                "headers": self._headers(),
            }
        )
        tasks = [
            asyncio.create_task(self._from_client(receive)),
            asyncio.create_task(self._from_provider(send, elapsed)),
        ]
        try:
            within = SESSION_WITHIN if self._total is None else self._total
            watched: list[asyncio.Future[Any]] = [self._ended, *tasks]
            await asyncio.wait(watched, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            ended = await self._outcome(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if (left := self._usage.rest()) is not None:
                await self._meter.add(left)
            self.report.sound = self._usage.sound
        await self._tell(ended, send)

    async def _outcome(self, tasks: list[asyncio.Task[None]]) -> Ended:
        """How it ended; a fault of ours is raised."""
        for task in tasks:
            if not self._ended.done() and task.done() and (fault := task.exception()) is not None:
                raise fault
        if not self._ended.done():
            self.stop(ProviderTimeoutError())
        return self._ended.result()

    async def _from_client(self, receive: Receive) -> None:
        while True:
            event: Any = await receive()
            if event["type"] == "websocket.disconnect":
                self._client_left(event.get("code") or NO_CODE, event.get("reason") or "")
                return
            text, data = event.get("text"), event.get("bytes")
            message = Message(data or b"", text=False) if text is None else Message(text.encode())
            try:
                message = self._names(message) if self._names else message
            except KeycairnError as error:
                self.stop(error)
                return
            self._usage.sent(len(message.data), text=message.text)
            async with self._turn:
                self._keep(message)
                await self._socket.send(message)

    async def _from_provider(self, send: Send, elapsed: Callable[[], float]) -> None:
        while True:
            message = await self._socket.receive()
            if isinstance(message, Close):
                if await self._other(message):
                    continue
                self._provider_left(message)
                return
            self._kept = None
            if self.report.first_byte is None:
                self.report.first_byte = elapsed()
            counted = self._usage.see(message.data)
            try:
                await send(_event(await self._mask.see(message)))
            except OSError:  # the server's own word for a client that is gone
                self._client_left(LOST, "")
                return
            if counted is not None and (refused := await self._meter.add(counted)):
                self.stop(refused)
                return

    def _attach(self, exchange: Exchange) -> None:
        """Speak to that one from here on."""
        self.exchange = exchange
        self._socket = cast("UpstreamSocket", exchange.answer)
        self._mask = SocketMask(exchange.redactor)
        self._meter.credential = exchange.subject

    def _keep(self, message: Message) -> None:
        self._kept_size += len(message.data)
        if self._kept_size > MOST_KEPT:
            self._kept = None
        if self._kept is not None:
            self._kept.append(message)

    async def _other(self, close: Close) -> bool:
        """Whether another connection took the place of one that was refused before anything was said on it."""
        failure = refusal(close) if self._kept is not None else None
        if failure is None:
            return False
        try:
            found = await self._again(self, failure)
        except KeycairnError as error:
            self.stop(error)
            return False
        if found is None:
            return False
        async with self._turn:
            self._attach(found)
            for message in self._kept or ():
                await self._socket.send(message)
        return True

    def _client_left(self, code: int, reason: str) -> None:
        self.report.closed = code
        self._end(Ended(None, Close(GOING_AWAY) if code in {LOST, 1012} else _sendable(Close(code, reason))))

    def _provider_left(self, close: Close) -> None:
        self.report.closed = close.code
        error = CannotConnectError("The provider broke off.") if close.code == LOST else None
        told = Close(BAD_GATEWAY, f"{error.code}: {error}") if error else self._mask.end(_sendable(close))
        self._end(Ended(told, None, error))

    def _end(self, ended: Ended) -> None:
        if not self._ended.done():
            self._ended.set_result(ended)

    async def _tell(self, ended: Ended, send: Send) -> None:
        """Both sides, at the same time."""
        if ended.error is not None:
            self.report.code = ended.error.code
        ends = [self._socket.end(_cut(ended.provider))] if ended.provider else []
        if ended.client is not None:
            ends.append(self._end_client(ended.client, ended.error, send))
        await asyncio.gather(*ends)

    async def _end_client(self, close: Close, error: KeycairnError | None, send: Send) -> None:
        if self.report.closed is None:
            self.report.closed = close.code
        shown = _cut(close)
        with suppress(OSError, RuntimeError, TimeoutError):  # it may be gone, or have closed at the same moment
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._say_why(error, send)
                await send({"type": "websocket.close", "code": shown.code, "reason": shown.reason})

    async def _say_why(self, error: KeycairnError | None, send: Send) -> None:
        """In an event, as OpenAI's API does before it closes; others tell it in the reason alone."""
        if error is not None and self._dialect is Dialect.OPENAI and not self.call.api.native:
            _, _, body = render(error, self._dialect, self.report.id)
            event = {"type": "error", "event_id": f"event_{self.report.id}", **msgspec.json.decode(body)}
            await send(_event(Message(msgspec.json.encode(event))))

    def _headers(self) -> list[tuple[bytes, bytes]]:
        given = returned(self._socket.headers, self.exchange.redactor)
        return [pair for pair in given if not pair[0].startswith(_OF_A_BODY)] + marks(self.report)


def _event(message: Message) -> Any:
    if message.text:
        return {"type": "websocket.send", "text": message.data.decode("utf-8", "replace"), "bytes": None}
    return {"type": "websocket.send", "text": None, "bytes": message.data}


def _sendable(close: Close) -> Close:
    """The same end with a code that may be sent: some only say what came of a connection."""
    allowed = 3000 <= close.code < 5000 or (1000 <= close.code <= 1014 and close.code not in {1004, NO_CODE, LOST})
    return close if allowed else Close(1000 if close.code == NO_CODE else GOING_AWAY, close.reason)


def _cut(close: Close) -> Close:
    """With a reason that is short enough."""
    return Close(close.code, close.reason.encode()[:LONGEST_REASON].decode("utf-8", "ignore"))
