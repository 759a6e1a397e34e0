"""What providers that manage keys have in common: asking, knowing a key in a list, and one that is gone."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from keycairn.domain.errors import AddressNotFoundError, GarbledAnswerError, InvalidInputError
from keycairn.domain.field import FieldKind, FieldSpec
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import decode, raise_for_failure
from keycairn.plugins.fields import required_header_secret
from keycairn.ports.http import JSON_HEADERS, Http, Request, Response

MOST_PAGES = 200
"""Of a list. Part of one is never taken for all: a key that is not in it would be believed to be gone."""
MAKE_WITHIN = 30.0
"""Seconds the one request may take that makes a key."""
Headers = Mapping[str, str | Secret]
_P = TypeVar("_P")
_SHORTENED = re.compile(r"(?:\.{2,}|\*{2,}|\u2026)+")
_SHORTEST = 3
"""Characters at the end of a shortened key from which it is taken for one."""


def managing_secret(name: str, label: str, help: str, *, sent_to: tuple[str, ...] = ()) -> FieldSpec:
    """A secret that manages keys."""
    return FieldSpec(name=name, label=label, secret=True, required=True, help=help, sent_to=sent_to)


def managing_url(default: str, name: str = "management_url", label: str = "URL of the key management") -> FieldSpec:
    """Where keys are managed."""
    return FieldSpec(name=name, label=label, kind=FieldKind.URL, default=default)


def managed_at(manager: Account, name: str = "management_url") -> str:
    """That URL, without a slash at its end."""
    return manager.text(name).rstrip("/")


async def ask(http: Http, method: str, url: str, headers: Headers, body: Mapping[str, Any] | None = None) -> Response:
    """The answer, whatever its status."""
    if body is None:
        return await http.send(Request(method=method, url=url, headers=headers), deadline=MAKE_WITHIN)
    content = msgspec.json.encode(body)
    request = Request(method=method, url=url, headers={**JSON_HEADERS, **headers}, body=content)
    return await http.send(request, deadline=MAKE_WITHIN)


async def read_pages(
    http: Http,
    url: str,
    page: type[_P],
    *,
    query: Mapping[str, str],
    headers: Headers,
    more: Callable[[Sequence[_P]], Mapping[str, str] | None],
) -> list[_P]:
    """All pages of a list of keys.

    `more` gets the pages so far, and gives what is to be asked for to get the next one, None behind the last.
    Raises ProviderError; GarbledAnswerError after `MOST_PAGES`.
    """
    found: list[_P] = []
    asked = dict(query)
    for _ in pages():
        found.append(decode(await ask(http, "GET", f"{url}?{urlencode(asked)}", headers), page))
        further = more(found)
        if further is None:
            break
        asked |= further
    return found


def pages() -> Iterator[int]:
    """A turn for each page, which the caller breaks off at the last. Raises GarbledAnswerError after `MOST_PAGES`."""
    yield from range(MOST_PAGES)
    raise GarbledAnswerError("The provider's list of keys has no end, or too many keys to be read.")


def bearer(manager: Account, name: str) -> Headers:
    """The header that carries the secret `name` of what manages keys. Raises InvalidAuthError without it."""
    return {"Authorization": required_header_secret(manager, name, prefix="Bearer ")}


def unix_time(seconds: int | None) -> datetime | None:
    """The time of seconds since 1970, as some providers tell it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def segment(text: str) -> str:
    """`text` as one segment of a path. Raises InvalidInputError for one that would lead elsewhere."""
    if text in {"", ".", ".."}:
        raise InvalidInputError("An id that is empty, or only dots, names nothing.")
    return quote(text, safe="")


def shortened(key: Secret | None, hint: str) -> bool:
    """Whether `hint`, such as `sk-abc...xyz`, stands for this key."""
    parts = _SHORTENED.split(hint.strip())
    if key is None or len(parts) != 2:  # a beginning and an end
        return False
    start, end = parts
    text = key.reveal()
    return len(end) >= _SHORTEST and len(start) + len(end) < len(text) and text.startswith(start) and text.endswith(end)


def sha256_of(key: Secret | None) -> str:
    """The SHA-256 of a key in hexadecimal, which several providers list keys by; "" of none."""
    return sha256(key.reveal().encode("utf-8", "replace")).hexdigest() if key is not None else ""


def gone(response: Response) -> None:
    """See that a key is revoked: the answer is good, or says that there is none. Raises ProviderError."""
    try:
        raise_for_failure(response)
    except AddressNotFoundError:
        if response.status != 404:  # of HTTP
            raise
