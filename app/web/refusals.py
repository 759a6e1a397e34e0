"""Refused attempts, for the audit log."""

from litestar.types import Scope

from keycairn.app.services.audit import ANONYMOUS
from keycairn.app.web.auth import CALLER, UNTRIED
from keycairn.app.web.inside import keycairn_of
from keycairn.app.web.methods import known_method
from keycairn.domain.audit import Action, Caller
from keycairn.domain.errors import (
    AuthenticationError,
    EgressRefusedError,
    ForbiddenError,
    SecretReentryRequiredError,
    TooManyAttemptsError,
    UrlRefusedError,
)

NOTED = (
    AuthenticationError,
    ForbiddenError,
    TooManyAttemptsError,
    SecretReentryRequiredError,
    UrlRefusedError,
    EgressRefusedError,
)
"""What somebody tried who may not."""


async def note_refusal(error: Exception, scope: Scope) -> None:
    """Count `error` where it is a refusal. The route is told as its template: what stands in a path may be a key."""
    if not isinstance(error, NOTED) or scope["state"].get(UNTRIED):
        return
    caller = scope["state"].get(CALLER)
    if not isinstance(caller, Caller):
        client = scope.get("client")
        caller = Caller(actor=ANONYMOUS, source=client[0] if client else "")
    route = f"{known_method(scope)} {scope.get('path_template', '')}"
    keycairn_of(scope).audit_counters.note(caller, Action.ACCESS_REFUSED, route, outcome=error.code)
