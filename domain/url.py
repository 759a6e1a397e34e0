"""One strict parser for URLs. What it returns is what is checked, bound into the seal, and connected to."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from msgspec import Struct

from keycairn.domain.errors import UrlRefusedError

LONGEST = 2048
"""Characters of a base URL."""
LONGEST_TARGET = 16_384
"""Characters of the URL of one request."""
PORTS = {"http": 80, "https": 443}

_SHAPE = re.compile(
    r"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?",
    re.ASCII,
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*", re.ASCII)
_QUERY = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_HIDDEN = re.compile(r"%(?:[01][0-9A-Fa-f]|7F|2[3EFef5]|3F|5C)", re.ASCII | re.IGNORECASE)
"""Escapes of controls and of `# % . / ? \\`, which a second parser might unfold."""


class Url(Struct, frozen=True):
    """An http(s) URL in canonical form: lower-case host without trailing dot, IPv6 without brackets, explicit port.

    `query` is as it was written, without its question mark.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""

    @property
    def authority(self) -> str:
        """The host as it stands in a URL, the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """`scheme://host:port`, IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def target(self) -> str:
        """The path and query of the request line."""
        return (self.path or "/") + (f"?{self.query}" if self.query else "")


def parse_url(text: str, *, field: str | None = None) -> Url:
    """The base URL in `text`. Raises UrlRefusedError, which names `field` and says why, and never echoes the text.

    A base URL is plain: no user, query, fragment, dot segment or hidden separator, so that nothing appended to it and
    no second parser can read it differently.
    """
    url = _parse(text, LONGEST, field)
    if url.query or "?" in text or _HIDDEN.search(url.path) or _dotted(url.path):
        raise UrlRefusedError("a base URL ends in a plain path, without ?, dot segments or escaped separators", field)
    return url


def parse_target(text: str) -> Url:
    """The URL of one request, which may have a query. Raises UrlRefusedError."""
    url = _parse(text, LONGEST_TARGET, None)
    if _dotted(re.sub("%2[Ee]", ".", url.path)):
        raise UrlRefusedError("its path has dot segments")
    return url


def _dotted(path: str) -> bool:
    """Whether a segment goes up or nowhere; some servers cut a segment at its semicolon first."""
    return any(segment.partition(";")[0] in {".", ".."} for segment in path.split("/"))


def _parse(text: str, longest: int, field: str | None) -> Url:
    match = _SHAPE.fullmatch(text) if len(text) <= longest else None
    if match is None:
        raise UrlRefusedError("it must be http:// or https://, a host, and a plain path", field)
    scheme, path, query = match["scheme"].lower(), match["path"] or "", (match["query"] or "?")[1:]
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        raise UrlRefusedError("its path holds something other than plain segments", field)
    port = int(match["port"]) if match["port"] else PORTS[scheme]
    if not 1 <= port <= 65535:
        raise UrlRefusedError("its port is not from 1 to 65535", field)
    return Url(scheme, _host(match["host"].lower(), field), port, path, query)


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
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise UrlRefusedError("its IPv4 address is not four plain decimal numbers", field) from None
    return name
