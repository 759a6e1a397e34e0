"""Keyset paging: opaque cursors and the `Link` header (RFC 8288)."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from litestar import Request
from litestar.params import QueryParameter

from keycairn.app.api.problems import BadRequestError
from keycairn.domain.errors import InvalidIdError
from keycairn.domain.ids import credential_id
from keycairn.ports.store import MOST, Position

LONGEST_CURSOR = 1024
PREFIX = "keycairn_prefix"
"""The scope key of the path the routes are mounted under."""

Limit = Annotated[int, QueryParameter(ge=1, le=MOST, description="Records of a page at most.")]
Cursor = Annotated[
    str | None, QueryParameter(description="From the `Link` header of the page before.", max_length=LONGEST_CURSOR)
]

_ID = re.compile(r"([a-z]{1,20}):[A-Za-z0-9_-]{1,128}", re.ASCII)
_T = TypeVar("_T")


class BrokenCursorError(BadRequestError):
    """A cursor that is not one of ours."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__("This cursor is not one of ours. Begin again without it.", {"cursor": "is not valid"})


def write_cursor(position: Any) -> str:
    """The cursor of a position, a struct or text."""
    return urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def read_position(text: str) -> Position:
    """The place in the credential list a cursor names. Raises BrokenCursorError."""
    position = _read(text, Position)
    try:
        created = position.created.astimezone(UTC)
        if position.created.tzinfo is not None and position.provider.isprintable():
            return Position(position.provider, created, credential_id(position.id))
    except (InvalidIdError, OverflowError):
        pass
    raise BrokenCursorError


def read_id(text: str, table: str) -> str:
    """The record id a cursor names. Raises BrokenCursorError."""
    id = _read(text, str)
    match = _ID.fullmatch(id)
    if match is None or match[1] != table:
        raise BrokenCursorError
    return id


def read_number(text: str) -> int:
    """The number in the audit chain a cursor names. Raises BrokenCursorError."""
    number = _read(text, int)
    if not 0 <= number < 2**63:
        raise BrokenCursorError
    return number


def _read(text: str, type: type[_T]) -> _T:
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=type)
    except (ValueError, RecursionError):
        pass
    raise BrokenCursorError


def next_link(request: Request[Any, Any, Any], cursor: str, **query: str | int | None) -> dict[str, str]:
    """The header that leads to the next page. `query` are the parameters of the list; anything else sent is dropped.

    The page may be kept for other clients, and what one of them sent besides is not theirs to see.
    """
    kept = {name: value for name, value in query.items() if value is not None}
    path = quote(f"{request.scope.get(PREFIX, '')}{request.scope['path']}")
    return {"Link": f'<{path}?{urlencode({**kept, "cursor": cursor})}>; rel="next"'}
