"""What stands in the body of a provider's error: its form, the codes in it, and its sentence.

The shapes are those of OpenAI, Anthropic, Google (also in a list), Cohere, FastAPI, AWS and their kin.
"""

import re
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import Any

import msgspec
from msgspec import Struct

LONGEST_CODE = 100
_NESTED = 4
_MOST = 20
_CODES = ("code", "type", "status", "reason", "error", "err_code", "__type", "status_code", "statusCode")
_SENTENCES = ("message", "detail", "error", "msg", "err_msg", "status_msg", "title", "reason")
_INSIDE = ("error", "errors", "details", "detail", "base_resp", "metadata")
_CONTENT = (
    "choices", "output", "content", "data", "candidates", "embeddings", "embedding", "results", "models", "predictions",
    "response", "text", "usage", "usageMetadata",
)  # fmt: skip
"""What an answer has that is no error, whatever it says besides of errors on the way."""
_NO_CODES = frozenset({"", "0", "200", "ok", "success", "none", "null"})
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<!--.*?-->\s*+)*+<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE | re.DOTALL
)
_BEGINNING = 2048
_DECORATION = str.maketrans("", "", "_-. :")


class Form(Enum):
    """What a body is, taken as an error's."""

    ERROR = auto()
    """JSON that says what went wrong."""
    JSON = auto()
    """Another JSON object, perhaps an error in a form of its own."""
    PAGE = auto()
    """HTML or XML, for people."""
    TEXT = auto()
    EMPTY = auto()


class ErrorBody(Struct, frozen=True):
    """`codes` in lower case without separators; `said` is all sentences, in lower case. `numbers` are HTTP statuses."""

    form: Form
    codes: frozenset[str] = frozenset()
    said: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    wait: float | None = None
    """Seconds to wait, where the body says it as Google's do."""

    def says(self, words: Iterable[str]) -> bool:
        """Whether any sentence holds one of these."""
        return any(one in text for text in self.said for one in words)

    def begins(self, words: tuple[str, ...]) -> bool:
        """Whether any sentence begins with one of these: further on it may repeat what the client sent."""
        return any(text.startswith(words) for text in self.said)


def error_body(body: bytes) -> ErrorBody:
    """What stands in `body`, taken as an error's. It may be cut off, which makes it text."""
    if not body.strip():
        return ErrorBody(Form.EMPTY)
    if is_page(body):
        return ErrorBody(Form.PAGE)
    try:
        decoded = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ErrorBody(Form.TEXT)
    return of_json(decoded)


def of_json(decoded: Any) -> ErrorBody:
    """The same of JSON that is decoded already."""
    codes: dict[str, None] = {}
    said: dict[str, None] = {}
    _collect(decoded, codes, said, _NESTED)
    form = Form.ERROR if codes or said else Form.JSON if decoded and isinstance(decoded, dict) else Form.TEXT
    numbers = [int(code) for code in codes if len(code) == 3 and code.isascii() and code.isdigit() and code >= "400"]
    return ErrorBody(form, frozenset(codes), tuple(said), tuple(numbers), _wait(decoded))


def is_page(body: bytes) -> bool:
    """Whether `body`, or its beginning, is a page for people."""
    return _PAGE.match(body[:_BEGINNING]) is not None


def is_error(decoded: Any) -> bool:
    """Whether JSON that came with a good status is an error all the same."""
    if isinstance(decoded, list):
        return len(decoded) == 1 and isinstance(decoded[0], dict) and "error" in decoded[0] and is_error(decoded[0])
    if not isinstance(decoded, dict) or any(decoded.get(name) for name in _CONTENT):
        return False
    error = decoded.get("error")
    if error and isinstance(error, dict | str) and decoded.get("object") != "response":
        return True
    if decoded.get("type") == "error" or decoded.get("object") == "error" or decoded.get("success") is False:
        return True
    inner = decoded.get("base_resp")
    if isinstance(inner, dict):  # MiniMax
        return str(inner.get("status_code", 0)) not in _NO_CODES
    code = decoded.get("code", decoded.get("err_code"))
    told = next((one for name in ("message", "msg", "err_msg") if isinstance(one := decoded.get(name), str)), None)
    return told is not None and code is not None and str(code).lower() not in _NO_CODES


def plain_code(text: str) -> str:
    """A code without what spellings differ in: `insufficient_quota` is `insufficientquota`."""
    return text.lower().translate(_DECORATION)


def _collect(value: Any, codes: dict[str, None], said: dict[str, None], depth: int) -> None:
    if depth < 0:
        return
    if isinstance(value, list):
        for one in value[:_MOST]:
            _collect(one, codes, said, depth - 1)
    elif isinstance(value, Mapping):
        codes.update((code, None) for name in _CODES if (code := _code(value.get(name))))
        said.update((text.lower(), None) for name in _SENTENCES if isinstance(text := value.get(name), str) and text)
        for name in _INSIDE:
            _collect(value.get(name), codes, said, depth - 1)
        if isinstance(inner := value.get("base_resp"), Mapping):  # MiniMax numbers in its own way
            codes[f"baseresp{inner.get('status_code')}"] = None


def _code(value: object) -> str:
    if isinstance(value, str) and len(value) <= LONGEST_CODE:
        return plain_code(value.rpartition("#")[2])
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _wait(decoded: Any) -> float | None:
    """The `retryDelay` of google.rpc.RetryInfo, such as "34.07s"."""
    first = decoded[0] if isinstance(decoded, list) and decoded else decoded
    error = first.get("error") if isinstance(first, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for one in details if isinstance(details, list) else ():
        delay = one.get("retryDelay") if isinstance(one, dict) else None
        if isinstance(delay, str) and (found := re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s", delay, re.ASCII)):
            return float(found[1])
    return None
