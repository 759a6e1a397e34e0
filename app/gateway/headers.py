"""Which headers pass through the gateway, and which do not."""

from collections.abc import Iterable, Sequence

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


def forwarded(headers: RawHeaders) -> list[tuple[str, str]]:
    """The client's headers that go on to the provider, names in lower case."""
    kept: list[tuple[str, str]] = []
    named: set[bytes] = set()
    for name, value in headers:
        if name == b"connection":
            named |= {token.strip().lower() for token in value.split(b",")}
        if (
            name not in _HOP_BY_HOP
            and name not in _OF_THE_CLIENT
            and not name.startswith((b"x-keycairn-", b"x-forwarded-", b"sec-", b"cf-"))
        ):
            kept.append((name.decode("latin-1"), value.decode("latin-1")))
    return [pair for pair in kept if pair[0].encode("latin-1") not in named] if named - {b"keep-alive"} else kept


def returned(headers: Iterable[tuple[str, str]], secrets: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """The provider's headers that go back to the client; a secret of the call in one of them is masked."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if name in _OF_THE_PROVIDER or name.startswith(_OURS):
            continue
        if any(secret in value for secret in secrets):
            value = masked(value.encode("latin-1"), secrets).decode("latin-1")  # noqa: PLW2901  # the masked one
        kept.append((name.encode("latin-1"), value.encode("latin-1")))
    return kept
