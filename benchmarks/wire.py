"""The two ends of the gateway's benchmark: an upstream that answers at once, and a client that does nothing else."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

CHUNKS = 200
ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1715367049,"model":"bench","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Hello! How can I help you today?"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":8,"completion_tokens":9,"total_tokens":17}}'
)
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
_EVENT = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1715367049,"model":"bench",'
    b'"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
)
_CHUNK = b"%x\r\n%s\r\n" % (len(_EVENT), _EVENT)
_DONE = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Upstream(asyncio.Protocol):
    """Answers every request: whole, or as a stream of 200 events, each written for itself, when the body asks."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            head = self._seen[:end].lower()
            if b"transfer-encoding: chunked" in head:
                stop = self._seen.find(b"0\r\n\r\n", end)
                if stop < 0:
                    return
                size = stop + 5 - end - 4
            else:
                _, _, rest = head.partition(b"content-length:")
                size = int(rest.split(b"\r\n", 1)[0]) if rest else 0
            if len(self._seen) < end + 4 + size:
                return
            body, self._seen = self._seen[end + 4 : end + 4 + size], self._seen[end + 4 + size :]
            if b'"stream":true' in body.replace(b" ", b""):
                self._transport.write(_STREAM)
                self._stream(CHUNKS)
            else:
                self._transport.write(_WHOLE)

    def _stream(self, left: int) -> None:
        if self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(_DONE)
            return
        self._transport.write(_CHUNK)
        asyncio.get_running_loop().call_soon(self._stream, left - 1)


class Client(asyncio.Protocol):
    """Sends one request after the other on its connection until told to stop; notes when answers begin and end."""

    def __init__(self, request: bytes, go_on: Callable[[], bool]) -> None:
        self._request = request
        self._go_on = go_on
        self.first: list[float] = []
        self.total: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._answer = b""
        self._head: bytes | None = None
        self._begun = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            self._answer += data
            head, end, rest = self._answer.partition(b"\r\n\r\n")
            if not end:
                return
            self._head, self._answer = head.lower(), rest
            if not head.startswith(b"HTTP/1.1 200"):
                self._fail(f"answered {(head + end + rest)[:600]!r}")
                return
            self._left = -1
            if b"content-length:" in self._head:
                self._left = int(self._head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            data = rest
            self._began = False
        else:
            self._answer = self._answer[-8:] + data
        if data and not self._began:
            self._began = True
            self.first.append(time.perf_counter() - self._begun)
        if self._left >= 0:
            self._left -= len(data)
            over = self._left <= 0
        else:
            over = self._answer.endswith(b"0\r\n\r\n")
        if over:
            self.total.append(time.perf_counter() - self._begun)
            if self._go_on():
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            if error is None and not self._go_on():
                self.ended.set_result(None)
            else:
                self._fail(f"connection lost: {error}")

    def _fail(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(RuntimeError(why))
        self._transport.close()


def request_of(host: str, token: str, body: bytes) -> bytes:
    """A chat completion request as bytes."""
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\naccept: */*\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
