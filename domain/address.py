"""Internet addresses as clients are told apart by them."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST = 96
"""Characters of an address with brackets, zone and port; anything longer is none."""
SUBSCRIBER = 64
"""Bits of an IPv6 address that one subscriber usually holds all of. Source: RFC 6177."""

_V6 = r"[0-9A-Fa-f:.]{2,45}"
_ZONE = r"(?:%[A-Za-z0-9._~-]{1,32})?"
_FORM = re.compile(rf"\[({_V6}){_ZONE}\](?::[0-9]{{1,5}})?|([0-9.]{{7,15}})(?::[0-9]{{1,5}})?|({_V6}){_ZONE}", re.ASCII)


def parse_address(text: str) -> Address | None:
    """The address in `text`, without brackets, port and zone; None where there is none.

    An IPv4 address that is written as an IPv6 one is given as IPv4, so that no client has two.
    """
    match = _FORM.fullmatch(text.strip(" \t")) if len(text) <= LONGEST else None
    if match is None:
        return None
    try:
        return _plain(ip_address(match[1] or match[2] or match[3]))
    except ValueError:
        return None


def parse_network(text: str) -> Network:
    """The address or CIDR in `text`; an IPv4 one that is written as IPv6 is given as IPv4.

    Raises ValueError, also where bits are set behind the prefix.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def counted_as(address: str) -> str:
    """The address under which a client is counted: IPv4 as it is, IPv6 as its /64, "" for what is no address."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        kept = int(parsed) >> (128 - SUBSCRIBER) << (128 - SUBSCRIBER)
        return str(IPv6Address(kept))
    return str(parsed) if parsed is not None else ""


def _plain(address: Address) -> Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
