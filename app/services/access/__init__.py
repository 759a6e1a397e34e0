"""Who may: tokens, the sessions of browsers, and the limit on failed attempts."""

from keycairn.app.services.access.attempts import Attempts
from keycairn.app.services.access.sessions import Code, PageSession, Sessions
from keycairn.app.services.access.token_changes import TokenChanges, TokenPatch
from keycairn.app.services.access.tokens import WORKSPACE, Principal, Tokens

__all__ = [
    "WORKSPACE",
    "Attempts",
    "Code",
    "PageSession",
    "Principal",
    "Sessions",
    "TokenChanges",
    "TokenPatch",
    "Tokens",
]
