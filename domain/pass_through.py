"""What of a call may go on to a provider: its native operations, the client's headers, the names in its query."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from urllib.parse import parse_qsl

_MOST_NAMES = 1000
WEBSOCKET = "WEBSOCKET"
"""In place of a method: a websocket that is opened."""
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", WEBSOCKET})

_OPENAI_FORMS: Mapping[str, tuple[str, ...]] = {
    "language": ("chat/completions", "/responses", " responses"),
    "embedding": ("/embeddings", " embeddings"),
    "speech_to_text": ("audio/transcriptions",),
    "text_to_speech": ("audio/speech",),
}
_OPERATION = re.compile(r"([A-Z]+) ([A-Za-z0-9._~*:@-]+(?:/[A-Za-z0-9._~*:@-]+)*)", re.ASCII)
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)

_ABOUT_THE_CONNECTION = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_ABOUT_THE_MESSAGE = frozenset(
    {"accept", "content-encoding", "content-type", "idempotency-key", "traceparent", "tracestate", "baggage", "range"}
)
_ABOUT_THE_CLIENT = frozenset({"forwarded", "from", "origin", "referer", "via"})
_BEGINNINGS = (
    "cf-",
    "fastly-",
    "proxy-",
    "sec-",
    "x-amz",
    "x-envoy-",
    "x-forwarded",
    "x-keycairn-",
    "x-original-",
    "x-rewrite-",
    "x-ms-",
)
_IDENTITY = re.compile(
    r"account(?:id)?|assertion|auth|authenticated|authorization|bearer|cert|certificate|claims|cookie2?|credentials?"
    r"|email|groups|identity|ip|jwt|key|login|oauth|oidc|org|organization|override|passwd|password|principal"
    r"|project(?:id)?|roles|saml|secret|session|sid|sig|signature|subject|subscription|team|tenant|token|user(?:id|name)?"
    r"|usr|workspace",
    re.ASCII,
)
"""Words of names that say who somebody is, or who pays. `override`: of a method, which would undo the operations."""
_GLUED = re.compile(
    r"apikey|authoriz|authenticat|token|cookie|password|secret|jwt|clientip|realip|clientcert", re.ASCII
)
_PROOF = re.compile(
    r"assertion|auth|authenticated|authorization|bearer|cert|certificate|cookie2?|credentials?|jwt|key|login|oauth|oidc"
    r"|override|passwd|password|saml|secret|session|sig|signature|token",
    re.ASCII,
)
"""Words of names that prove who somebody is. `override`: of a method, as above."""
_STEERING = re.compile(
    r"target|upstream|host|ur[il]|origin|endpoint|backend|destination|forward|proxy|redirect|rout(?:e|ing)|gateway"
    r"|server|domain|provider|authority|(?:^|-)(?:addr|address|base|apibase|basepath|config|dest|node|to|via|cluster"
    r"|deployment|resource|region|location|service)(?:-|$)",
    re.ASCII,
)
"""In names of headers by which proxies are told where a call goes on to."""
_PLACE = re.compile(
    r"//|[a-z0-9-]\.[a-z]{2,}(?![a-z0-9.@-])|(?:[0-9]{1,3}\.){3}[0-9]{1,3}|\[[0-9a-f:.]+\]|localhost|[a-z0-9-]:[0-9]{2,5}\b",
    re.ASCII | re.IGNORECASE,
)
"""In values of headers: something that may be a host."""
_REFERRERS = frozenset({"referer", "http-referer"})
"""Where a call comes from, such as an application's page as OpenRouter's rankings show it: no place to send it to."""
_INNOCENT = frozenset({"idempotency-key", "user-agent"})
_QUERY = frozenset(
    {
        "access_token",
        "accesstoken",
        "api-key",
        "api_key",
        "apikey",
        "authorization",
        "client_secret",
        "groupid",
        "id_token",
        "key",
        "oauth_token",
        "password",
        "quotauser",
        "sig",
        "signature",
        "subscription-key",
        "token",
        "userproject",
        "_method",
        "httpmethod",
    }
)


def operation_fault(text: str) -> str | None:
    """What is wrong with a declared operation such as `POST chat/completions`, None when it is sound."""
    match = _OPERATION.fullmatch(text)
    if match is None or {".", ".."} & set(match[2].split("/")):
        return "is no method and path, such as 'POST chat/completions'"
    return None if match[1] in METHODS else f"has a method that is none of: {', '.join(sorted(METHODS))}"


def is_operation(operations: Sequence[str], method: str, path: str) -> bool:
    """Whether a call is one of the declared operations. `path` is decoded and has no slash before or behind.

    `*` in an operation stands for one character or more of a segment, a segment `**` for one or more segments. HEAD is
    as GET.
    """
    wanted = "GET" if method == "HEAD" else method
    return any(
        method == wanted and pattern.fullmatch(path) is not None for method, pattern in map(_compiled, operations)
    )


def has_openai_form(operations: Sequence[str], type: str) -> bool:
    """Whether models of a type can be called in OpenAI's form, by the operations a provider declares, if it does."""
    return not operations or any(operation.endswith(_OPENAI_FORMS[type]) for operation in operations)


