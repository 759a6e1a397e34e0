"""Reading the call that a websocket's handshake is: its token, its subprotocols, its path and query."""

from itertools import pairwise
from typing import Any
from urllib.parse import unquote, unquote_plus

from keycairn.app.gateway.call import Api, Call
from keycairn.app.gateway.headers import received
from keycairn.app.gateway.presented import LONGEST_TOKEN, presented_token
from keycairn.app.gateway.query_naming import model_in_query
from keycairn.app.gateway.routes import APIS, NATIVE, check_plain, check_query
from keycairn.app.services.access import Principal
from keycairn.domain.errors import AmbiguousRequestError, NoRouteError, RequestRefusedError
from keycairn.domain.modality import Modality
from keycairn.domain.secret import Secret

SOCKET_APIS = {
    f"/v1{path}": Api("realtime", path, Modality.LANGUAGE, websocket=True, speaks_first=True)
    for path in ("/realtime", "/realtime/translations")
}
"""Every operation over a websocket that names a model, by its path."""
LISTENS = "default:speech_to_text"
"""What serves a session that only transcribes and names its model later."""

_KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""In front of a key, where a browser's client has no header to put it into. Source: OpenAI's SDK, realtime."""
_SCHEMES = frozenset({"token", "bearer"})
"""A subprotocol before the one that is the key. Source: developers.deepgram.com, browsers."""
_PASSED = "realtime"
_PASSED_BEGINNING = "openai-beta."
_REFUSED = frozenset({"call_id"})
"""Of a query: what names a call that others may have made."""


class Offered:
    """What a handshake offers: the `token` and the `query` without it, and the subprotocols.

    `passed` are those that go on to the provider; `chosen` is ours to choose where the provider chooses none, "" for
    none. Raises AmbiguousRequestError for two different tokens.
    """

    def __init__(self, scope: Any) -> None:
        offered: list[str] = list(scope.get("subprotocols") or ())
        self.query: Any = scope["query_string"].decode("latin-1")
        found = {presented_token(dict(scope["headers"])).reveal(), *self._of_query(), *_of_subprotocols(offered)} - {""}
        if len(found) > 1:
            raise AmbiguousRequestError("The handshake holds different tokens. Send one.")
        text = found.pop() if found else ""
        self.token: Secret = Secret(text if len(text) <= LONGEST_TOKEN and text.isascii() else "")
        self.passed: list[str] = [one for one in offered if one == _PASSED or one.startswith(_PASSED_BEGINNING)]
        schemes = [one for one in offered[:-1] if one.lower() in _SCHEMES]
        self.chosen: str = _PASSED if _PASSED in offered else next(iter(schemes), "")

    def _of_query(self) -> list[str]:
        """The keys in the query, as Google's clients put them there; they are taken out of it."""
        parts = self.query.split("&")
        names = [unquote_plus(part.partition("=")[0]) for part in parts]
        self.query = "&".join(part for part, name in zip(parts, names, strict=True) if name != "key")
        return [unquote_plus(part.partition("=")[2]) for part, name in zip(parts, names, strict=True) if name == "key"]


def _of_subprotocols(offered: list[str]) -> list[str]:
    keys = [one.removeprefix(_KEY_SUBPROTOCOL) for one in offered if one.startswith(_KEY_SUBPROTOCOL)]
    return keys + [key for scheme, key in pairwise(offered) if scheme.lower() in _SCHEMES]


def socket_call(scope: Any, path: str, query: str, caller: Principal) -> Call:
    """The call. Raises NoRouteError or RequestRefusedError."""
    check_query(query)
    headers = received(scope["headers"])
    api = SOCKET_APIS.get(path)
    if api is not None:
        names = {unquote_plus(part.partition("=")[0]).strip().lower() for part in query.replace(";", "&").split("&")}
        if not _REFUSED.isdisjoint(names):
            raise RequestRefusedError("A call that was begun elsewhere cannot be joined here.")
        model = model_in_query(query)
        if model is None and "intent" in names:
            model = LISTENS
        if not model:
            raise RequestRefusedError('The query must name a model, as in "?model=gpt-realtime".')
        return Call(api=api, method="GET", query=query, headers=headers, caller=caller, model=model)
    if path in APIS:
        raise NoRouteError("The gateway serves this path over HTTP alone, streams too: it opens no websocket here.")
    if not path.startswith(NATIVE):
        raise NoRouteError("The gateway has no websocket at this path.")
    raw = scope.get("raw_path")
    target = str(raw.decode("latin-1")).partition("?")[0] if raw else str(scope["path"])
    credential, slash, rest = target.partition(NATIVE)[2].partition("/")
    rest = rest.removeprefix("/")  # Google's SDK puts a slash of its own behind a URL that ends with one
    if not credential or not slash or not rest:
        raise NoRouteError
    check_plain(rest)
    return Call(
        api=Api("native", "/" + rest, native=True, websocket=True, speaks_first=rest.endswith("realtime")),
        method="GET",
        query=query,
        headers=headers,
        caller=caller,
        credential=unquote(credential),
    )
