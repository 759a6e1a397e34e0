"""Name resolution that gives judged addresses only."""

import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from keycairn.adapters.guarded_http.backend import Destination, Resolve, judged_addresses
from keycairn.domain.egress import OURSELVES, EgressPolicy
from keycairn.domain.errors import CannotConnectError, EgressRefusedError, NotSentError
from keycairn.domain.url import Url


class JudgingResolver(AbstractResolver):
    """Resolves for the connections of one scheme, with or without a secret; one forbidden answer refuses the name.

    aiohttp does not ask a resolver about literal addresses: those are judged with the URL, before a request starts.
    """

    def __init__(self, policy: EgressPolicy, lookup: Resolve, *, scheme: str, secret: bool) -> None:
        self._policy = policy
        self._lookup = lookup
        self._scheme = scheme
        self._secret = secret

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises EgressRefusedError or NotSentError."""
        destination = Destination(Url(self._scheme, host.rstrip("."), port, ""), self._secret)
        addresses = await judged(self._policy, destination, self._lookup)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
            if family in {socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET}
        ]

    async def close(self) -> None:
        """Nothing is held."""


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
