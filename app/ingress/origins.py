"""Which pages in a browser may send requests here: our own, and those of a list (CORS)."""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from keycairn.domain.errors import ForeignOriginError, SettingsError

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
PREFLIGHT_LASTS = 600
"""Seconds a browser may remember the answer to a preflight."""
MOST_REQUESTED = 64
"""Headers a preflight may ask for."""

_HOST = r"\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253}"
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]{{0,31}})://({_HOST})(?::([0-9]{{1,5}}))?", re.ASCII)
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class PublicUrl(Struct, frozen=True):
    """The address people use: `origin` as browsers spell it, `host` with its port, `path` without a last slash."""

    origin: str
    host: str
    path: str

    @property
    def base(self) -> str:
        """What stands before our paths."""
        return self.origin + self.path


def parse_public_url(text: str) -> PublicUrl:
    """The address in `text`. Raises SettingsError."""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    origin = spelled(f"{parts.scheme}://{parts.netloc}")
    path = parts.path.rstrip("/")
    plain = not (parts.query or parts.fragment) and _PATH.fullmatch(path) and {".", ".."}.isdisjoint(path.split("/"))
    if origin is None or parts.scheme not in _DEFAULT_PORTS or not plain:
        raise SettingsError(
            "KEYCAIRN_PUBLIC_URL must look like https://keycairn.example.com or https://example.com/keys."
        )
    return PublicUrl(origin, origin.partition("://")[2], path)


def parse_origins(entries: Sequence[str]) -> frozenset[str]:
    """The origins of the list for CORS. Raises SettingsError; neither `*` nor `null` is one."""
    origins = [spelled(entry) for entry in entries]
    if any(origin is None for origin in origins):
        raise SettingsError(
            "KEYCAIRN_CORS_ORIGINS takes origins, such as https://app.example.com or http://localhost:3000: no path, "
            "no * and not null."
        )
    return frozenset(origin for origin in origins if origin is not None)


def spelled(origin: str) -> str | None:
    """`origin` as browsers spell it: small letters, no default port. None for what is none, `null` too."""
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None or int(match[3] or 1) not in range(1, 65536):
        return None
    scheme, host, port = match[1], match[2], match[3]
    return f"{scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS.get(scheme) else "")


class From(Enum):
    """Who sends a request."""

    NO_PAGE = "a program, a person's own typing, or a page of ours"
    NAVIGATION = "a page elsewhere that sends its visitor here"
    ALLOWED_PAGE = "a page of the list"


class Origins:
    """Judges requests by what browsers say of the page behind them; programs say nothing.

    Raises SettingsError for entries that are no origins.
    """

    def __init__(self, allowed: Sequence[str] = (), public: PublicUrl | None = None) -> None:
        self.allowed: frozenset[str] = parse_origins(allowed)
        self._public = public.origin if public else None

    def judge(self, scope: Any) -> tuple[From, bytes]:
        """Who sends it, and the page's origin where it is one of the list. Raises ForeignOriginError."""
        said: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _SAID:
                if name in said and name != b"host":
                    raise ForeignOriginError
                said[name] = value
        origin, site = said.get(b"origin"), said.get(b"sec-fetch-site", b"none").strip().lower()
        if origin is None and site in _NEAR:
            return From.NO_PAGE, b""
        if origin is not None:
            name = spelled(origin.decode("latin-1"))
            if name is not None and name in self.allowed:
                return From.ALLOWED_PAGE, origin
            if name is not None and name in self._own(scope, said.get(b"host", b"")) and site in _NEAR:
                return From.NO_PAGE, b""
        if (
            scope.get("method") == "GET"
            and origin != b"null"
            and said.get(b"sec-fetch-mode") == b"navigate"
            and said.get(b"sec-fetch-dest") == b"document"
        ):
            return From.NAVIGATION, b""
        raise ForeignOriginError

    def _own(self, scope: Any, host: bytes) -> set[str | None]:
        scheme = _PAGES.get(scope["scheme"], scope["scheme"])
        return {self._public, spelled(f"{scheme}://{host.decode('latin-1')}")} - {None}


_PAGES = {"ws": "http", "wss": "https"}
"""The scheme of a page that opens a websocket to where it came from."""
_SAID = frozenset({b"origin", b"host", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"})
_NEAR = frozenset({b"same-origin", b"none"})


def is_preflight(scope: Any) -> bool:
    """Whether a browser asks before it lets a page send a request."""
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )


def preflight_headers(scope: Any, origin: bytes) -> list[tuple[bytes, bytes]]:
    """What a page of the list may do: every method of ours, with every header it asks for, without cookies."""
    asked: list[str] = []
    network = False
    for name, value in scope["headers"]:
        if name == b"access-control-request-headers":
            asked += [one.strip() for one in value.decode("latin-1").split(",")]
        network = network or name == b"access-control-request-private-network"
    wanted = [one for one in asked if _TOKEN.fullmatch(one)][:MOST_REQUESTED]
    headers = [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-max-age", str(PREFLIGHT_LASTS).encode()),
        (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]
    if wanted:
        headers.append((b"access-control-allow-headers", ", ".join(wanted).encode()))
    if network:
        headers.append((b"access-control-allow-private-network", b"true"))
    return headers
