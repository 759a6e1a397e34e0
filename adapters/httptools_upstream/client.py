"""The client itself: requests written, places judged, connections taken from their pools."""

import asyncio
import re
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from keycairn.adapters.httptools_upstream.answer import Answer
from keycairn.adapters.httptools_upstream.pool import Pool
from keycairn.adapters.httptools_upstream.way_out import WayOut
from keycairn.domain.egress import is_literal
from keycairn.domain.errors import (
    CannotConnectError,
    InvalidInputError,
    NotSentError,
    ProviderTimeoutError,
)
from keycairn.domain.secret import Secret
from keycairn.domain.url import Url
from keycairn.ports.upstream import UpstreamRequest

_KNOWN = 1024
_OURS = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding"})
"""Headers this client alone sets: it knows how the request goes out, and answers have to be looked into."""
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "TRACE"})
"""Methods to which no body means none, rather than an empty one (RFC 9110, 8.6)."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_VALUE = re.compile("[\t\x20-\x7e\x80-\xff]*")
"""RFC 9110, section 5.5: what is beyond ASCII is opaque, and goes on byte by byte."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class _Place(NamedTuple):
    """A URL that was judged, as far as it can be without DNS."""

    target: str
    authority: str
    pool: Pool


class HttptoolsUpstream:
    """A `keycairn.ports.upstream.Upstream`. Requests with and without a secret never share a connection."""

    def __init__(self, way: WayOut) -> None:
        self._way = way
        self._pools: dict[tuple[str, bool, str], Pool] = {}
        self._places: dict[tuple[str, bool, str], _Place] = {}

    async def start(self, request: UpstreamRequest, *, connect_within: float, answer_within: float) -> Answer:
        """See `Upstream.start`."""
        headers, secret = _written(request.headers)
        options = request.options
        authorities = options.ca_certificates
        place = self._places.get((request.url, secret, authorities)) or await self._judged(
            request.url, authorities, secret=secret
        )
        within = answer_within if options.first_byte_timeout is None else options.first_byte_timeout
        idle = answer_within if options.idle_timeout is None else options.idle_timeout
        head = _head(request, place, headers)
        method, body = request.method, request.body
        fresh = False
        while True:
            connection, used = await place.pool.take(connect_within, fresh=fresh)
            answer = connection.exchange(
                head,
                body,
                length=request.length,
                bodiless=method == "HEAD",
                within=within,
                idle=idle,
                total=options.total_timeout,
            )
            try:
                await answer.head()
            except ProviderTimeoutError:
                raise
            except CannotConnectError as error:
                # The provider may have closed a kept connection at the moment it was taken.
                harmless = isinstance(error, NotSentError) or (body is None and method in _SAFE)
                if not used or fresh or not harmless:
                    raise
                fresh = True
            except BaseException:
                answer.close()
                raise
            else:
                return answer

    async def aclose(self) -> None:
        """See `Upstream.aclose`."""
        pools, self._pools = [*self._pools.values()], {}
        self._places.clear()
        for pool in pools:
            pool.close()
        await asyncio.sleep(0)  # lets the loop close the sockets

    async def _judged(self, text: str, authorities: str, *, secret: bool) -> _Place:
        """The place a URL names. What is remembered is what the rules alone decide, which do not change.

        A literal address is judged each time where it may be that of a name of ours: what a name resolves to does
        change. Otherwise each connection is.
        """
        url = self._way.vetted(text, secret=secret)
        place = _Place(url.target, url.authority, self._pool(url, authorities, secret=secret))
        if self._way.proxy_to(url) is None and is_literal(url.host) and self._way.may_be_ours(url):
            await self._way.addresses(url, secret=secret)
            return place
        if len(self._places) >= _KNOWN:
            self._places.clear()
        self._places[text, secret, authorities] = place
        return place

    def _pool(self, url: Url, authorities: str, *, secret: bool) -> Pool:
        key = (url.origin, secret, authorities if url.scheme == "https" else "")
        pool = self._pools.get(key)
        if pool is None:
            if len(self._pools) >= _KNOWN:
                self._pools = {place: one for place, one in self._pools.items() if not one.empty}
                self._places.clear()
            pool = self._pools[key] = Pool(
                url,
                partial(self._way.addresses, Url(url.scheme, url.host, url.port, ""), secret=secret),
                self._way.tls(url, authorities),
                proxy=self._way.proxy_to(url),
            )
        return pool


def _head(request: UpstreamRequest, place: _Place, headers: str) -> bytes:
    """The head of the request. Raises InvalidInputError."""
    method, body = _token(request.method), request.body
    framing = ""
    if isinstance(body, bytes):
        framing = f"content-length: {len(body)}\r\n"
    elif body is not None and request.length is not None:
        framing = f"content-length: {request.length}\r\n"
    elif body is not None:
        framing = "transfer-encoding: chunked\r\n"
    elif method not in _BODILESS:
        framing = "content-length: 0\r\n"
    first = f"{method} {place.target} HTTP/1.1\r\nhost: {place.authority}\r\naccept-encoding: identity\r\n"
    return f"{first}{headers}{framing}\r\n".encode("latin-1")


def _written(headers: Sequence[tuple[str, str | Secret]]) -> tuple[str, bool]:
    """The lines of the headers, and whether a secret is among them. Raises InvalidInputError."""
    pairs, secret = in_the_clear(headers)
    return "".join([f"{name}: {value}\r\n" for name, value in pairs if name not in _OURS]), secret


def in_the_clear(headers: Sequence[tuple[str, str | Secret]]) -> tuple[list[tuple[str, str]], bool]:
    """The headers, names in lower case, and whether a secret is among them. Raises InvalidInputError."""
    pairs: list[tuple[str, str]] = []
    secret = False
    for name, given in headers:
        if isinstance(given, Secret):
            secret, value = True, given.reveal().strip()
        else:
            value = given
        lower = _lower(name)
        if not (value.isascii() and value.isprintable()) and _VALUE.fullmatch(value) is None:
            raise InvalidInputError(f"The header {lower} cannot be sent: it holds characters HTTP does not allow.")
        pairs.append((lower, value))
    return pairs, secret


@lru_cache(maxsize=_KNOWN)
def _lower(name: str) -> str:
    """A header's name in lower case. Raises InvalidInputError."""
    return _token(name).lower()


@lru_cache(maxsize=_KNOWN)
def _token(name: str) -> str:
    """A header's name or a method. Raises InvalidInputError."""
    if _TOKEN.fullmatch(name) is None:
        raise InvalidInputError("A request to a provider has a header or a method that HTTP does not allow.")
    return name
