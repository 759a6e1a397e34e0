"""Connections to judged addresses only."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any

import httpcore
from msgspec import Struct

from keycairn.adapters.guarded_http.tunnel import BROKEN_OFF, LARGEST, UNREACHABLE, tunnel_fault
from keycairn.domain.egress import OURSELVES, EgressPolicy, is_literal
from keycairn.domain.egress_proxy import EgressProxy, goes_by_proxy
from keycairn.domain.errors import CannotConnectError, EgressRefusedError
from keycairn.domain.url import Url

ATTEMPT = 3.0
"""Seconds for one address while others are left: a route that swallows packets must not use up the deadline."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a name. Raises OSError when it has none."""


class Destination(Struct, frozen=True):
    """Where the request under way goes, and whether it carries a secret."""

    url: Url
    secret: bool


under_way: ContextVar[Destination] = ContextVar("under_way")
"""The destination of this task's request: httpcore tells its backend host and port only."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses the operating system gives for `host`."""
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in answers))


async def judged_addresses(policy: EgressPolicy, destination: Destination, lookup: Resolve) -> Sequence[str]:
    """The addresses of a destination, every one of them allowed.

    One forbidden answer refuses the name: which of its answers is used must not depend on luck. Raises
    EgressRefusedError, or CannotConnectError when the name has no address.
    """
    url = destination.url
    addresses: Sequence[str] = (url.host,) if is_literal(url.host) else await _answers(lookup, url.host, url.port)
    if not addresses:
        raise CannotConnectError("The provider's host name cannot be resolved.")
    for address in addresses:
        policy.judge_address(url, address, secret=destination.secret)
    for name in policy.own_names(url.port):
        if {ip_address(own) for own in await _answers(lookup, name, url.port)} & set(map(ip_address, addresses)):
            raise EgressRefusedError(OURSELVES)
    return addresses


async def _answers(lookup: Resolve, host: str, port: int) -> Sequence[str]:
    try:
        return await lookup(host, port)
    except (OSError, UnicodeError):
        return ()


class VettingBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, judges every answer, and connects to what was judged.

    TLS stays with httpcore, which checks the certificate against the name, not the address.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        lookup: Resolve,
        connect: httpcore.AsyncNetworkBackend | None = None,
        *,
        attempt: float = ATTEMPT,
        proxy: EgressProxy | None = None,
    ) -> None:
        self._policy = policy
        self._lookup = lookup
        self._attempt = attempt
        self._proxy = proxy
        self._connect = connect or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the backend's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first judged address that accepts one."""
        destination = under_way.get()
        if (host, port) != (destination.url.host, destination.url.port):
            raise EgressRefusedError("it is not the destination that was judged")
        if self._proxy is not None and goes_by_proxy(destination.url):
            return await self._tunnel(self._proxy, destination.url, timeout)
        addresses = await judged_addresses(self._policy, destination, self._lookup)
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            try:
                async with asyncio.timeout(self._attempt if left else None):
                    stream = await self._connect.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout, TimeoutError):
                continue
            await self._refuse_ourselves(stream, port)
            return stream
        raise CannotConnectError

    async def _tunnel(
        self,
        proxy: EgressProxy,
        url: Url,
        timeout: float | None,  # noqa: ASYNC109  # the backend's
    ) -> httpcore.AsyncNetworkStream:
        """A connection through the proxy, which resolves the name."""
        try:
            stream = await self._connect.connect_tcp(proxy.host, proxy.port, timeout)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            raise CannotConnectError(UNREACHABLE) from None
        head = b""
        try:
            await stream.write(proxy.request(url), timeout)
            while (fault := tunnel_fault(head)) == "":
                data = await stream.read(LARGEST, timeout)
                if not data:
                    raise CannotConnectError(BROKEN_OFF)  # noqa: TRY301  # the stream is closed below
                head += data
            if fault:
                raise CannotConnectError(fault)  # noqa: TRY301  # as above
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def _refuse_ourselves(self, stream: httpcore.AsyncNetworkStream, port: int) -> None:
        """A listener on all addresses is reached by any address of this machine: both ends then have the same one."""
        here, there = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
        listens_everywhere = any(own == port and host in {"0.0.0.0", "::", ""} for host, own in self._policy.own)  # noqa: S104
        if listens_everywhere and here and there and here[0] == there[0]:
            await stream.aclose()
            raise EgressRefusedError(OURSELVES)

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  # the backend's signature
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Refused: no provider lives there."""
        raise EgressRefusedError("it is a local socket")

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts."""
        await self._connect.sleep(seconds)
