"""The root of every error that is raised on purpose."""

from typing import ClassVar


class KeycairnError(Exception):
    """The root: a fault of Keycairn's own, unless a subclass says otherwise.

    `str(error)` is a sentence the reader can act on, safe to show: it never holds the value of a secret, a provider's
    raw answer, or text the client sent in a field that might be a misplaced secret. `code` is stable: clients match on
    it. `remedy` says in docs/errors.md what to do.
    """

    code: ClassVar[str] = "internal_error"
    remedy: ClassVar[str] = "Look into the service's log, which says where it came up, and report it."
