"""The method of a request, as it may be told."""

from litestar.types import Scope

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def known_method(scope: Scope) -> str:
    """The method, "OTHER" for one that is none of HTTP's common ones: it may be any word, a key too."""
    method = str(scope.get("method", ""))
    return method if method in METHODS else "OTHER"
