"""What a handler of the page has at hand: who asks, the form that was sent, and answers."""

import gzip
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from litestar import MediaType, Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.response import Redirect
from markupsafe import Markup

from keycairn.app.keycairn import Keycairn
from keycairn.app.page.assets import ASSETS
from keycairn.app.page.forms import FORM_KEY, KEY_PLACE, PageForm, check_key, masked
from keycairn.app.page.navigation import entries
from keycairn.app.page.rendering import moment, rendered
from keycairn.app.page.sessions import base_path, cookie, session_of
from keycairn.app.services.access import PageSession
from keycairn.app.web.auth import CALLER, REQUEST_ID, SCOPES
from keycairn.domain.audit import Caller
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import ForbiddenError
from keycairn.domain.secretlike import is_key
from keycairn.domain.token import Scope, carries

SMALL = 1024
"""Bytes that are not worth compressing."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Cookie, Accept-Encoding",
}


class View:
    """One request to the page, and what answers it.

    `caller` and `scopes` are those of the session's token; without a session there are none.
    """

    def __init__(self, request: Request[Any, Any, Any], keycairn: Keycairn) -> None:
        self.request = request
        self.keycairn = keycairn
        self.base: str = base_path(request)
        self.session: PageSession | None = session_of(request)
        found = request.state.get(CALLER)
        self._caller = found if isinstance(found, Caller) else None
        self.scopes: tuple[Scope, ...] = request.state.get(SCOPES, ())
        self.now: datetime = keycairn.clock.now()
        self.unknown: list[str] = []
        """What the query asks for that there is not."""

    @property
    def caller(self) -> Caller:
        """Who asks. Raises TypeError where no session was needed."""
        if self._caller is None:
            raise TypeError
        return self._caller

    def may(self, scope: Scope | str, *, installation: bool = False, whole: bool = False) -> bool:
        """Whether the session's token may do what asks for that scope."""
        caller = self._caller
        if caller is None or not carries(self.scopes, Scope(scope)):
            return False
        if installation and (caller.workspace != DEFAULT_WORKSPACE or not caller.reach.whole):
            return False
        return caller.reach.whole or not whole

    def need(self, scope: Scope) -> None:
        """Raise ForbiddenError unless the token carries the scope, for what only some forms of a route do."""
        if not carries(self.scopes, scope):
            raise ForbiddenError(scope)

    def url(self, path: str, **query: object) -> str:
        """A path of ours as the browser asks for it; a query value that is None or "" is left out."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{self.base}{quote(path, safe='/:@!$,;~-._')}" + (f"?{urlencode(given, doseq=True)}" if given else "")

    def query(self, name: str) -> str:
        """A parameter of the query, trimmed; "" where it is not there, or is a key, which belongs into no address."""
        text = str(self.request.query_params.get(name, "")).strip()
        return "" if is_key(text) else text

    def choice(self, name: str, known: Iterable[str], otherwise: str = "") -> str:
        """A parameter of the query that is one of a list; of another one the page says that there is none."""
        text = self.query(name)
        if text and text not in {str(one) for one in known}:
            self.unknown.append(text)
            return otherwise
        return text or otherwise

    async def form(self) -> PageForm:
        """The form that was sent, from a page of this session. Raises ForeignOriginError."""
        form = PageForm(await self.request.form())
        if self.session is not None:
            check_key(form.text(FORM_KEY), self.keycairn.sessions.form_key(self.session))
        return form

    def page(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
    ) -> Response[bytes]:
        """A page. A GET gets an ETag, by which a page that shows something under way is asked for again."""
        text = rendered(template, {**self._surroundings(), **context})
        answered = {**HEADERS, **(headers or {})}
        if status == 200 and self.request.method == "GET":
            tag = f'W/"{sha256(text.encode()).hexdigest()[:24]}"'
            answered["ETag"] = tag
            if self.request.headers.get("if-none-match") == tag:
                return Response(b"", status_code=304, headers=answered, media_type=MediaType.HTML)
        if self.session is not None:
            text = text.replace(KEY_PLACE, masked(self.keycairn.sessions.form_key(self.session)))
        body = text.encode()
        if len(body) > SMALL and "gzip" in self.request.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 5, mtime=0)
            answered["Content-Encoding"] = "gzip"
        return Response(body, status_code=status, headers=answered, media_type=MediaType.HTML, cookies=self._cookies())

    def seen(self, path: str, done: str = "", **query: object) -> Response[Any]:
        """After something was done: leads to a page that shows it. `done` names what is said there."""
        return Redirect(
            self.url(path, done=done, **query), status_code=303, cookies=self._cookies(), headers=dict(HEADERS)
        )

    def _cookies(self) -> list[Cookie]:
        sessions = self.keycairn.sessions
        if self.session is None or not sessions.is_due(self.session):
            return []
        renewed = sessions.renewed(self.session)
        return [self.cookie(renewed)]

    def cookie(self, session: PageSession) -> Cookie:
        """The cookie of a session."""
        lasts = max(1, int((session.ends - self.now).total_seconds()))
        return cookie(self.request, self.keycairn.sessions.cookie(session), lasts=lasts)

    def _surroundings(self) -> dict[str, Any]:
        path = str(self.request.scope["path"])
        form_key = Markup('<input type="hidden" name="{}" value="{}">').format(FORM_KEY, KEY_PLACE)
        return {
            "url": self.url,
            "base": self.base,
            "may": self.may,
            "when": lambda at: moment(at, self.now),
            "now": self.now,
            "path": path,
            "assets": {name: self.base + asset.path for name, asset in ASSETS.items()},
            "caller": self._caller,
            "session": self.session,
            "form_key": form_key if self.session else "",
            "form_key_text": KEY_PLACE if self.session else "",
            "navigation": entries(self, path) if self._caller else [],
            "request_id": self.request.state.get(REQUEST_ID, ""),
            "unknown": self.unknown,
            "done": DONE.get(self.query("done"), ""),
        }


DONE: Mapping[str, str] = {
    "saved": "Saved.",
    "unchanged": "Nothing was changed.",
    "created": "Added.",
    "tested": "Tested.",
    "deleted": "Deleted.",
    "moved": "Moved.",
    "registered": "Registered.",
    "synced": "Brought up to date.",
    "revoked": "The token works no longer.",
    "rotating": "The rotation has begun.",
    "key-rotating": "The rotation of the key has begun. It goes on by itself.",
    "key-leaked": "The key is being replaced.",
    "resumed": "The rotation goes on.",
    "rotation-cancelled": "The rotation is called off. What it made is removed first.",
    "rotation-removed": "The key is rotated no more. It stays as it is.",
    "rootkey": "The root key was changed. Start with the new one next time.",
    "backed-up": "The backup was written.",
    "repaired": "What can be mended safely was mended.",
    "signed-out": "You are signed out.",
}
"""What a page says after something was done, by the word in its address."""

TheView = NamedDependency[View]
