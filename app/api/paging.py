"""Keyset paging: opaque cursors and the `Link` header (RFC 8288)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar import Request
from litestar.params import QueryParameter

from keycairn.app.api.problems import BadRequestError
from keycairn.ports.store import MOST

LONGEST_CURSOR = 1024
PREFIX = "keycairn_prefix"
"""The scope key of the path the routes are mounted under."""

Limit = Annotated[int, QueryParameter(ge=1, le=MOST, description="Records of a page at most.")]
Cursor = Annotated[
    str | None, QueryParameter(description="From the `Link` header of the page before.", max_length=LONGEST_CURSOR)
]

_T = TypeVar("_T")


class BrokenCursorError(BadRequestError):
    """A cursor that is not one of ours."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__("This cursor is not one of ours. Begin again without it.", {"cursor": "is not valid"})


def write_cursor(position: Any) -> str:
    """The cursor of a position, a struct or text."""
    return urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def read_cursor(text: str, type: type[_T]) -> _T:
    """The position in a cursor. Raises BrokenCursorError."""
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=type)
    except (ValueError, RecursionError):
        pass
    raise BrokenCursorError


def next_link(request: Request[Any, Any, Any], cursor: str) -> dict[str, str]:
    """The header that leads to the next page: the same query with another cursor."""
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    path = f"{request.scope.get(PREFIX, '')}{request.scope['path']}"
    return {"Link": f'<{path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'}


__all__ = ["Cursor", "Limit", "next_link", "read_cursor", "write_cursor"]
