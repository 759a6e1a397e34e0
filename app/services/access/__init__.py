"""Who may: tokens, and the limit on failed attempts."""

from keycairn.app.services.access.attempts import Attempts
from keycairn.app.services.access.tokens import Principal, Tokens

__all__ = ["Attempts", "Principal", "Tokens"]
