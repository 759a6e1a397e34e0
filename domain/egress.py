"""Where requests may go: rules over URLs and addresses, without asking anyone."""

import re
from collections.abc import Sequence
from enum import Enum, auto
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec
from msgspec import Struct

from keycairn.domain.errors import EgressRefusedError, SettingsError, UrlRefusedError
from keycairn.domain.url import Url, parse_url

_Network = IPv4Network | IPv6Network


class AddressKind(Enum):
    """What kind of place an address is."""

    PUBLIC = auto()
    PRIVATE = auto()
    """Loopback, private, CGNAT, unique local, benchmarking: reachable from here only."""
    SPECIAL = auto()
    """Reserved or documentation: nobody's service; only an explicit CIDR allows it."""
    NEVER = auto()
    """Metadata services, link-local, multicast, unspecified, and spellings that hide an IPv4 address."""


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(ip_network(text) for text in texts)


_NEVER = _networks(
    "0.0.0.0/8",  # this host: RFC 6890
    "169.254.0.0/16",  # link-local, where most clouds keep their metadata: RFC 3927
    "100.100.100.200/32",  # Alibaba Cloud
    "168.63.129.16/32",  # Azure's wire server
    "192.0.0.192/32",  # Oracle Cloud classic
    "192.80.8.124/32",  # Equinix Metal
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/96",  # IPv4-compatible, unspecified; loopback is looked up before: RFC 4291
    "::ffff:0:0/96",  # IPv4-mapped: RFC 4291
    "::ffff:0:0:0/96",  # IPv4-translated: RFC 2765
    "64:ff9b:1::/48",  # local-use NAT64: RFC 8215
    "2001::/32",  # Teredo: RFC 4380
    "2002::/16",  # 6to4: RFC 3056
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "fd00:ec2::/32",  # AWS
    "fd00:c1::/32",  # Oracle Cloud
    "fd20:ce::/32",  # Google Cloud
    "fd00:42::/32",  # Scaleway
    "fd00:a9fe:a9fe::/48",  # Akamai (Linode)
)
_PRIVATE = _networks(
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "198.18.0.0/15",  # benchmarking; also what proxies answer for names they take over: RFC 2544
    "::1/128",
    "fc00::/7",
)
_SPECIAL = _networks(
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
)
OURSELVES = "it is Keycairn itself, or its database"
"""Why an address of our own is refused, for those who find it out at the connection."""
_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_ISATAP = {b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"}

_METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
        "metadata.platformequinix.com",
        "metadata.packet.net",
        "metadata.azure.internal",
        "metadata.oraclecloud.com",
        "metadata.exoscale.com",
        "api.metadata.cloud.ibm.com",
        "rancher-metadata",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    }
)
_METADATA_SHAPE = re.compile(
    r"(metadata|instance-data)\.(.+\.)?internal"  # what clouds call theirs in their private zone
    r"|kubernetes\.default\.svc\..+",  # with the cluster's own domain
    re.ASCII,
)

SERVICE_PORTS = frozenset(
    {
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 79, 95, 101, 102, 103, 104, 109, 110),
        *(111, 113, 115, 117, 119, 123, 135, 137, 138, 139, 143, 161, 162, 179, 389, 427, 445, 465, 512, 513, 514),
        *(515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 623, 636, 873, 989, 990, 993, 995),  # internet
        *(1080, 1433, 1434, 1521, 1719, 1720, 1723, 1883, 2049, 3659, 4045, 5060, 5061, 6000, 6566, 6697, 8883),
        *range(6665, 6670),
        *(2181, 2375, 2376, 2377, 2379, 2380, 4001, 4194, 6443, 8500, 8501, 10248, 10249, 10250, 10255, 10256),
        *(10257, 10259, 16443, 4646, 4647, 4648, 5985, 5986, 8200, 8300, 8301, 8302, 8600),
        # ZooKeeper, Docker, etcd, Kubernetes, Nomad, WinRM, Vault, Consul
        *(3306, 3389, 5432, 5433, 5672, 5900, 5984, 6379, 6380, 6432, 7000, 7001, 7199, 9042, 9092, 9160, 9200, 9300),
        *(11211, 15672, 26257, 26379, 27017, 27018, 27019, 28015, 33060, 50070, 1522, 2483, 2484, 3260, 4222, 4369),
        *(5671, 6333, 6334, 7474, 7687, 8529, 9093, 9094, 19530, 25672, 50000, 61613, 61616),  # databases and brokers
    }
)
"""Ports where something other than a model's API listens."""


class Allow(Struct, frozen=True):
    """What the operator allows besides the policy: canonical origins, and networks."""

    origins: frozenset[str] = frozenset()
    networks: tuple[_Network, ...] = ()


def parse_allow(entries: Sequence[str]) -> Allow:
    """The allow list of the setting. Raises SettingsError, which says which entry, not what stands there."""
    origins: set[str] = set()
    networks: list[_Network] = []
    for number, entry in enumerate(entries, 1):
        try:
            if "://" in entry:
                origins.add(_origin(entry))
            else:
                networks.append(ip_network(entry))
        except (UrlRefusedError, ValueError):
            raise SettingsError(
                f"Entry {number} of KEYCAIRN_EGRESS_ALLOW is neither an origin like https://llm.example:8443 "
                "nor a network like 10.0.0.0/8."
            ) from None
    return Allow(frozenset(origins), tuple(networks))


