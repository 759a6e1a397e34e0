"""Keyset paging: sealed cursors and the `Link` header (RFC 8288)."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from litestar import MediaType, Request, Response
from litestar.params import QueryParameter

from keycairn.app.services.keys import Vault
from keycairn.app.turns import in_turns, json_list
from keycairn.domain.audit import Caller
from keycairn.domain.errors import BrokenCursorError
from keycairn.ports.store import MOST

LONGEST_CURSOR = 1024
PREFIX = "keycairn_prefix"
"""The scope key of what stands before our paths for a client: the public address, or the path of the mount."""

Limit = Annotated[int, QueryParameter(ge=1, le=MOST, description="Records of a page at most.")]
Cursor = Annotated[
    str | None, QueryParameter(description="From the `Link` header of the page before.", max_length=LONGEST_CURSOR)
]

_T = TypeVar("_T")
_View = TypeVar("_View")
_Place = TypeVar("_Place")


class Cursors:
    """Reads and writes the cursors of one list, with its filters, for one caller.

    A cursor names a place by what was shown last. It is sealed, so that it tells its bearer nothing, and bound to the
    caller's workspace, token and reach, to the list and to its filters: anywhere else it opens nothing.
    """

    def __init__(self, vault: Vault, caller: Caller, name: str, **filters: object) -> None:
        self._vault = vault
        given = {key: value for key, value in filters.items() if value is not None}
        self._place = msgspec.json.encode([name, caller.workspace, caller.actor, caller.reach, sorted(given.items())])

    def write(self, position: object) -> str:
        """The cursor of a position. Raises SealedError."""
        sealed = self._vault.keyset.seal_cursor(msgspec.json.encode(position), self._place)
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def read(self, text: str | None, type: type[_T]) -> _T | None:
        """The position a cursor names, None for none. Raises BrokenCursorError or SealedError."""
        if text is None:
            return None
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            canonical = urlsafe_b64encode(sealed).rstrip(b"=").decode() == text
            plain = self._vault.keyset.open_cursor(sealed, self._place) if canonical else None
            if plain is not None:
                return msgspec.json.decode(plain, type=type)
        except (ValueError, RecursionError):
            pass
        raise BrokenCursorError


async def shown_page(
    read: Callable[[_Place | None, int], Awaitable[Sequence[_T]]],
    place: Callable[[_T], _Place],
    shown: Callable[[_T], bool] | None,
    after: _Place | None,
    limit: int,
) -> list[_T]:
    """The next `limit` items that are shown, fewer at the end of the list; None in place of `shown` shows all.

    What is not shown is passed over, so that neither the size of a page nor where it ends tells anything of it.
    """
    if shown is None:
        return list(await read(after, limit))
    items: list[_T] = []
    while page := await read(after, MOST):
        items += [item for item in page if shown(item)]
        await asyncio.sleep(0)
        if len(items) >= limit or len(page) < MOST:
            break
        after = place(page[-1])
    return items[:limit]


async def listed(
    items: Sequence[_T], view: Callable[[_T], _View], headers: dict[str, str] | None = None
) -> Response[list[_View]]:
    """The answer with the views of the items, made and encoded a few at a time."""
    body: Any = await json_list(await in_turns(items, view))
    return Response(body, headers=headers, media_type=MediaType.JSON)


def next_link(request: Request[Any, Any, Any], cursor: str, **query: str | int | None) -> dict[str, str]:
    """The header that leads to the next page. `query` are the parameters of the list; anything else sent is dropped.

    The page may be kept for other clients, and what one of them sent besides is not theirs to see.
    """
    kept = {name: value for name, value in query.items() if value is not None}
    path = f"{request.scope.get(PREFIX, '')}{quote(request.scope['path'])}"
    return {"Link": f'<{path}?{urlencode({**kept, "cursor": cursor})}>; rel="next"'}
