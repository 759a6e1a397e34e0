"""The credential list as bytes, kept while nothing changed."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from secrets import token_hex
from typing import Any

import msgspec
from litestar import MediaType, Response
from litestar.response import Stream

from keycairn.app.api.conditions import names
from keycairn.app.api.fragments import Fragments
from keycairn.app.keycairn import Keycairn

LIST_CACHE = "list_cache"
"""The name of the dependency, and the key of a request's state that holds it."""
MOST_PAGES = 64
MOST_BYTES = 32 * 1024 * 1024


class ListCache:
    """Pages of the list, by what was asked. All are dropped when the store's revision or the vault's state changes.

    `fragments` are what pages are made of.
    """

    def __init__(self, keycairn: Callable[[], Keycairn]) -> None:
        self.fragments: Fragments = Fragments(keycairn)
        self._keycairn = keycairn
        self._state: tuple[object, ...] = ()
        self._pages: OrderedDict[tuple[object, ...], tuple[bytes, dict[str, str]]] = OrderedDict()
        self._bytes = 0
        self._nonce = token_hex()

    async def answer(
        self, key: tuple[object, ...], if_none_match: str | None, make: Callable[[], Awaitable[Response[Any]]]
    ) -> Response[Any]:
        """The page with its ETag, from here or from `make`; 304 when the client has it already.

        What `make` reads after a change in between is not kept.
        """
        keycairn = self._keycairn()
        state = await _state(keycairn)
        if state != self._state:
            self._pages.clear()
            self._state, self._bytes = state, 0
        if kept := self._pages.get(key):
            self._pages.move_to_end(key)
            return _answer(*kept, if_none_match)
        fresh = await make()
        if isinstance(fresh, Stream):
            return self._streamed(fresh, key, state, if_none_match)
        body = fresh.content if isinstance(fresh.content, bytes) else msgspec.json.encode(fresh.content)
        headers = {**fresh.headers, "ETag": f'"{sha256(body).hexdigest()[:32]}"'}
        if await _state(keycairn) == state == self._state:
            self._keep(key, body, headers)
        return _answer(body, headers, if_none_match)

    def _streamed(
        self, fresh: Stream, key: tuple[object, ...], state: tuple[object, ...], if_none_match: str | None
    ) -> Response[Any]:
        """A list that is too long to be kept. Its ETag is that of the state it is read from."""
        etag = f'"{sha256(repr((self._nonce, state, key)).encode()).hexdigest()[:32]}"'
        if names(if_none_match, etag):
            return Response(b"", headers={"ETag": etag}, status_code=304, media_type=MediaType.JSON)
        fresh.headers["ETag"] = etag
        return fresh

    def _keep(self, key: tuple[object, ...], body: bytes, headers: dict[str, str]) -> None:
        if key in self._pages:
            return
        self._pages[key] = (body, headers)
        self._bytes += len(body)
        while len(self._pages) > MOST_PAGES or self._bytes > MOST_BYTES:
            _, (dropped, _) = self._pages.popitem(last=False)
            self._bytes -= len(dropped)


def _answer(body: bytes, headers: dict[str, str], if_none_match: str | None) -> Response[Any]:
    if names(if_none_match, headers["ETag"]):
        return Response(b"", headers=headers, status_code=304, media_type=MediaType.JSON)
    return Response(body, headers=headers, media_type=MediaType.JSON)


async def _state(keycairn: Keycairn) -> tuple[object, ...]:
    vault = keycairn.vault
    keyset = vault.keyset if vault.why_sealed is None else None
    return (id(keycairn), await keycairn.store.revision(), vault.why_sealed, id(keyset))
