"""One strict parser for URLs. What it returns is what is checked, stored in the seal, and connected to."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from msgspec import Struct

from keycairn.domain.errors import UrlRefusedError

LONGEST = 2048
PORTS = {"http": 80, "https": 443}

_SHAPE = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(/.*)?", re.ASCII)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*", re.ASCII)


class Url(Struct, frozen=True):
    """An http(s) URL in canonical form: lower-case host without trailing dot, IPv6 without brackets, explicit port."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """`scheme://host:port`, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_url(text: str, *, field: str | None = None) -> Url:
    """The URL in `text`. Raises UrlRefusedError, which names `field` and says why, and never echoes the text.

    A base URL is plain: no user, query, fragment, percent-encoding, or dot segment, so that nothing appended to it and
    no second parser can read it differently.
    """
    match = _SHAPE.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        raise UrlRefusedError("it must be http:// or https://, a host, and a plain path", field)
    scheme, host, port, path = match[1], match[2].lower(), match[3], match[4] or ""
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise UrlRefusedError("its path holds something other than plain segments", field)
    number = int(port) if port else PORTS[scheme]
    if not 1 <= number <= 65535:
        raise UrlRefusedError("its port is not from 1 to 65535", field)
    return Url(scheme, _host(host, field), number, path)


def _host(host: str, field: str | None) -> str:
    if host.startswith("["):
        try:
            return str(IPv6Address(host[1:-1]))
        except AddressValueError:
            raise UrlRefusedError("its IPv6 address is malformed", field) from None
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefusedError("its host name is malformed", field)
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1], re.ASCII):
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise UrlRefusedError("its IPv4 address is not four plain decimal numbers", field) from None
    return name
