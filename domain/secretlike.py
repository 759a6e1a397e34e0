"""Telling secrets by their names and looks, where somebody's unknown configuration is to be kept in the clear.

A guess either way: what is refused wrongly is named, and can be sent without; what passes is no secret of the record.
"""

import re
import unicodedata
from base64 import b64encode
from collections.abc import Collection, Mapping
from math import log2
from urllib.parse import quote

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
_BITS = 3.0
"""Of entropy a character, which random text of 32 hexadecimal digits has and words have not."""
_NAMES, _VALUES = frozenset({"name", "key", "field", "header", "id"}), frozenset({"value", "content", "text"})
_SHORTEST = 4
"""Characters of a secret whose other spellings are looked for."""
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


def spellings(secret: str) -> frozenset[str]:
    """The secret as it may stand in a text: as it is, backwards, and encoded for URLs, as hex and as base64."""
    raw = secret.encode("utf-8", "surrogatepass")
    if len(secret) < _SHORTEST:
        return frozenset({secret}) - {""}
    cores = set()
    for shift in range(3):  # what of its base64 does not depend on what stands around it
        begin, end = -(-shift * 8 // 6), (shift + len(raw)) * 8 // 6
        core = b64encode(bytes(shift) + raw)[begin:end].decode()
        cores |= {core, core.replace("+", "-").replace("/", "_")}
    encoded = quote(raw, safe="")
    return frozenset({secret, secret[::-1], encoded, raw.hex(), raw.hex().upper(), *cores}) - {""}


def holds_any(value: object, texts: Collection[str]) -> bool:
    """Whether one of `texts` stands anywhere in `value`, in a name or a value of it."""
    if isinstance(value, str):
        return any(text in value for text in texts)
    if isinstance(value, Mapping):
        return any(holds_any(key, texts) or holds_any(inner, texts) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return any(holds_any(inner, texts) for inner in value)
    return isinstance(value, int) and not isinstance(value, bool) and any(text in str(value) for text in texts)


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
