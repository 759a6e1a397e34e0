"""Base URLs and API versions as they are pasted: with quotes, a whole endpoint, a query."""

import re
from collections.abc import Sequence
from functools import lru_cache
from unicodedata import normalize

from keycairn.domain.errors import InvalidInputError
from keycairn.domain.healing.keys import Healed

_EVERYBODYS = (
    "v1/messages/count_tokens",
    "chat/completions",
    "completions",
    "responses",
    "embeddings",
    "models",
    "messages",
    "audio/transcriptions",
    "audio/translations",
    "audio/speech",
    "images/generations",
    "moderations",
    "rerank",
)
"""Calls below a base URL, whoever answers them."""
_QUOTES = frozenset({'""', "''", "``", "<>"})
_ASSIGNED = re.compile(r"(?:export\s+)?[A-Za-z][A-Za-z0-9_]{1,63}\s*=\s*(?=[\"'`]?https?://)", re.IGNORECASE)
_HOST = re.compile(r"(https?://)([^/?#:@\s\[\]\\]+)(?=[:/?#]|$)", re.IGNORECASE)
_PLAIN_HOST = re.compile(r"[\w.-]+")
_ASCII_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.?", re.ASCII)
_DISPUTED = frozenset("\u00df\u1e9e\u03c2\u200c\u200d")
"""Sharp s, final sigma and joiners: IDNA 2003 and 2008 give them other names, and so other hosts."""
_QUERY = re.compile(r"\?api-version=([0-9A-Za-z.-]{1,40})&?", re.ASCII | re.IGNORECASE)
_VERSION = re.compile(r"(?:.*[?&])?api-version\s*=\s*([0-9A-Za-z.-]{1,40})", re.ASCII | re.IGNORECASE | re.DOTALL)


def healed_address(text: str, operations: Sequence[str] = ()) -> Healed:
    """The base URL in `text`: quotes, a variable's name and the endpoint of a call are taken off, one layer of each.

    `operations` are the provider's calls as `ProviderSpec.native_operations` has them. What is no URL stays as it is,
    for the strict parser to refuse.
    """
    url, notes = _unwrapped(text)
    if (ascii := _ascii_host(url)) is not None:
        url, name = ascii
        notes.append(f"its host is written {name} now")
    path_at = url.find("/", url.find("://") + 3) if "://" in url else -1
    if path_at < 0 or "?" in url or "#" in url:
        return Healed(url, tuple(notes))
    head, path = url[:path_at], url[path_at:]
    match = _endpoints(tuple(operations)).search(path)
    if match is None:
        return Healed(url, tuple(notes))
    kept = head + path[: match.start()]
    return Healed(kept, (*notes, f"{match[0].rstrip('/')} was taken off its end; it is {kept} now"))


def split_version(text: str, given: object) -> tuple[str, str | None]:
    """An address without its query `api-version=...`, and that version; None where it has none.

    Raises InvalidInputError where `given`, the version that came with it, is another.
    """
    match = _QUERY.search(text)
    if match is None or match.end() != len(text):
        return text, None
    version = match[1]
    if isinstance(given, str) and given and healed_version(given).text != version:
        message = "The address names another api-version than the field api_version. Send one of them."
        raise InvalidInputError(message, {"api_version": "differs from the one in the address"})
    return text[: match.start()], version


def healed_version(text: str) -> Healed:
    """The version in `text`, which may be pasted as `api-version=2024-10-21`."""
    version, notes = _unwrapped(text)
    match = _VERSION.fullmatch(version)
    if match is None:
        return Healed(version, tuple(notes))
    return Healed(match[1], (*notes, f"`api-version=` before it was taken off; it is {match[1]} now"))


def _unwrapped(text: str) -> tuple[str, list[str]]:
    plain, notes = text.strip(), []
    if match := _ASSIGNED.match(plain):
        plain = plain[match.end() :].strip()
        notes.append("the variable's name before it was taken off")
    if len(plain) > 1 and plain[0] + plain[-1] in _QUOTES:
        plain = plain[1:-1].strip()
        notes.append("the quotes around it were taken off")
    return plain, notes


def _ascii_host(url: str) -> tuple[str, str] | None:
    """The address with its host as the DNS has it (RFC 3490), and that host; None where it is so, or has no one form.

    What the versions of IDNA write differently, and letters that only look like others, are nobody's to guess.
    """
    match = _HOST.match(url)
    if match is None or match[2].isascii():
        return None
    host = normalize("NFC", match[2])
    if normalize("NFKC", host) != host or not _PLAIN_HOST.fullmatch(host) or not _DISPUTED.isdisjoint(host):
        return None
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    return (url[: match.start(2)] + name + url[match.end(2) :], name) if _ASCII_HOST.fullmatch(name) else None


@lru_cache(maxsize=128)
def _endpoints(operations: tuple[str, ...]) -> re.Pattern[str]:
    """The end of a path that is a call and no part of a base URL, the longest first."""
    paths = {operation.partition(" ")[2].strip("/") for operation in operations if operation.startswith("POST ")}
    paths = {path for path in paths if path and not path.endswith("*")}
    shapes = sorted({*paths, *_EVERYBODYS, "deployments/*"} if _deploys(paths) else {*paths, *_EVERYBODYS}, key=_length)
    return re.compile(f"/(?:{'|'.join(map(_shape, reversed(shapes)))})/*$", re.ASCII)


def _deploys(paths: set[str]) -> bool:
    return any(path.startswith("deployments/*/") for path in paths)


def _length(path: str) -> tuple[int, str]:
    return path.count("/"), path


def _shape(path: str) -> str:
    return "/".join("[^/]+" if part == "**" else re.escape(part).replace(r"\*", "[^/]*") for part in path.split("/"))
