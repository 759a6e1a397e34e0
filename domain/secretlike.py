"""Telling secrets by their names and looks, where somebody's unknown configuration is to be kept in the clear.

A guess either way: what is refused wrongly is named, and can be sent without. Secrets that are known are looked for by
`keycairn.domain.redaction`.
"""

import re
import unicodedata
from collections.abc import Mapping
from math import log2

from keycairn.domain.errors import SecretLikeFieldError

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    {
        "auth",
        "authentication",
        "authorization",
        "bearer",
        "cookie",
        "cookies",
        "credential",
        "credentials",
        "jwt",
        "passcode",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "pat",
        "pwd",
        "sas",
        "secret",
        "secrets",
        "signature",
    }
)
_GLUED = re.compile(
    r"(?:api|access|account|auth|client|encryption|master|private|secret|service|shared|signing|subscription)keys?"
    r"|passw|passphrase|authoriz|bearer|credential|secret|connectionstring"
)
_LAST = re.compile(r"^keys?$|tokens?$")
_OF_TEXT = frozenset(
    {
        "bos",
        "context",
        "end",
        "eos",
        "image",
        "mask",
        "max",
        "min",
        "pad",
        "public",
        "sep",
        "special",
        "start",
        "stop",
        "total",
        "unk",
    }
)
"""Before `token`: of a model's vocabulary, or a number of them. A `public` key is none to hide."""
_ABOUT = frozenset(
    {
        "count",
        "endpoint",
        "expires",
        "kind",
        "limit",
        "method",
        "mode",
        "name",
        "scheme",
        "size",
        "ttl",
        "type",
        "uri",
        "url",
    }
)
"""At the end of a name: it is about a secret, and not one."""

_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|gsk|pk|rk|csk|xai|pplx|hf|gh[oprsu]|glpat|r8|nvapi|tgp_v1|jina|kc|whsec|xox[abeprs])[-_][A-Za-z0-9_-]{12,}"
    r"|AIza[A-Za-z0-9_-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}|ya29\.[A-Za-z0-9_.-]{10,}|github_pat_\w{20,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|(?i:\bbearer\s+\S{12,})|://[^/\s:@]+:[^/\s@]+@",
    re.ASCII,
)
"""How providers' keys begin, JSON Web Tokens, private keys, authorization headers, and URLs with a password."""
_ASSIGNED = re.compile(
    r"(?i)(?:api[-_ ]?key|authorization|passw(?:or)?d|passphrase|secret|token)[\"']?\s*[=:]\s*[\"']?[^\s\"',;&]{8,}"
)
_RUN = re.compile(r"[A-Za-z0-9+/_]{32,}={0,2}", re.ASCII)
_DENSE = re.compile(r"[A-Za-z0-9]{8,}", re.ASCII)
_BITS = 3.0
"""Of entropy a character, which random text of 32 hexadecimal digits has and words have not."""
_NAMES, _VALUES = frozenset({"name", "key", "field", "header", "id"}), frozenset({"value", "content", "text"})
_DEEPEST = 32


def names_secret(name: str) -> bool:
    """Whether a field of this name holds a secret, in whatever spelling: `apiKey`, `API-KEY`, `x_api.key`."""
    plain = unicodedata.normalize("NFKC", name)
    words = [word.lower() for word in _WORDS.findall(plain) if not word.isdigit()]
    if not words or words[-1] in _ABOUT:
        return False
    if not _SECRET_WORDS.isdisjoint(words) or _GLUED.search("".join(words)):
        return True
    last = _LAST.search(words[-1])
    if last is None:
        return False
    before = words[-1][: last.start()] or (words[-2] if len(words) > 1 else "")
    return before not in _OF_TEXT


def looks_secret(text: str) -> bool:
    """Whether a text looks like a key: begins as keys do, assigns one, or is long and random."""
    if _KNOWN.search(text) or _ASSIGNED.search(text):
        return True
    return any(_random(run[0]) for run in _RUN.finditer(text))


def is_key(text: str) -> bool:
    """Whether a text holds what begins as keys do and is random: nobody means that as a name or an address."""
    return any(
        sum(map(str.isdigit, run[0])) > 1 and sum(map(str.isalpha, run[0])) > 1
        for match in _KNOWN.finditer(text)
        for run in _DENSE.finditer(match[0])
    )


def check_no_key(fields: Mapping[str, object]) -> None:
    """Raise SecretLikeFieldError where a text that is kept in the clear and shown is a key."""
    for name, value in fields.items():
        if isinstance(value, str) and is_key(value):
            raise SecretLikeFieldError(name)


def holds_secretlike(value: object, *, named: bool = False, depth: int = 0) -> bool:
    """Whether configuration holds something that is a secret by its name or its looks. `named`: a name said so."""
    if depth > _DEEPEST:
        return True
    if isinstance(value, str):
        text = value.strip()
        return looks_secret(text) or (named and bool(text) and not (text.isdigit() and len(text) < 8))
    if isinstance(value, Mapping):
        told = any(
            isinstance(inner, str) and str(key).lower() in _NAMES and names_secret(inner)
            for key, inner in value.items()
        )
        return any(
            looks_secret(str(key))
            or holds_secretlike(
                inner,
                named=named or names_secret(str(key)) or (told and str(key).lower() in _VALUES),
                depth=depth + 1,
            )
            for key, inner in value.items()
        )
    if isinstance(value, list | tuple):
        return any(holds_secretlike(inner, named=named, depth=depth + 1) for inner in value)
    return False


def _random(run: str) -> bool:
    if not (any(map(str.isdigit, run)) and any(map(str.isalpha, run))):
        return False
    shares = [run.count(character) / len(run) for character in set(run)]
    return -sum(share * log2(share) for share in shares) >= _BITS
