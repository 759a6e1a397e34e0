"""What in a client's request bears on a token's bounds, besides its model: members that name models, or start work.

Readers differ: in whether the case of a name counts, in which of two of one name does, and in what else they take for
the same. So a name is looked at without case and marks, each of two counts, and so does what is nested: all that is not
the caller's own data.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl

MODEL = "model"
LARGE = 2**17
"""Bytes of a body that are looked into at once."""
_OF_MODELS = ("model", "fallback")
"""What is in the names of members that name models, at any depth: `models`, `fallback_models`, a tool's `model`."""
_OF_MODELS_AT_TOP = frozenset({"deployment", "deploymentid", "engine", "preset", "route"})
"""Those that are about models in the outermost object only."""
_STARTS_WORK = frozenset({"background", "deferred"})
"""Members for work that goes on behind its answer."""
_OF_PICTURES = frozenset({"auto", "opaque", "transparent"})
"""What the `background` of a picture is."""

_DATA_AT_TOP = frozenset({"contents", "documents", "input", "inputs", "messages", "prompt", "system"})
_DATA = frozenset({"args", "arguments", "const", "default", "enum", "examples", "metadata"})
"""Members that hold the caller's own data, in the outermost object or anywhere."""
_OF_SCHEMAS = frozenset({"defs", "definitions", "dependentschemas", "patternproperties", "properties"})
"""Members of a JSON schema in which names are those of the caller's own."""

_NO_LETTERS = re.compile(r"[\W_]+")
_SIGNS_OF_MODELS = (b"fallback", *(name.encode() for name in sorted(_OF_MODELS_AT_TOP)))
_SIGNS_OF_WORK = tuple(name.encode() for name in sorted(_STARTS_WORK))
_ESCAPES = (b"\\u", "\u017f".encode(), "\u212a".encode())
"""What may stand for a letter: an escape, and the two characters outside ASCII that are letters in another case."""


class _Object(tuple[tuple[str, Any], ...]):
    """The members of an object in their order, those of one name too."""

    __slots__ = ()


def folded(name: str) -> str:
    """A name as a lenient reader takes it: without case, marks and blanks."""
    return _NO_LETTERS.sub("", name.casefold())


def about_models(name: str, *, outermost: bool = True) -> bool:
    """Whether a member, a parameter or a part of this `folded` name is about which models are used."""
    return any(part in name for part in _OF_MODELS) or (outermost and name in _OF_MODELS_AT_TOP)


def in_background(body: bytes) -> bool:
    """Whether the body asks for work that goes on behind its answer. True where it is too deep to be sure."""
    if not _any_of(_SIGNS_OF_WORK, body.lower()) and not _any_of(_ESCAPES, body):
        return False
    try:
        found = _members(_parsed(body))
    except (ValueError, RecursionError):
        return True
    return any(name in _STARTS_WORK and value and value not in _OF_PICTURES for name, value, _ in _plain(found))


def names_others(body: bytes) -> bool:
    """Whether the body names more models than its outermost `model`: to fall back to, of a tool, or whatever for.

    True where it is too deep to be sure.
    """
    lower = body.lower()
    if lower.count(b"model") < 2 and not _any_of(_SIGNS_OF_MODELS, lower) and not _any_of(_ESCAPES, body):
        return False
    try:
        found = _members(_parsed(body))
    except (ValueError, RecursionError):
        return True
    return any(
        value and about_models(name, outermost=outermost) and not (outermost and name == MODEL)
        for name, value, outermost in found
    )


def models_named(message: bytes) -> Iterator[object]:
    """What the members that are about models say, `model` too. Raises ValueError or RecursionError for no JSON."""
    for name, value, outermost in _members(_parsed(message)):
        if value and about_models(name, outermost=outermost):
            if name in {MODEL, "models"} and not isinstance(value, _Object):
                yield from value if isinstance(value, list) else [value]
            else:
                yield value


async def looked_into(body: bytes, judge: Callable[[bytes], bool]) -> bool:
    """What `judge` says of a body. Of a large one it is asked in a thread, so that others go on."""
    return judge(body) if len(body) <= LARGE else await asyncio.to_thread(judge, body)


def query_names_others(query: str) -> bool:
    """Whether a query has parameters about models, besides `model`."""
    if not query:
        return False
    names = {folded(name) for text in {query, query.replace(";", "&")} for name, value in parse_qsl(text) if value}
    return any(about_models(name) and name != MODEL for name in names)


def _parsed(body: bytes) -> Any:  # any JSON value
    return json.loads(body.decode(), object_pairs_hook=_Object)


def _any_of(signs: Iterable[bytes], body: bytes) -> bool:
    return any(one in body for one in signs)


def _members(value: object) -> Iterator[tuple[str, object, bool]]:
    """Each member by its folded name, its value, and whether the outermost object holds it. Data is left out."""
    waiting: list[tuple[Sequence[Any], bool, bool]] = [([value], True, False)]
    while waiting:
        inside, outermost, named_by_caller = waiting.pop()
        if not isinstance(inside, _Object):
            waiting += [(one, outermost and isinstance(one, _Object), False) for one in inside if _nests(one)]
            continue
        for key, one in inside:
            name = "" if named_by_caller else folded(key)
            yield name, one, outermost
            if _nests(one) and name not in _DATA and not (outermost and name in _DATA_AT_TOP):
                waiting.append((one, False, name in _OF_SCHEMAS))


def _nests(value: object) -> bool:
    return isinstance(value, list | _Object)


def _plain(found: Iterator[tuple[str, object, bool]]) -> Iterator[tuple[str, Any, bool]]:
    """The members, each value as one that can be looked up."""
    return ((name, bool(value) if _nests(value) else value, outermost) for name, value, outermost in found)
