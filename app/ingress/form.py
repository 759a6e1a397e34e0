"""The form of a request: refused where two readers could understand it differently."""

import re
import unicodedata
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from keycairn.domain.errors import (
    AmbiguousRequestError,
    ContentEncodingError,
    ExpectationError,
    TargetTooLongError,
    TransferEncodingError,
)

LONGEST_TARGET = 8 * 1024
"""Bytes of path and query together."""
CREDENTIAL_HEADERS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"xi-api-key")
"""Where a client's SDK may put its token."""

_ONCE = frozenset(
    {
        *CREDENTIAL_HEADERS,
        b"host",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"transfer-encoding",
        b"expect",
        b"origin",
        b"sec-fetch-site",
        b"sec-fetch-mode",
        b"sec-fetch-dest",
        b"access-control-request-method",
        b"if-match",
        b"range",
        b"cookie",
        b"idempotency-key",
        b"anthropic-version",
        b"upgrade",
        b"sec-websocket-key",
        b"sec-websocket-version",
    }
)
"""Headers of which a second one would let one reader go by the first, another by the last."""
_NEEDLESS = re.compile(rb"%(?:3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])")
"""Escapes of letters and digits: they hide a path's words from whoever compares it without decoding."""
_PATH = re.compile(rb"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(rb"[!-~]*")
_MEANINGFUL = frozenset("/\\%;?#")
"""What no reader may find in a path after decoding it."""
_LENGTH = re.compile(rb"[0-9]{1,18}")


def check_form(scope: Any, *, names: bool = False) -> None:
    """Look at an ASGI scope of HTTP. `names`: the path ends in a model's name, which may hold encoded slashes.

    Raises AmbiguousRequestError, TransferEncodingError, ContentEncodingError, ExpectationError or TargetTooLongError.
    """
    check_headers(scope)
    check_path(check_target(scope), names=names)


def check_target(scope: Any) -> bytes:
    """The part of `check_form` that concerns the target without the meaning of its path; the raw path."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    raw, _, _ = raw.partition(b"?")  # some servers leave the query there
    query: bytes = scope.get("query_string", b"")
    if len(raw) + len(query) > LONGEST_TARGET:
        raise TargetTooLongError(LONGEST_TARGET)
    if not _QUERY.fullmatch(query):
        raise AmbiguousRequestError("The query holds a character that must be percent-encoded.")
    return raw


def check_path(raw: bytes, *, names: bool = False) -> None:
    """The part of `check_form` that concerns the path, from its first slash."""
    if not _PATH.fullmatch(raw):
        raise AmbiguousRequestError("The path holds a character that must be percent-encoded, or must not be there.")
    if b"%" in raw and _NEEDLESS.search(raw):
        raise AmbiguousRequestError("The path holds a letter or a digit that is percent-encoded.")
    if b"//" in raw or b"/." in raw or b"%" in raw:
        _check_decoded(raw, names=names)


def check_headers(scope: Any, *, upgrade: bool = False) -> None:
    """The part of `check_form` that concerns the headers. `upgrade`: they are those of a websocket's handshake."""
    given: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _ONCE:
            if name in given:
                raise AmbiguousRequestError(f"The header {name.decode()} is there more than once.")
            given[name] = value
    _check_framing(given.get(b"transfer-encoding"), given.get(b"content-length"), scope.get("http_version", "1.1"))
    if given.get(b"content-encoding", b"identity").strip().lower() not in {b"identity", b""}:
        raise ContentEncodingError
    if given.get(b"expect", b"100-continue").strip().lower() != b"100-continue":
        raise ExpectationError
    if upgrade and (b"content-length" in given or b"transfer-encoding" in given or b"expect" in given):
        raise AmbiguousRequestError("A websocket's handshake has no body.")
    if b"upgrade" in given and not upgrade:
        raise AmbiguousRequestError("This service speaks HTTP/1.1 alone: send no Upgrade header.")


def _check_framing(coding: bytes | None, length: bytes | None, version: str) -> None:
    """Where the body ends."""
    if coding is not None:
        if length is not None or version == "1.0":
            raise AmbiguousRequestError("A body is either chunked or of a length, and chunked in HTTP/1.1 only.")
        if coding.strip().lower() != b"chunked":
            raise TransferEncodingError
    if length is not None and not _LENGTH.fullmatch(length):
        raise AmbiguousRequestError("The header content-length is no number.")


def _check_decoded(raw: bytes, *, names: bool) -> None:
    """What a path means to a reader that decodes it once, twice, or after folding letters."""
    if names:
        raw = re.sub(rb"%2[fF]", b"/", raw)
    text = unquote_to_bytes(raw.replace(b"/", b"\0")).decode("utf-8", "replace")
    segments = text.split("\0")
    if b"%00" in raw or "\ufffd" in text:
        raise AmbiguousRequestError("The path is not UTF-8 text without NUL characters.")
    if "" in segments[1:-1] or not {".", ".."}.isdisjoint(segments):
        raise AmbiguousRequestError("The path holds an empty segment, or one of dots alone.")
    bare = "".join(segments)
    folded = "".join(unicodedata.normalize("NFKC", letter) for letter in bare if not letter.isascii())
    if not bare.isprintable() or not _MEANINGFUL.isdisjoint(bare) or not (_MEANINGFUL | {"."}).isdisjoint(folded):
        raise AmbiguousRequestError("The path holds an encoded character that another reader may act on.")
