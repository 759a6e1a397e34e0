"""Signing in, with a token or a one-time code, and out."""

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect

from keycairn.app.page.forms import FORM_KEY, PageForm
from keycairn.app.page.sessions import cookie
from keycairn.app.page.view import HEADERS, TheView, View
from keycairn.app.services.access import PageSession
from keycairn.app.statuses import api_status, retry_after
from keycairn.app.web.auth import LONGEST_TOKEN, Access
from keycairn.domain.audit import Caller
from keycairn.domain.errors import AuthenticationError, KeycairnError, TooManyAttemptsError
from keycairn.domain.secret import Secret
from keycairn.domain.secretlike import is_key

PUBLIC: dict[str, Any] = {"scope": Access.PUBLIC, "proves": None}
AGAIN = "again:"
"""Begins the names of fields of another form, which wait for the session that form needs."""


@get("/sign-in", opt=PUBLIC, include_in_schema=False)
async def sign_in(view: TheView) -> Response[Any]:
    """The form for a token; with a code in the address, a button that spends it."""
    view.keycairn.vault.check_open()
    code = view.query("code")
    if not code:
        return _form(view)
    try:
        await view.keycairn.sessions.known(Secret(code))
    except AuthenticationError:
        return _form(view, error=AuthenticationError(), wrong=_why(code, None))
    return view.page("sign_in_code.html", code=code)


@post("/sign-in", opt=PUBLIC, include_in_schema=False)
async def begin(view: TheView) -> Response[Any]:
    """Begin a session. A wrong token counts among the failed attempts of its address."""
    form = PageForm(await view.request.form())
    client = view.request.client
    source = client.host if client else ""
    keycairn = view.keycairn
    code, token = form.text("code"), form.secret("token")
    try:
        if code:
            session = await keycairn.attempts.proven(
                Secret(code), source, lambda text: keycairn.sessions.spend(text, source=source, request_id="")
            )
        else:
            text = token if token and len(token.reveal()) <= LONGEST_TOKEN else Secret("")
            principal = await keycairn.attempts.proven(text, source, keycairn.tokens.authenticate)
            by = Caller(actor=principal.actor, workspace=principal.workspace, source=source)
            session = await keycairn.sessions.begin(principal, by)
    except (AuthenticationError, TooManyAttemptsError) as error:
        wrong = str(error) if isinstance(error, TooManyAttemptsError) else _why(code, token)
        again = [(name.removeprefix(AGAIN), text) for name, text in form.pairs() if name.startswith(AGAIN)]
        return _form(view, error=error, wrong=wrong, back=_local(form.text("back")), again=again)
    return _signed_in(view, form, session)


@get("/signed-in", include_in_schema=False, opt={"scope": Access.ANY_TOKEN})
async def signed_in(view: TheView) -> Response[Any]:
    """For a page that signed in while a form was open: the key of the new session's forms."""
    return view.page("signed_in.html")


@post("/sign-out", include_in_schema=False, opt={"scope": Access.ANY_TOKEN})
async def end(view: TheView) -> Response[Any]:
    """End the session for good."""
    await view.form()
    if view.session is not None:
        await view.keycairn.sessions.end(view.session, view.caller)
    return Redirect(
        view.url("/sign-in", done="signed-out"),
        status_code=303,
        cookies=[cookie(view.request, "", lasts=0)],
        headers=dict(HEADERS),
    )


def _signed_in(view: View, form: PageForm, session: PageSession) -> Response[Any]:
    back = _local(form.text("back"))
    again = [(name.removeprefix(AGAIN), text) for name, text in form.pairs() if name.startswith(AGAIN)]
    if again and back:
        view.session = session
        answer = view.page("send_again.html", back=back, again=[pair for pair in again if pair[0] != FORM_KEY])
        answer.cookies = [view.cookie(session)]
        return answer
    return Redirect(view.base + (back or "/"), status_code=303, cookies=[view.cookie(session)], headers=dict(HEADERS))


def _form(
    view: View, *, error: KeycairnError | None = None, wrong: str = "", back: str = "", again: Any = ()
) -> Response[Any]:
    return view.page(
        "sign_in.html",
        status=200 if error is None else api_status(error),
        headers=None if error is None else retry_after(error),
        wrong=wrong,
        back=back or _local(view.query("back")),
        again=again,
        sent=bool(again),
        expired=False,
    )


def _why(code: str, token: Secret | None) -> str:
    if code:
        return "This link was used, or is too old. Sign in with a token."
    return "No such token works here. It may be mistyped, expired or revoked." if token else "Enter a token."


def _local(path: str) -> str:
    """A path of ours to come back to, "" for anything that a browser could take for another place."""
    fits = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if fits and not is_key(path) else ""
