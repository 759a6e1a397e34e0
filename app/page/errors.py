"""Errors as pages: what failed, what was kept, and what to do about it."""

from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException

from keycairn.app.page.sessions import UNSAFE, UNSENT
from keycairn.app.page.view import View
from keycairn.app.statuses import api_status, retry_after
from keycairn.app.web.inside import keycairn_of
from keycairn.app.web.problems import ExceptionHandlers, answer_unexpected
from keycairn.app.web.problems import answer_http as answer_http_problem
from keycairn.domain.errors import (
    AuthenticationError,
    ForeignOriginError,
    KeycairnError,
    NotFoundError,
    SealedError,
)
from keycairn.domain.secretlike import is_key

PROGRAMS = ("/api", "/openapi", "/health", "/metrics", "/assets")
"""Beginnings of paths that programs ask for."""


def _view(request: Request[Any, Any, Any]) -> View:
    return View(request, keycairn_of(request.scope))


def answer_signed_out(request: Request[Any, Any, Any], _: AuthenticationError) -> Response[Any]:
    """The page to sign in on, which comes back to where one was, with the fields that were filled in."""
    view = _view(request)
    again: list[tuple[str, str]] = request.state.get(UNSENT, [])
    path = str(request.scope["path"])
    query = request.scope["query_string"].decode("latin-1")
    sent = request.method in UNSAFE
    back = path if sent or not query else f"{path}?{query}"
    return view.page(
        "sign_in.html",
        status=401,
        back="" if is_key(unquote(back)) else back,
        again=again,
        sent=sent,
        wrong="Your session is over." if sent else "",
        expired=sent,
    )


def answer_sealed(request: Request[Any, Any, Any], error: SealedError) -> Response[Any]:
    """The page that says which root key is missing; everyone may see it."""
    return _view(request).page("sealed.html", status=503, headers=retry_after(error), why=str(error))


def answer_error(request: Request[Any, Any, Any], error: KeycairnError) -> Response[Any]:
    """An error of ours on a page of its own."""
    status = api_status(error)
    if status == 500:
        return answer_fault(request, error)
    message = str(error)
    if isinstance(error, ForeignOriginError):
        message = "This was not sent by a page of Keycairn that you have open. Open the page anew and send it again."
    if isinstance(error, NotFoundError):
        message = "There is nothing here. It may have been deleted, or your token does not reach it."
    return _view(request).page(
        "error.html",
        status=status,
        headers=retry_after(error),
        title=HTTPStatus(status).phrase,
        message=message,
        code=error.code,
    )


def answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """One of Litestar's own exceptions; its text may repeat what was sent."""
    status = error.status_code
    if status >= 500:
        return answer_fault(request, error)
    return _view(request).page(
        "error.html",
        status=status,
        title=HTTPStatus(status).phrase,
        message="This request cannot be understood. Go back and try it again.",
        code="bad_request",
    )


def answer_fault(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A fault of ours. The log says where; the page only that it does."""
    answer_unexpected(request, error)
    return _view(request).page(
        "error.html",
        status=500,
        title="Something went wrong here",
        message="Nothing that was saved before is lost. The log of the service says more.",
        code="internal_error",
    )


def answer_unknown_path(request: Request[Any, Any, Any], error: NotFoundException) -> Response[Any]:
    """A path that leads nowhere: a page for who reads it in a browser, a problem document for a program."""
    path = str(request.scope["path"])
    reads = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    if not reads or path.startswith(PROGRAMS):
        return answer_http_problem(request, error)
    return _view(request).page(
        "error.html",
        status=404,
        title="There is nothing here",
        message="No page has this address. It may be mistyped, or of another version.",
        code=NotFoundError.code,
    )


EXCEPTION_HANDLERS: ExceptionHandlers = {
    AuthenticationError: answer_signed_out,
    SealedError: answer_sealed,
    KeycairnError: answer_error,
    HTTPException: answer_http,
    Exception: answer_fault,
}


def answer_wrong_method(request: Request[Any, Any, Any], error: MethodNotAllowedException) -> Response[Any]:
    """An address that only takes forms, opened as a page: where a person asks, that is said on one."""
    path = str(request.scope["path"])
    if request.method != "GET" or "text/html" not in request.headers.get("accept", "") or path.startswith(PROGRAMS):
        return answer_http_problem(request, error)
    page = _view(request).page(
        "error.html",
        status=405,
        title="This address only takes a form",
        message="Go back to the page with the form, and send it from there.",
        code="method_not_allowed",
    )
    page.headers.update(error.headers or {})
    return page
