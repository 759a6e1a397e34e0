"""Errors on the wire: RFC 9457 problem documents. Which status an error has is decided in app/statuses.py."""

import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import Struct

from keycairn.app.statuses import api_status, retry_after
from keycairn.domain.errors import (
    AuthenticationError,
    BadRequestError,
    BodyTooLargeError,
    CommitPendingError,
    InvalidInputError,
    KeycairnError,
    MalformedJsonError,
    MethodError,
    NotFoundError,
    OutcomeUnknownError,
    UnsupportedMediaTypeError,
)

MEDIA_TYPE = "application/problem+json"

_log = structlog.get_logger()


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. `code` is stable; `errors` maps a field of ours to what is wrong with it.

    `event` is the id of the audit event that will be there if the change was made, where it is not known to be yet.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: Mapping[str, str] = {}
    event: str = ""


_HTTP: Mapping[int, KeycairnError] = {
    api_status(error): error
    for error in (
        BadRequestError("The request cannot be understood."),
        NotFoundError("There is nothing at this path."),
        MethodError(),
        BodyTooLargeError("The body is too large."),
        UnsupportedMediaTypeError(),
    )
}
"""What stands for Litestar's own exceptions; their text may repeat what the client sent."""


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Mapping[str, str] | None = None,
    event: str | None = None,
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
        event=event or "",
    )
    return Response(problem, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def answer_error(request: Request[Any, Any, Any], error: KeycairnError) -> Response[Problem]:
    """An error of ours: its text is made to be shown."""
    status = api_status(error)
    if status == 500:
        return answer_unexpected(request, error)
    headers = retry_after(error)
    if isinstance(error, AuthenticationError):
        headers["WWW-Authenticate"] = 'Bearer realm="keycairn"'
    fields = error.fields if isinstance(error, InvalidInputError) else {}
    event = error.event if isinstance(error, CommitPendingError | OutcomeUnknownError) else None
    return problem_response(status, error.code, str(error), errors=fields, event=event, headers=headers)


def answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """One of Litestar's exceptions: only its status is told, for its text may hold what the client sent."""
    extra = getattr(error, "extra", None)
    if error.status_code == 400 and isinstance(extra, list):
        keys = [str(item["key"]) for item in extra if isinstance(item, dict) and "key" in item]
        if "data" in keys:
            why = "This request needs a JSON object as its body."
            return problem_response(api_status(MalformedJsonError), MalformedJsonError.code, why)
        wrong = InvalidInputError("A parameter of the request is not valid.", dict.fromkeys(keys, "is not valid"))
        return answer_error(request, wrong)
    if error.status_code not in _HTTP:
        return answer_unexpected(request, error)
    ours = _HTTP[error.status_code]
    allow = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return problem_response(error.status_code, ours.code, str(ours), headers=allow)


def answer_unexpected(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """A fault of ours. The log gets the exception's type and the places it came through; no text, no values."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    _log.error("unexpected error", kind=type(error).__name__, places=places)
    why = "Something went wrong here. The log of the service says where."
    return problem_response(api_status(KeycairnError), KeycairnError.code, why)


ExceptionHandlers = dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]]

EXCEPTION_HANDLERS: ExceptionHandlers = {
    KeycairnError: answer_error,
    HTTPException: answer_http,
    Exception: answer_unexpected,
}
