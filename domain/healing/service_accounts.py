"""Google's service accounts as they are pasted: with a BOM, escaped twice, in base64, as JSON inside JSON."""

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any

from keycairn.domain.errors import UnusableKeyError
from keycairn.domain.healing.keys import Healed

LAYERS = 6
_PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----(.*?)-----END \1-----", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_=\s-]{40,}", re.ASCII)
_BEFORE = re.compile(
    r"(?:export\s+)?[A-Z][A-Z0-9_]{2,60}\s*=\s*(?=[{\"'A-Za-z0-9])|data:application/json;base64,", re.ASCII
)
_KINDS: Mapping[str, str] = {
    "authorized_user": "it is a person's own sign-in, as gcloud makes it, and no service account",
    "external_account": "it is a federated identity without a key, and no service account",
    "impersonated_service_account": "it is an impersonation without a key, and no service account",
}


def healed_service_account(text: str, field: str) -> Healed:
    """The service account's JSON in `text`; as it was sent, where nothing had to be put right.

    Raises UnusableKeyError, which names `field` and says what is wrong, never what it holds.
    """
    notes: list[str] = []
    current = text
    document: Any = None
    for _ in range(LAYERS):
        current, document = _layer(current, notes)
        if document is not None:
            break
    if not isinstance(document, dict):
        raise UnusableKeyError(field, _what(current))
    document = _inner(document, notes)
    kind = document.get("type", "service_account")
    if kind != "service_account":
        said = _KINDS.get(kind) if isinstance(kind, str) else None
        raise UnusableKeyError(field, said or "its type is not service_account")
    missing = [
        name
        for name in ("client_email", "private_key")
        if not isinstance(document.get(name), str) or not document[name]
    ]
    if missing:
        raise UnusableKeyError(field, f"it lacks {' and '.join(missing)}; store the whole JSON file")
    key = _private_key(document["private_key"], field)
    if key != document["private_key"]:
        document = {**document, "private_key": key}
        notes.append("the line breaks of its private key were put right")
    return Healed(json.dumps(document), tuple(dict.fromkeys(notes))) if notes else Healed(text.strip())


def _layer(text: str, notes: list[str]) -> tuple[str, Any]:
    """What is inside one layer of wrapping, and the document where there is one."""
    plain = text.strip()
    if plain.startswith("\ufeff"):
        notes.append("the byte order mark before it was taken off")
        return plain.lstrip("\ufeff"), None
    if match := _BEFORE.match(plain):
        notes.append("what stood before its JSON was taken off")
        return plain[match.end() :], None
    if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "'`":
        notes.append("the quotes around it were taken off")
        return plain[1:-1], None
    if plain.startswith(("{", '"')):
        return _json(plain, notes)
    decoded = _decoded(plain) if _BASE64.fullmatch(plain) else None
    if decoded is not None:
        notes.append("its base64 was decoded")
    return (plain if decoded is None else decoded), None


def _json(plain: str, notes: list[str]) -> tuple[str, Any]:
    """The text inside a JSON text, or the document; the text itself where it is neither."""
    found = _loaded(plain)
    if found is None and (found := _loaded(plain, strict=False)) is not None:
        notes.append("bare line breaks in it were escaped")
    if found is None and '\\"' in plain:  # a JSON string that lost the quotes around it
        found = _loaded(f'"{plain.strip(chr(34))}"', strict=False)
    if isinstance(found, str):
        notes.append("the JSON text around it was unpacked")
        return found, None
    return plain, found


def _inner(document: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The document, or the one that is its only content, as object or as text."""
    if "private_key" in document or "type" in document or len(document) != 1:
        return document
    [inner] = document.values()
    for _ in range(LAYERS):
        if not isinstance(inner, str):
            break
        text, found = _layer(inner, [])
        inner = found if found is not None else text
    if isinstance(inner, dict):
        notes.append("the JSON object around it was unpacked")
        return inner
    return document


def _private_key(text: str, field: str) -> str:
    """The key as PEM, line breaks where they belong; as it is where they do."""
    key = text
    for _ in range(LAYERS):
        if "\\n" not in key and "\\r" not in key:
            break
        key = key.replace("\\\\", "\\").replace("\\r", "").replace("\\n", "\n")
    match = _PEM.search(key.strip())
    if match is None:
        raise UnusableKeyError(field, "its private_key is not whole: it needs its BEGIN and END lines")
    if "\n" in match[2].strip():
        return key
    body = re.sub(r"\s+", "", match[2])
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN {match[1]}-----\n{lines}\n-----END {match[1]}-----\n"


def _loaded(text: str, *, strict: bool = True) -> Any:
    try:
        return json.loads(text, strict=strict)
    except (ValueError, RecursionError):
        return None


def _decoded(text: str) -> str | None:
    packed = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8")
    except (Base64Error, ValueError):
        return None


def _what(text: str) -> str:
    if "PRIVATE KEY-----" in text and "{" not in text:
        return "it is only the private key; store the whole JSON file"
    if text.startswith(("/", "./", "~", "C:\\")):
        return "it is a path; store the JSON, or give the path as credentials_path"
    if text.startswith("AIza"):
        return "it is an API key, and no service account"
    return "it is no JSON of a service account"
