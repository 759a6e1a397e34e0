"""The client itself, on httpx, with limits on everything a provider may send."""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator

import httpcore
import httpx

from keycairn.adapters.guarded_http.backend import Destination, Resolve, VettingBackend, resolve, under_way
from keycairn.adapters.guarded_http.token_cache import MemoryTokenCache
from keycairn.adapters.guarded_http.trust import Trust
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.egress_proxy import EgressProxy
from keycairn.domain.errors import (
    CannotConnectError,
    EgressRefusedError,
    GarbledAnswerError,
    InvalidInputError,
    KeycairnError,
    ProviderTimeoutError,
    UrlRefusedError,
)
from keycairn.domain.options import Options
from keycairn.domain.secret import Secret
from keycairn.domain.url import Url, parse_target, parse_url
from keycairn.ports.http import Request, Response

LARGEST_ANSWER = 8 * 2**20
"""Bytes of a body. httpcore's parser itself stops at 100 KiB of headers."""
CONNECTIONS = 50
MOST_TRANSPORTS = 64
"""Pools of connections, one for each account's authorities; then all are closed."""
KEEP_ALIVE = 20.0
"""Seconds an idle connection is kept; its address was judged when it was opened."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"}
) | {"accept-encoding", "proxy-authorization", "proxy-connection", "cookie"}
"""Headers a caller may not set: they say who is asked, where a message ends, and what comes back."""

for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # they log URLs at INFO, headers at DEBUG


class GuardedHttp:
    """A `keycairn.ports.http.Http`. Requests with and without a secret never share a connection.

    `lookup` and `tls` stand in for the system's resolver and certificates, `tokens` for a cache of its own. `trust`
    says which authorities are good, `proxy` through what requests leave.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        lookup: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        trust: Trust | None = None,
        proxy: EgressProxy | None = None,
        largest_answer: int = LARGEST_ANSWER,
        connect: httpcore.AsyncNetworkBackend | None = None,
        tokens: MemoryTokenCache | None = None,
    ) -> None:
        self.tokens: MemoryTokenCache = tokens or MemoryTokenCache()
        self._policy = policy
        self._lookup = lookup
        self._trust = trust or Trust(given=tls)
        self._proxy = proxy
        self._largest = largest_answer
        self._connect = connect
        self._transports: dict[tuple[str, bool, str], _Transport] = {}

    def vet(self, url: str, *, field: str | None = None) -> None:
        """See `Http.vet`."""
        try:
            self._policy.judge_url(parse_url(url, field=field))
        except UrlRefusedError as error:
            raise UrlRefusedError(error.why, field) from None

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        """See `Http.send`."""
        try:
            url = parse_target(request.url)
            self._policy.judge_url(url, secret=False)
        except UrlRefusedError as error:
            raise EgressRefusedError(error.why) from None
        secret = request.secret_body or any(isinstance(value, Secret) for value in request.headers.values())
        headers = _checked(request, url)
        under_way.set(Destination(url, secret))
        failure: KeycairnError
        try:
            async with asyncio.timeout(_deadline(request.options, deadline)):
                transport = await self._transport(url.scheme, request.options.ca_certificates, secret=secret)
                return await self._exchange(transport, request, url, headers)
        except TimeoutError:
            failure = ProviderTimeoutError()
        except (httpx.TransportError, OSError) as error:  # a broken TLS record comes as OSError
            failure = _failure(error)
        raise failure  # outside of the handlers: what is raised there drags the foreign exception along

    async def aclose(self) -> None:
        """Close every connection and drop every token. The client can be used again after."""
        await self.tokens.aclose()
        await self._close_transports()

    async def _exchange(
        self, transport: "_Transport", request: Request, url: Url, headers: list[tuple[bytes, bytes]]
    ) -> Response:
        """One exchange, on the transport itself: a client would add cookies, redirects and logs of its own."""
        outgoing = httpx.Request(
            request.method,
            httpx.URL(scheme=url.scheme, host=url.host, port=url.port, raw_path=url.target.encode()),
            headers=headers,
            content=request.body,
        )
        options = request.options
        async with asyncio.timeout(options.first_byte_timeout):
            answer = await transport.handle_async_request(outgoing)
        try:
            if answer.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
                raise GarbledAnswerError("The provider's answer is compressed, which was not asked for.")
            body = await self._body(answer.aiter_raw(), options.idle_timeout)
        finally:
            await answer.aclose()
        return Response(status=answer.status_code, headers=dict(answer.headers.items()), body=body)

    async def _body(self, chunks: AsyncIterator[bytes], idle: float | None) -> bytes:
        body = bytearray()
        while True:
            async with asyncio.timeout(idle):
                chunk = await anext(chunks, None)
            if chunk is None:
                return bytes(body)
            body += chunk
            if len(body) > self._largest:
                raise GarbledAnswerError(f"The provider's answer is longer than {self._largest} bytes.")

    async def _transport(self, scheme: str, authorities: str, *, secret: bool) -> "_Transport":
        kind = (scheme, secret, authorities if scheme == "https" else "")
        found = self._transports.get(kind)
        if found is None:
            if len(self._transports) >= MOST_TRANSPORTS:
                await self._close_transports()
            backend = VettingBackend(self._policy, self._lookup, self._connect, proxy=self._proxy)
            tls = self._trust.context(authorities) if scheme == "https" else None
            found = self._transports[kind] = _Transport(backend, tls)
        return found

    async def _close_transports(self) -> None:
        transports, self._transports = list(self._transports.values()), {}
        for transport in transports:
            await transport.aclose()


