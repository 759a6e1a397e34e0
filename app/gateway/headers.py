"""Which headers pass through the gateway, and which do not."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from keycairn.app.gateway.errors import Dialect
from keycairn.app.gateway.masking import masked

RawHeaders = Iterable[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110, 7.6.1."""
_OF_EVERY_CALL = frozenset(
    {"accept", "content-encoding", "content-type", "idempotency-key", "traceparent", "user-agent"}
)
"""What the body is, what the answer may be, which repetition and which trace it is: all a provider needs to know.

Of a trace only the ids go on: `tracestate` and `baggage` carry what others put into them.
"""
_OF_AN_API = {
    Dialect.OPENAI: frozenset({"openai-beta"}),
    Dialect.ANTHROPIC: frozenset({"anthropic-beta", "anthropic-version"}),
}
_OF_THE_PROVIDER = (
    frozenset(
        {"set-cookie", "set-cookie2", "alt-svc", "server", "strict-transport-security", "access-control-allow-origin"}
    )
    | _HOP_BY_HOP
)
_OURS = "x-keycairn-"
_KNOWN = 1024


def received(headers: RawHeaders) -> list[tuple[str, str]]:
    """The client's headers as text, names in lower case, without those that `Connection` says are for us alone."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name == b"connection"
        for token in value.decode("latin-1").split(",")
    }
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    return [pair for pair in pairs if pair[0] not in named] if named - {"keep-alive"} else pairs


def forwarded(headers: Iterable[tuple[str, str]], dialect: Dialect | None, declared: tuple[str, ...]) -> dict[str, str]:
    """Those of the client's headers that go on to a provider: of every call, of the API spoken, of its plugin.

    `dialect` is None for a call of the provider's own API; `declared` are the plugin's.
    """
    allowed = _allowed(dialect, declared)
    return {name: value for name, value in headers if name in allowed}


@lru_cache(maxsize=_KNOWN)
def _allowed(dialect: Dialect | None, declared: tuple[str, ...]) -> frozenset[str]:
    spoken = _OF_AN_API[dialect] if dialect else frozenset[str]()
    return _OF_EVERY_CALL | spoken | {*declared}


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
def _back(name: str) -> bytes | None:
    """The name of a provider's header that goes back, None for one that does not."""
    return None if name in _OF_THE_PROVIDER or name.startswith(_OURS) else name.encode("latin-1")
