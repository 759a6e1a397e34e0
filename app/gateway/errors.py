"""What the gateway itself refuses, and every error in the dialect of the route it happened on."""

from collections.abc import Mapping
from enum import Enum, auto

import msgspec

from keycairn.app.ingress.errors import IngressError
from keycairn.domain.errors import (
    AuthenticationError,
    EgressRefusedError,
    ForbiddenError,
    InvalidAuthError,
    InvalidInputError,
    KeycairnError,
    NotFoundError,
    PluginError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
    SealedError,
    SpoolError,
    StoreError,
    TooManyAttemptsError,
    UndecryptableError,
)

Headers = list[tuple[bytes, bytes]]

LONGEST_NAME = 512
"""Characters of a model's name."""


class Dialect(Enum):
    """The form of an error, by the API the caller speaks."""

    OPENAI = auto()
    ANTHROPIC = auto()


class RequestRefusedError(InvalidInputError):
    """The call itself cannot be understood: no model in it, a malformed body."""

    code = "invalid_request"


class ModelNameError(RequestRefusedError):
    """What stands for the model can be no name."""

    def __init__(self) -> None:
        super().__init__(f'"model" must be 1 to {LONGEST_NAME} printable characters.')


class BodyTooLargeError(InvalidInputError):
    """More bytes than the gateway takes before it knows the model."""

    code = "body_too_large"


class BodyTooSlowError(InvalidInputError):
    """The client took too long to send its body."""

    code = "body_too_slow"

    def __init__(self) -> None:
        super().__init__("The request's body did not arrive in time.")


class NoRouteError(NotFoundError):
    """The gateway has nothing at this path."""

    code = "not_found"

    def __init__(self, message: str = "The gateway has nothing at this path.") -> None:
        super().__init__(message)


class MethodError(InvalidInputError):
    """The path is there, but takes another method."""

    code = "method_not_allowed"

    def __init__(self) -> None:
        super().__init__("This path does not take that method.")


class OverloadedError(KeycairnError):
    """The gateway holds as much as it may. Try again shortly."""

    code = "overloaded"

    def __init__(self) -> None:
        super().__init__("The gateway holds as many calls as it may. Try again shortly.")
        self.retry_after = 1.0


class LimitReachedError(KeycairnError):
    """A limit of Keycairn's own, on a token or a credential. `retry_after` is in seconds."""

    code = "limit_reached"

    def __init__(self, what: str, retry_after: float) -> None:
        super().__init__(f"Keycairn's own limit is reached: {what}.")
        self.retry_after = retry_after


_STATUS: tuple[tuple[type[KeycairnError], int], ...] = (
    (BodyTooLargeError, 413),
    (BodyTooSlowError, 408),
    (MethodError, 405),
    (InvalidInputError, 400),
    (NotFoundError, 404),
    (AuthenticationError, 401),
    (ForbiddenError, 403),
    (LimitReachedError, 429),
    (TooManyAttemptsError, 429),
    (OverloadedError, 503),
    (RateLimitedError, 429),
    (UndecryptableError, 503),
    (SealedError, 503),
    (SpoolError, 503),
    (StoreError, 503),
    (ProviderTimeoutError, 504),
    (ProviderError, 502),
    (EgressRefusedError, 502),
    (PluginError, 502),
)
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


def status_of(error: KeycairnError) -> int:
    """The HTTP status of an error on a gateway route; 500 where it is none a client should ever see."""
    if isinstance(error, IngressError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def render(error: KeycairnError, dialect: Dialect, request_id: str = "") -> tuple[int, Headers, bytes]:
    """Status, headers and body of an error.

    `x-keycairn-error` carries our code, so that a provider's refusal, passed on as it came, is told from ours.
    `x-should-retry`, which the official SDKs obey, stops them from repeating what cannot get better.
    """
    status = status_of(error)
    message = str(error) if status != 500 else "Something went wrong here. The log of the service says where."
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "api_error")
        shape: dict[str, object] = {
            "type": "error",
            "error": {"type": kind, "message": message, "code": error.code},
        }
        if request_id:
            shape["request_id"] = request_id
    else:
        kind = _OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        shape = {"error": {"message": message, "type": kind, "param": None, "code": error.code}}
    body = msgspec.json.encode(shape)
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-keycairn-error", error.code.encode()),
    ]
    if isinstance(error, IngressError) and error.closes:
        headers.append((b"connection", b"close"))
    wait = getattr(error, "retry_after", None)
    if wait is not None:
        headers.append((b"retry-after", str(max(1, round(wait))).encode()))
    if isinstance(error, (InvalidAuthError, UndecryptableError, SealedError, EgressRefusedError)):
        headers.append((b"x-should-retry", b"false"))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="keycairn"'))
    return status, headers, body
