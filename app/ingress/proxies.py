"""Where a request comes from: what the connection says, or what a proxy says that is trusted."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from keycairn.domain.address import LONGEST, Network, parse_address, parse_network
from keycairn.domain.errors import SettingsError

MOST_HOPS = 32
"""Addresses of X-Forwarded-For that are looked at, from the end: what we and our proxies did not write is at its
beginning."""
_SCHEMES = {b"http": "http", b"https": "https"}

Headers = Iterable[tuple[bytes, bytes]]


class Proxies:
    """The proxies whose word counts. `entries` are addresses and CIDRs; without any, nobody's does.

    `Forwarded` (RFC 7239) is not read: proxies that set X-Forwarded-For pass on what a client wrote into it.
    Raises SettingsError for an entry that is neither.
    """

    def __init__(self, entries: Sequence[str] = ()) -> None:
        self._networks = tuple(_network(entry) for entry in entries)

    def source(self, peer: str, headers: Headers) -> tuple[str, str | None]:
        """The client's address, and the scheme it spoke where a trusted proxy tells.

        `peer` is the other end of the connection. The address is that of the last hop which is no trusted proxy; where
        a hop is not readable, that of the proxy which wrote it. It is always an IP address, or "" where the peer has
        none, as on a Unix socket.
        """
        address = _canonical(peer)
        if not self._networks or not self._trusts(address):
            return address, None
        scheme = None
        chain: list[bytes] = []
        for name, value in headers:
            if name == b"x-forwarded-for":
                chain.append(value)
            elif name == b"x-forwarded-proto":
                scheme = _SCHEMES.get(value.rpartition(b",")[2].strip().lower())
        for hop in _backwards(chain):
            told = _canonical(hop)
            if not told:
                break
            address = told
            if not self._trusts(told):
                break
        return address, scheme

    def _trusts(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(
            parsed.version == network.version and parsed in network for network in self._networks
        )


def check_proxies(entries: Sequence[str]) -> None:
    """Raise SettingsError unless every entry is an address or a CIDR."""
    Proxies(entries)


def _network(entry: str) -> Network:
    try:
        network = parse_network(entry)
    except ValueError:
        network = None
    if network is None or network.prefixlen == 0 or "%" in entry:
        raise SettingsError(
            "KEYCAIRN_TRUSTED_PROXIES takes the addresses of proxies and networks that hold nothing else, such as "
            "127.0.0.1, 10.1.0.0/16 or fd00:1::/64. It cannot be everybody's, and no bit may be set behind the prefix."
        )
    return network


def _backwards(lines: Sequence[bytes]) -> Iterator[str]:
    left = MOST_HOPS
    for line in reversed(lines):
        rest = line
        while left:
            rest, comma, hop = rest.rpartition(b",")
            yield hop.decode("latin-1") if len(hop) <= LONGEST else ""
            left -= 1
            if not comma:
                break


def _canonical(text: str) -> str:
    return _spelled(text) if len(text) <= LONGEST else ""


@lru_cache(maxsize=1024)
def _spelled(text: str) -> str:
    parsed = parse_address(text)
    return str(parsed) if parsed is not None else ""
