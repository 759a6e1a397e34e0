"""Keyset paging: sealed cursors and the `Link` header (RFC 8288)."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from litestar import MediaType, Request, Response
from litestar.params import QueryParameter
from litestar.response import Stream

from keycairn.app.services.keys import Vault
from keycairn.app.turns import TURN, batches, in_turns, json_list
from keycairn.domain.audit import Caller
from keycairn.domain.errors import BrokenCursorError
from keycairn.ports.store import MOST

LONGEST_CURSOR = 1024
READ_AT_ONCE = 250
"""Records that are read at a time of a list that is streamed."""
PREFIX = "keycairn_prefix"
"""The scope key of what stands before our paths for a client: the public address, or the path of the mount."""

Limit = Annotated[int, QueryParameter(ge=1, le=MOST, description="Records of a page at most.")]
PageLimit = Annotated[
    int | None,
    QueryParameter(ge=1, le=MOST, description="Records of a page at most. Without it, the list is whole."),
]
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


class Listing(Generic[_T, _Place]):
    """A list in the order of its places. `read` gives some items after a place, at most as many as it is asked for.

    `json` gives an item as a member of the list. `shown` says which of them the caller may see, None all.
    """

    def __init__(
        self,
        read: Callable[[_Place | None, int], Awaitable[Sequence[_T]]],
        place: Callable[[_T], _Place],
        json: Callable[[_T], bytes],
        shown: Callable[[_T], bool] | None,
    ) -> None:
        self._read = read
        self._place = place
        self._json = json
        self._shown = shown

    async def answer(
        self, after: _Place | None, limit: int | None, link: Callable[[_Place], dict[str, str]]
    ) -> Response[Any]:
        """A page of `limit` items, with `link` to the next; without a limit all of them, streamed if they are many."""
        size = limit or MOST
        found = await shown_page(self._read, self._place, self._shown, after, size)
        if len(found) < size or limit is not None:
            parts = []
            for some in batches(found, TURN):
                parts.append(b",".join(map(self._json, some)))
                await asyncio.sleep(0)
            headers = link(self._place(found[-1])) if limit is not None and len(found) == size else None
            return Response(b"[" + b",".join(parts) + b"]", headers=headers, media_type=MediaType.JSON)
        return Stream(self._parts(found), media_type=MediaType.JSON)

    async def _parts(self, found: Sequence[_T]) -> AsyncGenerator[bytes, None]:
        """The JSON of the list, a few items at a time; a page is read when the one before it went out."""
        mark, size = b"[", MOST
        while True:
            for some in batches(found, TURN):
                yield mark + b",".join(map(self._json, some))
                mark = b","
                await asyncio.sleep(0)
            if len(found) < size:
                break
            size = READ_AT_ONCE
            found = await shown_page(self._read, self._place, self._shown, self._place(found[-1]), size)
        yield b"]"


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
