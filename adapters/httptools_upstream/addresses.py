"""The addresses a connection may be made to."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address

from keycairn.adapters.guarded_http.backend import Destination, Resolve, judged_addresses
from keycairn.adapters.guarded_http.tunnel import UNREACHABLE
from keycairn.domain.egress import OURSELVES, EgressPolicy, is_literal
from keycairn.domain.egress_proxy import EgressProxy
from keycairn.domain.errors import CannotConnectError, EgressRefusedError, NotSentError


async def judged(policy: EgressPolicy, destination: Destination, lookup: Resolve) -> Sequence[str]:
    """The addresses of `destination`, every one of them allowed, our own listener's excluded.

    Raises EgressRefusedError, or NotSentError when the name has no address.
    """
    try:
        addresses = await judged_addresses(policy, destination, lookup)
    except CannotConnectError as error:
        raise NotSentError(str(error)) from None
    for address in addresses:
        _refuse_ourselves(policy, address, destination.url.port)
    return addresses


async def proxy_addresses(proxy: EgressProxy, lookup: Resolve) -> Sequence[str]:
    """The addresses of the outgoing proxy, which the operator named: it is not judged. Raises NotSentError."""
    if is_literal(proxy.host):
        return (proxy.host,)
    with suppress(OSError, UnicodeError):
        if found := await lookup(proxy.host, proxy.port):
            return found
    raise NotSentError(UNREACHABLE)


def _refuse_ourselves(policy: EgressPolicy, address: str, port: int) -> None:
    """Raise EgressRefusedError when a listener of ours on all addresses would be reached at this one.

    An address is this machine's own exactly when a socket can be bound to it.
    """
    if not any(own == port and host in {"0.0.0.0", "::", ""} for host, own in policy.own):  # noqa: S104
        return
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        raise EgressRefusedError(OURSELVES)
