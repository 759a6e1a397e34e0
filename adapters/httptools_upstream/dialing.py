"""Opening a socket to a provider, through the outgoing proxy where there is one."""

import asyncio
import socket
from collections.abc import Sequence

from aiohappyeyeballs import start_connection

from keycairn.adapters.guarded_http.tunnel import BROKEN_OFF, LARGEST, UNREACHABLE, tunnel_fault
from keycairn.domain.egress_proxy import EgressProxy
from keycairn.domain.errors import NotSentError
from keycairn.domain.url import Url

HEAD_START = 0.25
"""Seconds before another address is tried beside one that does not answer (RFC 8305, 8)."""


async def dialled(addresses: Sequence[str], url: Url, proxy: EgressProxy | None) -> socket.socket:
    """A socket that leads to `url`. With a `proxy`, the addresses are the proxy's, which connects to it.

    Raises OSError, or NotSentError for a fault of the proxy.
    """
    port = proxy.port if proxy else url.port
    try:
        found = await start_connection([_info(one, port) for one in addresses], happy_eyeballs_delay=HEAD_START)
    except OSError:
        if proxy is None:
            raise
        raise NotSentError(UNREACHABLE) from None
    try:
        if proxy is not None:
            await _open_tunnel(found, proxy.request(url))
    except BaseException:
        found.close()
        raise
    return found


async def _open_tunnel(found: socket.socket, request: bytes) -> None:
    """Have the proxy at the other end connect it to where it shall lead. Raises NotSentError."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(found, request)
    head = b""
    while (fault := tunnel_fault(head)) == "":
        data = await loop.sock_recv(found, LARGEST)
        if not data:
            raise NotSentError(BROKEN_OFF)
        head += data
    if fault:
        raise NotSentError(fault)


def _info(address: str, port: int) -> tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]:
    """An address as `getaddrinfo` gives it."""
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
