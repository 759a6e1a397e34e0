"""Who may: tokens, the sessions of browsers, and the limit on failed attempts."""

from keycairn.app.services.access.attempts import Attempts
from keycairn.app.services.access.sessions import Code, PageSession, Sessions
from keycairn.app.services.access.tokens import Principal, Tokens

__all__ = ["Attempts", "Code", "PageSession", "Principal", "Sessions", "Tokens"]