class _Transport(httpx.AsyncBaseTransport):
    """httpcore's connection pool over our own network backend, by public interfaces only."""

    def __init__(self, backend: VettingBackend, tls: ssl.SSLContext | None) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            network_backend=backend,
            max_connections=CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
            http1=True,
            http2=False,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        outgoing = httpcore.Request(request.method, url, headers=request.headers.raw, content=request.stream)
        with _translated():
            answer = await self._pool.handle_async_request(outgoing)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Stream(answer))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for chunk in self._answer.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        await self._answer.aclose()


class _translated:  # noqa: N801  # reads as a statement
    """Raise httpx's exceptions for httpcore's: the pairs of the same name."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None and kind.__module__.startswith("httpcore"):
            raise getattr(httpx, kind.__name__, httpx.TransportError)(str(error)) from None


def _checked(request: Request, url: Url) -> list[tuple[bytes, bytes]]:
    """The headers in the clear. Raises InvalidInputError for one that cannot be sent."""
    headers = {"host": url.authority, "user-agent": "keycairn", "accept": "*/*", "accept-encoding": "identity"}
    for name, value in request.headers.items():
        if name.lower() in _OURS or not _TOKEN.fullmatch(name):
            raise InvalidInputError("A request has a header that only the client itself may set, or a malformed one.")
        text = value.reveal() if isinstance(value, Secret) else value
        if not text.isascii() or not text.isprintable():
            raise InvalidInputError(f"The header {name} cannot be sent: it holds characters HTTP does not allow.")
        headers[name.lower()] = text.strip()
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _deadline(options: Options, deadline: float) -> float:
    """Seconds for the whole exchange: the account's, else the caller's, or as long as the account waits for a byte."""
    return options.total_timeout or max(deadline, options.first_byte_timeout or 0.0)


def _failure(error: Exception) -> KeycairnError:
    """The error of ours that stands for a foreign one. It keeps none of its text, which may quote a header."""
    text = str(error)
    if isinstance(error, httpx.TimeoutException):
        return ProviderTimeoutError()
    if isinstance(error, httpx.RemoteProtocolError):
        if text.startswith("Server disconnected"):
            return CannotConnectError("The provider closed the connection without an answer.")
        return GarbledAnswerError()
    if "CERTIFICATE" in text.upper() or "SSL" in text:
        return CannotConnectError("The provider's TLS certificate or handshake is not acceptable.")
    return CannotConnectError()
