"""Errors on the wire: RFC 9457 problem documents. The one place that knows which error is which HTTP status."""

import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from msgspec import Struct

from keycairn.app.ingress.errors import IngressError
from keycairn.domain.errors import (
    AuthenticationError,
    BackupFileError,
    ConflictError,
    EgressRefusedError,
    ForbiddenError,
    InvalidDefaultError,
    InvalidIdError,
    InvalidInputError,
    KeycairnError,
    ModelExistsError,
    NotFoundError,
    PreconditionFailedError,
    ProviderError,
    ProviderTimeoutError,
    SealedError,
    StoreError,
    StoreFullError,
    TooManyAttemptsError,
    UndecryptableError,
    UrlRefusedError,
    WrongRootKeyProofError,
)

MEDIA_TYPE = "application/problem+json"

_log = structlog.get_logger()


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. `code` is stable; `errors` maps a field of ours to what is wrong with it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: Mapping[str, str] = {}


class BadRequestError(InvalidInputError):
    """The request itself is malformed: not JSON, a broken cursor, a broken header."""

    code = "bad_request"
    status: ClassVar[int] = 400


class MalformedJsonError(BadRequestError):
    """The body is not JSON."""

    code = "malformed_json"

    def __init__(self) -> None:
        super().__init__("The body is not well-formed JSON.")


class RepeatedFieldError(BadRequestError):
    """An object of the body has a field more than once; which of them counts is for no reader to guess."""

    code = "repeated_field"


class UnsupportedMediaTypeError(BadRequestError):
    """The body is declared as something other than JSON."""

    code = "unsupported_media_type"
    status = 415

    def __init__(self) -> None:
        super().__init__("The body must be JSON: Content-Type: application/json.")


class InvalidModelTypeError(BadRequestError):
    """A model's type that does not exist."""

    code = "invalid_model_type"


_STATUS: tuple[tuple[type[KeycairnError], int], ...] = (
    (InvalidIdError, 404),
    (UrlRefusedError, 400),
    (ModelExistsError, 400),
    (InvalidDefaultError, 400),
    (InvalidInputError, 422),
    (NotFoundError, 404),
    (ConflictError, 409),
    (PreconditionFailedError, 412),
    (AuthenticationError, 401),
    (ForbiddenError, 403),
    (WrongRootKeyProofError, 403),
    (TooManyAttemptsError, 429),
    (SealedError, 503),
    (StoreFullError, 507),
    (StoreError, 503),
    (BackupFileError, 503),
    (UndecryptableError, 409),
    (ProviderTimeoutError, 504),
    (ProviderError, 502),
    (EgressRefusedError, 502),
)
"""The first class that matches decides."""

_HTTP: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "The request cannot be understood."),
    404: ("not_found", "There is nothing at this path."),
    405: ("method_not_allowed", "This path does not take that method."),
    413: ("body_too_large", "The body is too large."),
    415: ("unsupported_media_type", "The body must be JSON: Content-Type: application/json."),
}
"""What we say for Litestar's own exceptions; their text may repeat what the client sent."""


def status_of(error: KeycairnError) -> int:
    """The HTTP status of an error of ours; 500 where it is none a client should ever see."""
    if isinstance(error, BadRequestError | IngressError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Mapping[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[Problem]:
    """A problem document as a response."""
    problem = Problem(
        type=f"urn:keycairn:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        errors=errors or {},
    )
    return Response(problem, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def answer_error(request: Request[Any, Any, Any], error: KeycairnError) -> Response[Problem]:
    """An error of ours: its text is made to be shown."""
    status = status_of(error)
    if status == 500:
        return answer_unexpected(request, error)
    headers: dict[str, str] = {}
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = 'Bearer realm="keycairn"'
    elif isinstance(error, TooManyAttemptsError):
        headers["Retry-After"] = str(error.retry_after)
    elif status == 503:
        headers["Retry-After"] = "5"
    fields = error.fields if isinstance(error, InvalidInputError) else {}
    return problem_response(status, error.code, str(error), errors=fields, headers=headers)


def answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """One of Litestar's exceptions: only its status is told, for its text may hold what the client sent."""
    extra = getattr(error, "extra", None)
    if error.status_code == 400 and isinstance(extra, list):
        keys = [str(item["key"]) for item in extra if isinstance(item, dict) and "key" in item]
        if "data" in keys:
            return problem_response(400, MalformedJsonError.code, "This request needs a JSON object as its body.")
        fields = dict.fromkeys(keys, "is not valid")
        return problem_response(422, "invalid_input", "A parameter of the request is not valid.", errors=fields)
    if error.status_code not in _HTTP:
        return answer_unexpected(request, error)
    code, detail = _HTTP[error.status_code]
    allow = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return problem_response(error.status_code, code, detail, headers=allow)


def answer_unexpected(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """A fault of ours. The log gets the exception's type and the places it came through; no text, no values."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    _log.error("unexpected error", kind=type(error).__name__, places=places)
    return problem_response(500, "internal_error", "Something went wrong here. The log of the service says where.")


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    KeycairnError: answer_error,
    HTTPException: answer_http,
    Exception: answer_unexpected,
}
