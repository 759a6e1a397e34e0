"""The client itself: aiohttp's connections, our judgement of where they may lead."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from functools import cached_property, lru_cache
from typing import NamedTuple

import aiohttp
from msgspec import Struct
from multidict import CIMultiDict
from yarl import URL

from keycairn.adapters.aiohttp_upstream.resolver import JudgingResolver, judged
from keycairn.adapters.guarded_http.backend import Destination, Resolve, resolve
from keycairn.domain.egress import EgressPolicy, is_literal
from keycairn.domain.errors import (
    CannotConnectError,
    EgressRefusedError,
    GarbledAnswerError,
    InvalidInputError,
    KeycairnError,
    NotSentError,
    ProviderTimeoutError,
    UrlRefusedError,
)
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_target
from keycairn.ports.upstream import Headers, UpstreamRequest

CONNECTIONS = 1000
"""Connections of each kind at most; a call beyond waits for one, within its limit for connecting."""
KEEP_ALIVE = 4.0
"""Seconds an idle connection is kept. Below the 5 of common servers: one they close under a request fails it."""
READ_BUFFER = 2**16
"""Bytes read ahead of the caller; reading stops at twice as many."""
LONGEST_HEADER = 16_384
"""Bytes of one header line of an answer."""
MOST_HEADERS = 100
_KNOWN = 1024
_AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class _Place(NamedTuple):
    """A URL that was judged, as far as it can be without DNS."""

    url: URL
    scheme: str


class AiohttpUpstream:
    """A `keycairn.ports.upstream.Upstream`. Requests with and without a secret never share a connection.

    `lookup` and `tls` stand in for the system's resolver and certificates.
    """

    def __init__(self, policy: EgressPolicy, *, lookup: Resolve = resolve, tls: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._lookup = lookup
        self._given_tls = tls
        self._sessions: dict[tuple[str, bool], aiohttp.ClientSession] = {}
        self._places: dict[tuple[str, bool], _Place] = {}

    async def start(self, request: UpstreamRequest, *, connect_within: float, answer_within: float) -> "AiohttpAnswer":
        """See `Upstream.start`."""
        headers: CIMultiDict[str] = CIMultiDict()
        secret = False
        for name, value in request.headers:
            if isinstance(value, Secret):
                secret = True
                headers.add(name, _sendable(name, value.reveal().strip()))
            else:
                headers.add(name, _sendable(name, value))
        place = self._places.get((request.url, secret)) or await self._judged(request.url, secret=secret)
        body = request.body
        source: _Source | None = None
        if body is not None and not isinstance(body, bytes):
            source = _Source(body)
            if request.length is not None:
                headers["content-length"] = str(request.length)
        try:
            answer = await self._session(place.scheme, secret=secret).request(
                request.method,
                place.url,
                headers=headers,
                data=source.chunks() if source else body,
                skip_auto_headers=_AUTOMATIC,
                allow_redirects=False,
                timeout=_limits(connect_within, answer_within),
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if source and source.failure:
                raise source.failure from None
            raise _translated(error) from None
        return AiohttpAnswer(answer, source)

    async def aclose(self) -> None:
        """See `Upstream.aclose`."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    async def _judged(self, text: str, *, secret: bool) -> _Place:
        """The place a URL names. What is remembered is what the rules alone decide, which do not change.

        A literal address is judged here, as aiohttp asks no resolver about it; every time where it may be that of a
        name of ours, for what a name resolves to does change.
        """
        try:
            url = parse_target(text)
            self._policy.judge_url(url, secret=secret)
        except UrlRefusedError as error:
            raise EgressRefusedError(error.why) from None
        place = _Place(URL(url.origin + url.target, encoded=True), url.scheme)
        if is_literal(url.host):
            await judged(self._policy, Destination(url, secret), self._lookup)
            if self._policy.own_names(url.port):
                return place
        if len(self._places) >= _KNOWN:
            self._places.clear()
        self._places[text, secret] = place
        return place

    def _session(self, scheme: str, *, secret: bool) -> aiohttp.ClientSession:
        session = self._sessions.get((scheme, secret))
        if session is None:
            resolver = JudgingResolver(self._policy, self._lookup, scheme=scheme, secret=secret)
            connector = aiohttp.TCPConnector(
                resolver=resolver,
                use_dns_cache=False,  # each connection is judged by an answer of its own
                limit=CONNECTIONS,
                keepalive_timeout=KEEP_ALIVE,
                ssl=self._tls if scheme == "https" else False,
            )
            session = self._sessions[scheme, secret] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=READ_BUFFER,
                max_line_size=LONGEST_HEADER,
                max_field_size=LONGEST_HEADER,
                max_headers=MOST_HEADERS,
            )
        return session

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made once and late: loading the system's certificates takes tens of milliseconds."""
        return self._given_tls or ssl.create_default_context()


