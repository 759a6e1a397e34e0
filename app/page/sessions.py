"""The cookie of a session, and what lets a request with it through."""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.handlers import BaseRouteHandler

from keycairn.app.keycairn import Keycairn
from keycairn.app.page.forms import PageForm
from keycairn.app.services.access import PageSession, Principal
from keycairn.app.web.auth import UNTRIED
from keycairn.app.web.paging import PREFIX
from keycairn.domain.errors import AmbiguousRequestError, AuthenticationError, ForeignOriginError

SESSION = "keycairn_session"
"""The key of the request's session in its state."""
UNSENT = "keycairn_unsent"
"""The key of the fields of a form that was sent without a session."""
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PORTS = {"http": 80, "https": 443}

Connection = ASGIConnection[Any, Any, Any, Any]


def base_path(connection: Connection) -> str:
    """What stands before our paths for the browser; "" at the root."""
    return urlsplit(str(connection.scope.get(PREFIX, ""))).path.rstrip("/")


def cookie_name(connection: Connection) -> str:
    """The cookie's name. Browsers do not keep the cookies of two ports apart, so it names the port."""
    scheme = str(connection.scope.get("scheme", "http"))
    port = urlsplit(f"//{connection.headers.get('host', '')}").port or _PORTS.get(scheme, 80)
    return f"keycairn-session-{port}"


def cookie(connection: Connection, text: str, *, lasts: int) -> Cookie:
    """The cookie with a session's text; `lasts` seconds, 0 to remove it."""
    return Cookie(
        key=cookie_name(connection),
        value=text,
        max_age=lasts,
        path=base_path(connection) or "/",
        httponly=True,
        samesite="strict",
        secure=connection.scope.get("scheme") == "https",
    )


async def by_session(connection: Connection, keycairn: Keycairn) -> Principal:
    """Who asks, by the session's cookie and nothing else. Raises AuthenticationError or SealedError."""
    keycairn.vault.check_open()
    name = cookie_name(connection)
    if connection.headers.get("cookie", "").count(f"{name}=") > 1:
        raise AmbiguousRequestError("The session's cookie is there more than once: somebody else set one.")
    text = connection.cookies.get(name)
    try:
        session, principal = await keycairn.sessions.recognised(text or "")
    except AuthenticationError:
        connection.state[UNTRIED] = not text
        connection.state[UNSENT] = await _filled_in(connection)
        raise
    connection.state[SESSION] = session
    return principal


async def _filled_in(connection: Connection) -> list[tuple[str, str]]:
    """The fields of a form that comes too late, secrets apart, to be given back."""
    typed = connection.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if not isinstance(connection, Request) or not typed:
        return []
    return PageForm(await connection.form()).pairs()


def session_of(connection: Connection) -> PageSession | None:
    """The session the request was let through with, None for a request that needs none."""
    found = connection.state.get(SESSION)
    return found if isinstance(found, PageSession) else None


async def from_our_pages(connection: Connection, _: BaseRouteHandler) -> None:
    """Let through what changes something only from a page of ours; a guard. Raises ForeignOriginError.

    Other ports of the same host send our cookie too, and are `same-site`. A browser tells nothing of the kind to a name
    over plain HTTP; there the origin must be the host that is asked. A form's own key is asked for besides.
    """
    if connection.scope.get("method") not in UNSAFE:
        return
    site = connection.headers.get("sec-fetch-site", "").strip().lower()
    origin = connection.headers.get("origin", "")
    if site:
        if site != "same-origin":
            raise ForeignOriginError
    elif not origin or urlsplit(origin).netloc.lower() != connection.headers.get("host", "").lower():
        raise ForeignOriginError
