"""Keys as they are pasted: with quotes, `Bearer `, the name of a variable; or a placeholder in place of a key."""

import re
from collections.abc import Collection, Mapping
from itertools import pairwise

from msgspec import Struct

from keycairn.domain.errors import UnusableKeyError
from keycairn.domain.needles import PUBLIC_KEYS, SHORTEST


class Healed(Struct, frozen=True):
    """A text as it is meant, and what was taken off or put right; never a secret."""

    text: str
    notes: tuple[str, ...] = ()


_QUOTES: Mapping[str, str] = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}
_HEADER = re.compile(
    r"(?:(?:proxy-)?authorization\s*:\s*(?:bearer\s+|token\s+)?|(?:x-)?api-key\s*:\s*|x-goog-api-key\s*:\s*|xi-api-key\s*:\s*"
    r"|bearer\s+)(?=\S)",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"(?:export\s+|set\s+|\$env:)?([A-Za-z][A-Za-z0-9_-]{1,63})(?:\s*=\s*(?=[^=\s])|\s*:\s+)(\S.*)", re.DOTALL
)
_SAYS_KEY = re.compile(r"key|token|secret", re.IGNORECASE)
_GENERIC = frozenset({"apikey", "key", "token", "secret", "secretkey", "accesstoken", "llmapikey"})

LOCAL_WORDS = PUBLIC_KEYS | {
    "anything",
    "dummy",
    "dummy-key",
    "empty",
    "fake",
    "fake-api-key",
    "fake-key",
    "litellm",
    "lm-studio",
    "lmstudio",
    "local",
    "localai",
    "n/a",
    "na",
    "no-key",
    "nokey",
    "none",
    "not-needed",
    "null",
    "ollama",
    "sk-1234",
    "sk-dummy",
    "sk-fake",
    "token-abc123",
    "unused",
    "vllm",
}
"""What servers of one's own are given where they want any key: none of them is a hosted provider's."""

_SHAPES = tuple(
    (re.compile(shape, re.IGNORECASE | re.DOTALL), why)
    for shape, why in (
        (r"#.*", "it begins with #, as a comment does"),
        (r"os\.environ/.*|env:[A-Za-z_].*", "it names a variable in place of a key, and nothing looked it up"),
        (r".*(?:\$\{|\$\(|\{\{|\}\}).*|\$[A-Z_][A-Z0-9_]*|%[A-Z_][A-Z0-9_]*%", "a reference in it was not resolved"),
        (r"<.*>|\[.*\]|\{.*\}", "it is a placeholder in brackets, or no key alone"),
        (r".*(?:\.\.\.|\u2026).*", "it is a shortened key: `...` stands in it"),
        (r"[*\u2022\u25cf]+|.*[*\u2022\u25cf]{3,}.*", "it is the mask of a key"),
        (r".*://.*", "it is an address, and no key"),
        (
            r"(?-i:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:KEY|TOKEN|SECRET)S?)",
            "it is the name of a variable in place of its value",
        ),
        (
            r"[^a-z0-9]+|(?:sk|pk|rk|gsk|xai|hf|AIza|sk-proj|sk-ant|sk-ant-api03|sk-or|sk-or-v1)[-_]?",
            "it has no content",
        ),
        (r"(?:[a-z0-9]{1,8}[-_])*x{3,}(?:[-_]+x+)*", "it is a placeholder made of x"),
    )
)
_MARKS = ("<", ">", "...", "\u2026", "{", "[your", "xxx")
_NOTHING = frozenset({"bearer", '""', "''", "``"})
_CHARACTERS = (
    (frozenset("\r\n"), "it holds a line break: a key is one line"),
    (frozenset(",; \t"), "it holds several keys, or words, with separators between; send one key alone"),
    (frozenset("\"'`"), "a quote stands in it"),
)
_PLACEHOLDER = "it is a placeholder, such as files to copy hold in place of a key"
_WORDS = re.compile(r"[a-z0-9]+")
_ENDS = frozenset({"key", "secret", "token"})
LONGEST_WORD = 20
"""Letters of a word such as `yourapikeyhere`."""
_SPEAKING = frozenset({"changeme", "fixme", "insert", "paste", "placeholder", "redacted", "replaceme", "todo"})
_PAIRS = frozenset({"change me", "fill in", "fill me", "replace me", "replace this", "replace with", "user provided"})
_HOSTED = frozenset(
    {
        "api key",
        "apikey",
        "example",
        "example api key",
        "example key",
        "false",
        "key",
        "my api key",
        "my key",
        "mykey",
        "nil",
        "secret",
        "secret key",
        "test key",
        "token",
        "true",
        "undefined",
    }
)
"""What no hosted provider has for a key."""


