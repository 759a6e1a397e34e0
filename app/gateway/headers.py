"""Which headers of a client go on to the provider, and which do not."""

from collections.abc import Iterable
from functools import lru_cache

from keycairn.domain.dialect import Dialect

RawHeaders = Iterable[tuple[bytes, bytes]]

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
_ALONE = frozenset({"content-encoding", "content-type", "idempotency-key", "traceparent", "user-agent"})
"""Those that are no lists: of several the last one counts."""
FOR_US = frozenset({b"host", b"content-length", b"authorization", b"accept-encoding"})
"""Those that nearly every client sends and no plugin may declare: about the connection, and the token for us."""
_KNOWN = 1024


def received(headers: RawHeaders) -> list[tuple[str, str]]:
    """The client's headers as text, names in lower case, without those that `Connection` says are for us alone.

    Those that never go on are left out: see `FOR_US`.
    """
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers if name not in FOR_US]
    named = {token.strip().lower() for name, value in pairs if name == "connection" for token in value.split(",")}
    return [pair for pair in pairs if pair[0] not in named] if named - {"keep-alive"} else pairs


def forwarded(headers: Iterable[tuple[str, str]], dialect: Dialect | None, declared: tuple[str, ...]) -> dict[str, str]:
    """Those of the client's headers that go on to a provider: of every call, of the API spoken, of its plugin.

    `dialect` is None for a call of the provider's own API; `declared` are the plugin's. Lines of one name become one,
    as RFC 9110, section 5.3, has it for lists.
    """
    allowed = _allowed(dialect, declared)
    found: dict[str, str] = {}
    for name, value in headers:
        if name in allowed:
            found[name] = f"{found[name]}, {value}" if name in found and name not in _ALONE else value
    return found


@lru_cache(maxsize=_KNOWN)
def _allowed(dialect: Dialect | None, declared: tuple[str, ...]) -> frozenset[str]:
    spoken = _OF_AN_API.get(dialect, frozenset[str]()) if dialect else frozenset[str]()
    return _OF_EVERY_CALL | spoken | {*declared}