def _origin(text: str) -> str:
    url = parse_url(text)
    if url.path not in {"", "/"}:
        raise UrlRefusedError("an origin has no path")
    return url.origin


def kind_of_address(address: str) -> AddressKind:  # noqa: PLR0911  # a table of rules, first match wins
    """What kind of place `address` is. A text that is no address is NEVER."""
    try:
        ip = ip_address(address)
    except ValueError:
        return AddressKind.NEVER
    if isinstance(ip, IPv6Address) and (ip.scope_id or ip.packed[8:12] in _ISATAP):
        return AddressKind.NEVER
    if ip == IPv6Address("::1"):
        return AddressKind.PRIVATE
    if _within(ip, _NEVER):
        return AddressKind.NEVER
    if _within(ip, _PRIVATE):
        return AddressKind.PRIVATE
    if isinstance(ip, IPv6Address) and ip in _NAT64:
        inner = kind_of_address(str(IPv4Address(ip.packed[-4:])))
        return AddressKind.PUBLIC if inner is AddressKind.PUBLIC else AddressKind.NEVER
    if _within(ip, _SPECIAL) or (isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST):
        return AddressKind.SPECIAL
    return AddressKind.PUBLIC


def _within(ip: IPv4Address | IPv6Address, networks: Sequence[_Network]) -> bool:
    return any(ip.version == network.version and ip in network for network in networks)


def is_literal(host: str) -> bool:
    """Whether a canonical host is an address rather than a name."""
    return ":" in host or host.replace(".", "").isdigit()


class EgressPolicy(Struct, frozen=True, kw_only=True):
    """The rules in force.

    `strict` allows public addresses only. `own` are our own listener and our own database, as (host, port); a host is
    a name or an address, IPv6 with or without brackets. No setting lifts them, nor metadata services.
    """

    strict: bool = False
    allow: Allow = Allow()
    own: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        canonical = tuple((_canonical(host), port) for host, port in self.own)
        msgspec.structs.force_setattr(self, "own", canonical)

    def judge_url(self, url: Url, *, secret: bool = True) -> None:
        """Raise UrlRefusedError for what can be refused without DNS. `secret`: a key will go along."""
        if why := self._why_url(url) or (self._why_address(url, url.host, secret) if is_literal(url.host) else None):
            raise UrlRefusedError(why)

    def judge_address(self, url: Url, address: str, *, secret: bool = True) -> None:
        """Raise EgressRefusedError unless `url` may be reached at `address`, one of the answers for its host."""
        if why := self._why_url(url) or self._why_address(url, address, secret):
            raise EgressRefusedError(why)

    def own_names(self, port: int) -> tuple[str, ...]:
        """Names of ours on `port` whose addresses only DNS knows; a connection to one of those must be refused."""
        return tuple(host for host, own in self.own if own == port and not is_literal(host) and not _is_local(host))

    def _why_url(self, url: Url) -> str | None:
        if _is_metadata(url.host):
            return "it names a metadata service or the cluster's own API"
        if (url.host, url.port) in self.own:
            return OURSELVES
        if url.port in SERVICE_PORTS and url.origin not in self.allow.origins:
            return f"port {url.port} belongs to another kind of service"
        return None

    def _why_address(self, url: Url, address: str, secret: bool) -> str | None:  # noqa: FBT001, PLR0911  # as above
        kind = kind_of_address(address)
        if kind is AddressKind.NEVER:
            return "it leads to a metadata, link-local or otherwise forbidden address"
        if self.is_own(address, url.port):
            return OURSELVES
        if url.origin in self.allow.origins:
            return None
        if kind is AddressKind.PUBLIC and url.scheme == "http" and secret:
            return "plain http would send the key in the clear over the internet; use https, or allow this origin"
        if _within(ip_address(address), self.allow.networks):
            return None
        if kind is AddressKind.SPECIAL:
            return "it leads to a reserved address"
        if kind is AddressKind.PRIVATE and self.strict:
            return "it leads to a private address, and the policy is strict"
        return None

    def is_own(self, address: str, port: int) -> bool:
        """Whether (address, port) is certainly our own listener or database."""
        ip = ip_address(address)
        return any(
            port == own_port and (ip.is_loopback if _is_local(host) else host == str(ip)) for host, own_port in self.own
        )


def _is_metadata(host: str) -> bool:
    if host in _METADATA_NAMES or _METADATA_SHAPE.fullmatch(host):
        return True
    return any("." in name and host.endswith(f".{name}") for name in _METADATA_NAMES)


def _canonical(host: str) -> str:
    """A listener's host as `Url.host` would write it."""
    bare = host.strip("[]").rstrip(".").lower()
    try:
        return str(ip_address(bare))
    except ValueError:
        return bare


def _is_local(host: str) -> bool:
    """Whether a listener's host means this machine."""
    if host in {"localhost", ""}:
        return True
    return is_literal(host) and (ip_address(host).is_loopback or ip_address(host).is_unspecified)