def healed_key(
    text: str,
    field: str,
    *,
    names: Collection[str] = (),
    own_server: bool = False,
    elsewhere: Mapping[str, str] | None = None,
) -> Healed:
    """The key in `text`. Raises UnusableKeyError, which names `field` and says what it is in place of a key.

    `names` are the variables it may have been assigned to. `own_server`: it goes to a server of one's own, which takes
    short words such as `ollama`. `elsewhere` maps beginnings of keys that are certainly another's to whose they are.
    """
    notes: list[str] = []
    key = text.strip()
    for _ in range(8):
        before = key
        if len(key) > 1 and _QUOTES.get(key[0]) == key[-1]:
            key = key[1:-1].strip()
            notes.append("the quotes around it were taken off")
        elif match := _HEADER.match(key):
            key = key[match.end() :].strip()
            notes.append("the beginning of a header before it, such as `Bearer `, was taken off")
        elif name := _assigned_to(key, names, field):
            key = _ASSIGNED.fullmatch(key)[2].strip()  # type: ignore[index]  # it did match
            notes.append(f"`{name}` before it was taken off")
        if key == before:
            break
    if own_server and _is_local(key):
        return Healed(key, tuple(notes))
    _check(key, field, own_server=own_server, elsewhere=elsewhere or {})
    return Healed(key, tuple(notes))


def is_short_word(secret: str) -> bool:
    """Whether a key is a word such as `ollama`: too common to be looked for where other things are named."""
    text = secret.strip()
    return len(text) < SHORTEST or _is_local(text)


def _is_local(key: str) -> bool:
    return key.lower().replace("_", "-") in LOCAL_WORDS


def speaks_of_a_placeholder(text: str) -> bool:
    """Whether the words of a text, such as an address, say that something is to be put in their place."""
    words = _WORDS.findall(text.lower())
    pairs = {f"{one} {other}" for one, other in pairwise(words)}
    return (
        any(mark in text for mark in _MARKS)
        or any(word.startswith("your") or word in {"changeme", "placeholder", "replaceme"} for word in words)
        or not _PAIRS.isdisjoint(pairs)
    )


def _assigned_to(key: str, names: Collection[str], field: str) -> str | None:
    """The name before `=` or `:`, where that is one of this very field; None where there is none.

    Raises UnusableKeyError where it is another's: which of both is meant nobody can tell.
    """
    match = _ASSIGNED.fullmatch(key)
    if match is None or not _SAYS_KEY.search(match[1]):
        return None
    name = match[1]
    plain = name.lower().replace("_", "").replace("-", "")
    if plain in _GENERIC or name.upper() in {one.upper() for one in names}:
        return name
    raise UnusableKeyError(field, "another name is assigned a value in it; send the key alone")


def _check(key: str, field: str, *, own_server: bool, elsewhere: Mapping[str, str]) -> None:
    if not key or key.lower() in _NOTHING:
        raise UnusableKeyError(field, "there is no key in it")
    if not own_server and _is_local(key):
        raise UnusableKeyError(field, "it is a word that only servers of one's own take for a key")
    if _speaks(key, own_server=own_server):
        raise UnusableKeyError(field, _PLACEHOLDER)
    for shape, why in _SHAPES:
        if shape.fullmatch(key):
            raise UnusableKeyError(field, why)
    for characters, why in _CHARACTERS:
        if not characters.isdisjoint(key):
            raise UnusableKeyError(field, why)
    if not (key.isascii() and key.isprintable()):
        raise UnusableKeyError(field, "it holds a character that no header carries, such as one of no width")
    if (whose := next((whose for start, whose in elsewhere.items() if key.startswith(start)), None)) is not None:
        raise UnusableKeyError(field, f"it begins as {whose}, and would go to another host")


def _speaks(key: str, *, own_server: bool) -> bool:
    """Whether the words of a text say that a key is to be put in its place."""
    words = _WORDS.findall(key.lower())
    pairs = {f"{one} {other}" for one, other in pairwise(words)}
    return (
        not _SPEAKING.isdisjoint(words)
        or not _PAIRS.isdisjoint(pairs)
        or any(word.startswith("your") and len(word) <= LONGEST_WORD for word in words)
        or (len(words) > 1 and words[-1] == "here")
        or (not own_server and (" ".join(words) in _HOSTED or (words[:1] == ["my"] and words[-1] in _ENDS)))
    )
