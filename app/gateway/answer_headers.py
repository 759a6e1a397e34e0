"""Which headers of a provider's answer go back to the client, and as what its body is declared."""

import re
from collections.abc import Iterable
from functools import lru_cache

from keycairn.app.security_headers import SECURITY_HEADERS
from keycairn.domain.needles import SHORTEST_NEEDLE
from keycairn.domain.redaction import Redactor

PASSED = frozenset(
    {
        "content-length",
        "content-disposition",
        "content-language",
        "date",
        # openai and anthropic, _base_client.py: when and whether to try again; openai, resources/beta: polling
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        # ids by which a provider finds a call again: openai and anthropic, _response.py (x-request-id, request-id)
        "x-request-id",
        "request-id",
        "apim-request-id",  # Azure
        "x-ms-request-id",
        "x-ms-client-request-id",
        "x-ms-region",
        "mistral-correlation-id",
        "x-generation-id",  # OpenRouter
        "x-trace-id",  # ElevenLabs
        "x-debug-trace-id",  # Cohere
        "trace-id",  # MiniMax
        "cf-ray",
        # what a call was and what it cost
        "history-item-id",  # ElevenLabs
        "character-cost",
        "tts-latency-ms",
        "current-concurrent-requests",
        "maximum-concurrent-requests",
        "num_chars",  # Cohere
        "num_tokens",
        "x-groq-region",
        "x-envoy-upstream-service-time",
        "x-inference-time",
        "x-amzn-requestid",  # Amazon: the id of a call, and the class of its error, which its SDKs read
        "x-amzn-errortype",
    }
)
PASSED_BEGINNINGS = (
    "openai-",
    "anthropic-",
    "x-ratelimit-",
    "ratelimit-",
    "x-rate-limit-",
    "dg-",
    "x-dashscope-",
    "x-amzn-bedrock-",
)
"""Rate limits; openai: openai-processing-ms, openai-poll-after-ms; anthropic: anthropic-ratelimit-*; dg-: Deepgram."""

PLAIN = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
LONGEST_VALUE = 1024

_TYPE = re.compile(r"([a-z]+/[a-z0-9.+_-]+)\s*(?:;[\x20-\x7e]{0,200})?", re.IGNORECASE)
_READ_AS_DECLARED = frozenset(
    {
        "text/event-stream",
        "text/plain",
        "text/vtt",
        "text/csv",
        "text/markdown",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/stream+json",
        "application/x-subrip",
        "application/vnd.amazon.eventstream",
        BYTES,
    }
)
_PLAIN_TYPES = frozenset(kind.encode() for kind in _READ_AS_DECLARED | {"application/json"})
_MEDIA = ("audio/", "image/", "video/")
_SECURITY = [*SECURITY_HEADERS]
_BEGINNINGS = tuple(beginning.encode() for beginning in PASSED_BEGINNINGS)
Pairs = list[tuple[bytes, bytes]]
_KNOWN = 1024


def returned(headers: Iterable[tuple[str, str]], redactor: Redactor) -> Pairs:
    """The headers of an answer: those of the provider's that pass, without secrets, and our own that make it harmless.

    The body's type is among them only where no browser would run it; see `declared`.
    """
    kept: Pairs = []
    types: list[str] = []
    for name, value in headers:
        if name == "content-type":
            types.append(value)
        elif (passed := _passed(name)) is not None and len(value) <= LONGEST_VALUE and value.isprintable():
            kept.append((passed, value.encode("latin-1", "replace")))
    if types:
        kept.append((b"content-type", declared(types[0] if len(types) == 1 else "").encode()))
    return _without_secrets(kept, redactor) + _SECURITY


def _without_secrets(kept: Pairs, redactor: Redactor) -> Pairs:
    """The headers that hold no secret in name or value; the length and an opaque type alone where together they do."""
    if not redactor or not _tells(kept, redactor):
        return kept
    left = [pair for pair in kept if not any(redactor.holds(part.decode("latin-1")) for part in pair)]
    if _tells(left, redactor):
        left = [pair for pair in kept if pair[0] == b"content-length"]
    types = any(name == b"content-type" for name, _ in left)
    return left if types else [*left, (b"content-type", BYTES.encode())]


def _tells(pairs: Pairs, redactor: Redactor) -> bool:
    values = [value for name, value in pairs if not _says_nothing(name, value)]
    names = [name for name, _ in pairs if name.startswith(_BEGINNINGS)]
    return bool(values or names) and redactor.within(b"\n".join([*values, b"", *names]))


def _says_nothing(name: bytes, value: bytes) -> bool:
    """Whether a header is no place for a secret: a plain type, or the body's own length."""
    if name == b"content-type":
        return value in _PLAIN_TYPES
    return name == b"content-length" and len(value) < SHORTEST_NEEDLE and value.isdigit()


@lru_cache(maxsize=_KNOWN)
def declared(value: str) -> str:
    """The content type to give for what a provider declares: its own for data, plain text for what a browser runs."""
    match = _TYPE.fullmatch(value.strip())
    if match is None:
        return PLAIN
    kind = match[1].lower()
    parameters = value.partition(";")[2].strip()
    if kind in _READ_AS_DECLARED or kind == "application/json" or (kind.endswith("+json") and "html" not in kind):
        return f"{kind}; {parameters}" if parameters else kind
    if kind.startswith(_MEDIA) and not kind.endswith("+xml"):
        return f"{kind}; {parameters}" if parameters else kind
    return PLAIN if kind.startswith("text/") or kind.endswith(("xml", "html", "script")) else BYTES


def is_media(kind: bytes) -> bool:
    """Whether a body of that type is sound or a picture."""
    return kind.startswith((b"audio/", b"image/", b"video/"))


@lru_cache(maxsize=_KNOWN)
def _passed(name: str) -> bytes | None:
    """The name of a provider's header that goes back, None for one that does not."""
    return name.encode("latin-1") if name in PASSED or name.startswith(PASSED_BEGINNINGS) else None
