"""The proxy through which requests leave, and which of them do."""

import re
from base64 import b64encode
from urllib.parse import unquote

from msgspec import Struct

from keycairn.domain.egress import AddressKind, is_literal, kind_of_address
from keycairn.domain.errors import SettingsError, UrlRefusedError
from keycairn.domain.secret import Secret
from keycairn.domain.url import Url, parse_url

_SHAPE = re.compile(r"(?P<scheme>[a-zA-Z]+)://(?:(?P<user>[^@/?#]*)@)?(?P<place>[^@/?#]+)/?")
_HERE = (".localhost", ".local", ".internal", ".home.arpa")
"""Names without a meaning outside of the network they are used in: RFC 6761, 6762, 8375; `internal` is ICANN's."""


class EgressProxy(Struct, frozen=True):
    """An HTTP proxy that opens tunnels (CONNECT). `login` is `user:password`, None where it asks for none."""

    host: str
    port: int
    login: Secret | None = None

    def request(self, url: Url) -> bytes:
        """What asks it for a tunnel to the host of `url`."""
        host = f"[{url.host}]" if ":" in url.host else url.host
        head = f"CONNECT {host}:{url.port} HTTP/1.1\r\nhost: {host}:{url.port}\r\n"
        if self.login is not None:
            head += f"proxy-authorization: Basic {b64encode(self.login.reveal().encode()).decode()}\r\n"
        return (head + "\r\n").encode("ascii")


def goes_by_proxy(url: Url) -> bool:
    """Whether a request leaves through the proxy: https to a public address, or to a name that means something there.

    What is on this machine or in its own network is reached directly: to the proxy, such a place would be another one.
    """
    if url.scheme != "https":
        return False
    if is_literal(url.host):
        return kind_of_address(url.host) is AddressKind.PUBLIC
    return "." in url.host and not url.host.endswith(_HERE)


def parse_proxy(secret: Secret) -> EgressProxy:
    """The proxy that the setting names: `http://[user:password@]host:port`.

    Raises SettingsError, which does not repeat it: it may hold a password.
    """
    found = _SHAPE.fullmatch(secret.reveal().strip())
    message = "KEYCAIRN_EGRESS_PROXY is http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT."
    if found is None or found["scheme"].lower() != "http":
        raise SettingsError(message)
    try:
        url = parse_url(f"http://{found['place']}")
    except UrlRefusedError:
        raise SettingsError(message) from None
    if not re.search(r":[0-9]+$", found["place"]):
        raise SettingsError(message)
    login = None if found["user"] is None else unquote(found["user"])
    if login is not None and not login.isprintable():
        raise SettingsError(message)
    return EgressProxy(url.host, url.port, None if login is None else Secret(login))