class AiohttpAnswer:
    """A `keycairn.ports.upstream.UpstreamAnswer`."""

    __slots__ = ("_answer", "_closed", "_source")

    def __init__(self, answer: aiohttp.ClientResponse, source: "_Source | None") -> None:
        self._answer = answer
        self._source = source
        self._closed = _closing(answer)

    @property
    def status(self) -> int:
        """See `UpstreamAnswer.status`."""
        return self._answer.status

    @property
    def headers(self) -> Headers:
        """See `UpstreamAnswer.headers`."""
        return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self._answer.raw_headers]

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """See `UpstreamAnswer.chunks`."""
        read = self._answer.content.readany
        try:
            while chunk := await read():
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if self._source and self._source.failure:
                raise self._source.failure from None
            raise _translated(error) from None
        if self._closed is not None and self._closed.done() and self._closed.exception() is not None:
            raise _broken_off()

    def close(self) -> None:
        """See `UpstreamAnswer.close`."""
        self._answer.close()


@lru_cache(maxsize=16)
def _limits(connect: float, answer: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=answer)


def _closing(answer: aiohttp.ClientResponse) -> "asyncio.Future[None] | None":
    """How the connection of an answer that ends with it came to its end, None for an answer that says its length.

    aiohttp takes a connection that is reset for the end of such an answer.
    """
    if "content-length" in answer.headers or "transfer-encoding" in answer.headers or answer.connection is None:
        return None
    protocol = answer.connection.protocol
    closed = protocol.closed if protocol is not None else None
    if closed is not None:
        closed.add_done_callback(_seen)
    return closed


def _seen(closed: "asyncio.Future[None]") -> None:
    """Nobody need wait for it."""
    if not closed.cancelled():
        closed.exception()


def _broken_off() -> CannotConnectError:
    return CannotConnectError("The provider broke off in the middle of its answer.")


class _Source(Struct):
    """A streamed body, whose own failure aiohttp would replace by one of its own."""

    body: AsyncIterator[bytes]
    failure: KeycairnError | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.body:
                yield chunk
        except KeycairnError as error:
            self.failure = error
            raise


def _sendable(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise InvalidInputError(f"The header {name} cannot be sent: it holds characters HTTP does not allow.")
    return value


def _translated(error: Exception) -> KeycairnError:  # noqa: PLR0911  # a table, first match wins
    """The error of ours that stands for one of aiohttp's. No cause: it may quote a header."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return NotSentError("No connection to the provider came about in time.")
    if isinstance(error, aiohttp.ClientSSLError):
        return NotSentError("The provider's TLS certificate or handshake is not acceptable.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return NotSentError()
    if isinstance(error, (asyncio.TimeoutError, aiohttp.ServerTimeoutError)):
        return ProviderTimeoutError()
    if isinstance(error, (aiohttp.ClientResponseError, ValueError)):
        return GarbledAnswerError()
    if isinstance(error, aiohttp.ClientPayloadError):
        return _broken_off()
    return CannotConnectError("The provider closed the connection without an answer.")
