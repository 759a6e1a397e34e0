"""Which headers pass through the gateway, and which do not."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from keycairn.app.gateway.masking import masked

RawHeaders = Iterable[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, 7.6.1."""
_OF_THE_CLIENT = frozenset(
    {
        b"authorization",
        b"x-api-key",
        b"api-key",
        b"x-goog-api-key",
        b"xi-api-key",
        b"cookie",
        b"host",
        b"content-length",
        b"expect",
        b"accept-encoding",
        b"origin",
        b"referer",
        b"forwarded",
        b"via",
        b"x-real-ip",
        b"x-amz-security-token",
    }
)
"""The client's identity, or about its connection to us: none of the provider's business."""
_OF_THE_PROVIDER = frozenset(
    {"set-cookie", "set-cookie2", "alt-svc", "server", "strict-transport-security", "access-control-allow-origin"}
) | {name.decode() for name in _HOP_BY_HOP}
_OURS = "x-keycairn-"
_PREFIXES = (b"x-keycairn-", b"x-forwarded-", b"sec-", b"cf-")
_KNOWN = 1024


def forwarded(headers: RawHeaders) -> list[tuple[str, str]]:
    """The client's headers that go on to the provider, names in lower case."""
    kept: list[tuple[str, str]] = []
    named: set[str] = set()
    for name, value in headers:
        if name == b"connection":
            named |= {token.strip().lower() for token in value.decode("latin-1").split(",")}
        elif (onward := _onward(name)) is not None:
            kept.append((onward, value.decode("latin-1")))
    return [pair for pair in kept if pair[0] not in named] if named - {"keep-alive"} else kept


def returned(headers: Iterable[tuple[str, str]], secrets: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """The provider's headers that go back to the client; a secret of the call in one of them is masked."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        back = _back(name)
        if back is None:
            continue
        raw = value.encode("latin-1")
        for secret in secrets:
            if secret in value:
                raw = masked(raw, secrets)
        kept.append((back, raw))
    return kept


@lru_cache(maxsize=_KNOWN)
def _onward(name: bytes) -> str | None:
    """The name of a client's header that goes on, None for one that does not."""
    if name in _HOP_BY_HOP or name in _OF_THE_CLIENT or name.startswith(_PREFIXES):
        return None
    return name.decode("latin-1")


@lru_cache(maxsize=_KNOWN)
def _back(name: str) -> bytes | None:
    """The name of a provider's header that goes back, None for one that does not."""
    return None if name in _OF_THE_PROVIDER or name.startswith(_OURS) else name.encode("latin-1")
