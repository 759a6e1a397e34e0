"""One strict parser for URLs. What it returns is what is checked, bound into the seal, and connected to."""

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import unquote_to_bytes

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
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+", re.ASCII)
_SEPARATORS = frozenset("#%./;?@\\")
"""What a second parser might cut a path at, once it has unfolded the escapes."""
_FAULTS = (
    (re.compile(r"[^/?#]*//[^/?#]*@"), "it holds a user or password before its host; a key belongs in its own field"),
    (re.compile(r"[^?]*#"), "it holds a fragment, which begins at #"),
    (re.compile(r".*\\", re.DOTALL), "it holds a backslash"),
    (re.compile(r".*\s", re.DOTALL), "it holds white space"),
    (
        re.compile(r"[^/?#]*//[^/?#]*[^\x00-\x7f]"),
        "its host holds characters beyond ASCII that have no one form in the DNS; write it as it is there, with xn--",
    ),
    (re.compile(r"[^?#]*[^\x00-\x7f]"), "its path holds characters beyond ASCII; write them with %"),
)
"""What is told of a URL that is none of ours, first match wins."""


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

    A base URL is plain: no user, query, fragment, parameter, dot segment, empty segment or hidden separator, so that
    nothing appended to it and no second parser can read it differently. Slashes at its end are as people paste them.
    """
    url = _parse(text, LONGEST, field)
    if url.query or "?" in text:
        raise UrlRefusedError("it holds a query, which begins at ?; a base URL ends in a plain path", field)
    if "//" in url.path.rstrip("/"):
        raise UrlRefusedError("its path has an empty segment: two slashes, one after the other", field)
    if ";" in url.path:
        raise UrlRefusedError("its path has a parameter, which begins at ;", field)
    if _dotted(url.path):
        raise UrlRefusedError("its path has dot segments", field)
    if any(_hides(escapes) for escapes in _ESCAPES.findall(url.path)):
        raise UrlRefusedError("its path hides a separator, a dot or a control character behind %", field)
    return url


def parse_target(text: str) -> Url:
    """The URL of one request, which may have a query. Raises UrlRefusedError."""
    url = _parse(text, LONGEST_TARGET, None)
    if _dotted(re.sub("%2[Ee]", ".", url.path)):
        raise UrlRefusedError("its path has dot segments")
    return url


def origin_of(text: str) -> str:
    """The origin of a URL, whatever its path. Raises UrlRefusedError."""
    return _parse(text, LONGEST_TARGET, None).origin


def _dotted(path: str) -> bool:
    """Whether a segment goes up or nowhere; some servers cut a segment at its semicolon first."""
    return any(segment.partition(";")[0] in {".", ".."} for segment in path.split("/"))


def _hides(escapes: str) -> bool:
    """Whether escaped bytes stand for what a path is cut at, also in a compatible spelling, or are no text."""
    try:
        text = unicodedata.normalize("NFKC", unquote_to_bytes(escapes).decode())
    except UnicodeDecodeError:
        return True
    return not text.isprintable() or not _SEPARATORS.isdisjoint(text)


def _parse(text: str, longest: int, field: str | None) -> Url:
    if len(text) > longest:
        raise UrlRefusedError(f"it is longer than {longest:,} characters", field)
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise UrlRefusedError(_fault(text) or "it must be http:// or https://, a host, and a plain path", field)
    scheme, path, query = match["scheme"].lower(), match["path"] or "", (match["query"] or "?")[1:]
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        raise UrlRefusedError(_fault(text) or "its path holds something other than plain segments", field)
    port = int(match["port"]) if match["port"] else PORTS[scheme]
    if not 1 <= port <= 65535:
        raise UrlRefusedError("its port is not from 1 to 65535", field)
    return Url(scheme, _host(match["host"].lower(), field), port, path, query)


def _fault(text: str) -> str | None:
    return next((why for shape, why in _FAULTS if shape.match(text)), None)


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
