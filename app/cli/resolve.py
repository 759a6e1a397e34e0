"""Records by what a person calls them: an id, a name, `provider/name`, or a provider that has one account only."""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keycairn.app.cli.connected import segment
from keycairn.domain.errors import AmbiguousNameError, NoSuchNameError
from keycairn.domain.ids import KEY

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

Record = Mapping[str, Any]
CREDENTIAL_ID, MODEL_ID, TOKEN_ID = (re.compile(f"{kind}:{KEY}") for kind in ("credential", "model", "token"))
"""What is an id; all else is a name, even one that begins so."""


async def credential(client: "Client", word: str) -> Record:
    """The credential that `word` means. Raises NoSuchNameError, AmbiguousNameError or RequestFailedError."""
    if CREDENTIAL_ID.fullmatch(word):
        return dict(await client.get(f"/api/credentials/{segment(word)}"))
    return credential_among(await client.all("/api/credentials"), word)


def credential_among(known: Sequence[Record], word: str) -> Record:
    """The one of `known` that `word` means: records with `id`, `name` and `provider`. Raises as `credential`."""
    ways: list[Callable[[Record], str]] = [
        lambda each: each["id"],
        lambda each: each["name"],
        lambda each: f"{each['provider']}/{each['name']}",
        lambda each: each["provider"],
    ]
    return _chosen("credential", word, known, ways)


async def model(client: "Client", word: str) -> Record:
    """The model that `word` means. Raises as `credential`."""
    if MODEL_ID.fullmatch(word):
        return dict(await client.get(f"/api/models/{segment(word)}"))
    return model_among(await client.all("/api/models"), word)


def model_among(known: Sequence[Record], word: str) -> Record:
    """The one of `known` that `word` means: records with `id`, `name` and `provider`. Raises as `credential`."""
    ways: list[Callable[[Record], str]] = [
        lambda each: each["id"],
        lambda each: each["name"],
        lambda each: f"{each['provider']}/{each['name']}",
    ]
    return _chosen("model", word, known, ways)


async def token(client: "Client", word: str) -> Record:
    """The token that `word` means; of several of one name, the one that is not revoked. Raises as `credential`."""
    known = await client.get("/api/tokens")
    if TOKEN_ID.fullmatch(word):
        return _chosen("token", word, known, [lambda each: each["id"]])
    usable = [each for each in known if not each["revoked"]]
    return _chosen("token", word, usable if _named(usable, word) else known, [lambda each: each["name"]])


def _named(records: Iterable[Record], name: str) -> bool:
    return any(each["name"].casefold() == name.casefold() for each in records)


def _chosen(kind: str, word: str, records: Sequence[Record], ways: Sequence[Callable[[Record], str]]) -> Record:
    """The one record that `word` means by the first way that finds any: spelt so, else in whatever case."""
    for way in ways:
        for spelled in (str, str.casefold):
            found = [each for each in records if spelled(way(each)) == spelled(word)]
            if len(found) == 1:
                return found[0]
            if found:
                raise AmbiguousNameError(kind, [_described(each, found) for each in found])
    raise NoSuchNameError(kind)


def _described(record: Record, among: Iterable[Record]) -> str:
    """By which words one of several is meant: `provider/name` where that tells it apart, and its id."""
    whole = _qualified(record)
    unique = [_qualified(each) for each in among].count(whole) == 1 and "provider" in record
    return f"{spoken(whole)}  {record['id']}" if unique else f"{record['id']}  (called {whole}, as is another)"


def _qualified(record: Record) -> str:
    return "/".join(part for part in (record.get("provider"), record["name"]) if part)


def spoken(name: str) -> str:
    """A name as it can be typed into a shell."""
    return shlex.quote(name)