def header_fault(name: str) -> str | None:
    """Why a client's header of this name may never go on to a provider, None where a plugin may ask for it."""
    if not _HEADER.fullmatch(name):
        return "is no header's name in lower case"
    if name in _ABOUT_THE_CONNECTION:
        return "is about the connection"
    if name in _INNOCENT:
        return None
    words = re.split(r"[-_.]", name)
    who = any(map(_IDENTITY.fullmatch, words)) or _GLUED.search("".join(words))
    if name in _ABOUT_THE_CLIENT or name.startswith(_BEGINNINGS) or who:
        return "tells who the client is, or who pays"
    return None


def own_header_fault(name: str) -> str | None:
    """Why an account may not set a header of this name for all of its calls, None where it may.

    An account may say who pays; but keys belong in secrets, and what a message is made of is told by who makes it.
    """
    if not _HEADER.fullmatch(name):
        return "is no header's name"
    if name in _ABOUT_THE_CONNECTION or name in _ABOUT_THE_MESSAGE:
        return "is about the connection or the message"
    words = re.split(r"[-_.]", name)
    if any(map(_PROOF.fullmatch, words)) or _GLUED.search("".join(words)):
        return "proves who somebody is; a key belongs in a secret of the account"
    if name in _ABOUT_THE_CLIENT or name.startswith(_BEGINNINGS):
        return "is set by clients and proxies"
    return None


def may_steer(name: str, value: str) -> bool:
    """Whether a proxy may read a header as the place to send a call on to: who sets it chooses who gets the key.

    `name` is in lower case. By a word of it, such as `target` or `api-base`, or because its value names a host.
    """
    if name in _REFERRERS:
        return False
    return _STEERING.search(re.sub(r"[^a-z0-9]+", "-", name)) is not None or _PLACE.search(value) is not None


def names_identity(query: str) -> bool:
    """Whether a query tells a provider who calls or pays, or another method: the account's settings say the first.

    A name with characters that print as nothing may be read without them.
    """
    if not query:
        return False
    if query.count("&") + query.count(";") > _MOST_NAMES:
        return True
    names = (name for name, _ in parse_qsl(query.replace(";", "&"), keep_blank_values=True))
    return any(not name.isprintable() or name.strip().lower().lstrip("$").removeprefix(".") in _QUERY for name in names)


def passing_faults(operations: Sequence[str], headers: Sequence[str]) -> Iterator[str]:
    """What is wrong with a plugin's native operations and request headers, one sentence each."""
    yield from (f"the native operation {text!r} {why}" for text in operations if (why := operation_fault(text)))
    yield from (f"the request header {name!r} {why}" for name in headers if (why := header_fault(name)))


@lru_cache(maxsize=4096)
def _compiled(operation: str) -> tuple[str, re.Pattern[str]]:
    method, _, path = operation.partition(" ")
    parts = [".+" if part == "**" else re.escape(part).replace(r"\*", "[^/]+") for part in path.split("/")]
    return method, re.compile("/".join(parts), re.ASCII | re.DOTALL)
