"""Errors in the dialect of the route they happened on."""

from collections.abc import Mapping

import msgspec

from keycairn.app.statuses import gateway_status
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import (
    EgressRefusedError,
    IngressError,
    InvalidAuthError,
    KeycairnError,
    MethodError,
    SealedError,
    UndecryptableError,
)

Headers = list[tuple[bytes, bytes]]


_OPENAI_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


_GOOGLE_STATUSES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Source: google.rpc.Code in github.com/googleapis/googleapis."""
_ID_HEADERS: Mapping[Dialect, bytes] = {Dialect.OPENAI: b"x-request-id", Dialect.ANTHROPIC: b"request-id"}
"""Where the official SDKs look for the id of a call that failed."""


def render(error: KeycairnError, dialect: Dialect, call_id: str) -> tuple[int, Headers, bytes]:
    """Status, headers and body of an error of the call with that id.

    `x-keycairn-error` carries our code, so that a provider's refusal, passed on as it came, is told from ours.
    `x-should-retry`, which the official SDKs obey, stops them from repeating what cannot get better.
    """
    status = gateway_status(error)
    message = str(error) if status != 500 else "Something went wrong here. The log of the service says where."
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "api_error")
        shape: dict[str, object] = {
            "type": "error",
            "error": {"type": kind, "message": message, "code": error.code},
        }
        shape["request_id"] = call_id
    elif dialect is Dialect.GOOGLE:
        named = _GOOGLE_STATUSES.get(status, "UNAVAILABLE" if status > 500 else "FAILED_PRECONDITION")
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code, "domain": "keycairn"}
        shape = {"error": {"code": status, "message": message, "status": named, "details": [reason]}}
    else:
        kind = _OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        shape = {"error": {"message": message, "type": kind, "param": None, "code": error.code}}
    body = msgspec.json.encode(shape)
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-keycairn-error", error.code.encode()),
    ]
    if id_header := _ID_HEADERS.get(dialect):
        headers.append((id_header, call_id.encode()))
    if isinstance(error, IngressError) and error.closes:
        headers.append((b"connection", b"close"))
    wait = getattr(error, "retry_after", None)
    if wait is not None:
        headers.append((b"retry-after", str(max(1, round(wait))).encode()))
    if isinstance(error, (InvalidAuthError, UndecryptableError, SealedError, EgressRefusedError)):
        headers.append((b"x-should-retry", b"false"))
    if isinstance(error, MethodError) and error.allowed:
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="keycairn"'))
    return status, headers, body
