"""Failures that come with a good status: a page for people, an error as JSON, an event stream that begins with one."""

import re

import msgspec

from keycairn.domain.error_body import is_error, is_page, of_json
from keycairn.domain.outcome import Outcome
from keycairn.domain.provider_failure import Failure, Headers, classified

_BOM = b"\xef\xbb\xbf"
_SUSPECT = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<|\[?\s*\{\s*\"(?:error|errors|detail|base_resp|err_code|success|code|status|message|msg"
    rb"|type\"\s*:\s*\"error|object\"\s*:\s*\"error)\""
    rb"|(?::[^\n]*+\n|\s)*+(?:event:\s*error|data:\s*\[?\{\s*\"(?:error|type\"\s*:\s*\"error|object\"\s*:\s*\"error)\"))"
)
"""How an answer may begin that is a failure in spite of its good status."""
_ERROR = re.compile(rb'"error"\s*:\s*[{"]')
_SMALL = 2048
"""Bytes of an answer that is looked through for an error behind its first member."""
_ENOUGH = 16
"""Bytes with which an answer has begun as what it is."""
_BEGINNINGS = (b"<", b"{", b"[", b"data:", b"event:", _BOM)
_EVENTS = re.compile(rb"((?::[^\n]*+\n|\s)*+)(?:event|data|id|retry):")
_USUAL = (b'{"id":', b'data: {"id":', b'{"model":', b"event: message_start", b'{"candidates":', b"event: response.")
"""How most answers begin, so that no more is asked of them."""
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


NOTHING = Failure(Outcome.NOT_A_PROVIDER, by_api=False, status=502)
"""An answer without a byte, where there has to be something."""


def is_suspect(first: bytes) -> bool:
    """Whether an answer of a good status that begins so is worth reading as a failure. It is asked of every answer."""
    if not first.startswith(_USUAL) and _SUSPECT.match(first) is not None:
        return True
    return len(first) <= _SMALL and b'"error"' in first and _ERROR.search(first) is not None


def is_undecided(first: bytes) -> bool:
    """Whether so little of an answer may still become the beginning of a suspect."""
    if len(first) >= _ENOUGH or _BLANK_LINE.search(first):
        return False
    text = first.lstrip()
    return not text or text.startswith(_BEGINNINGS) or any(one.startswith(text) for one in _BEGINNINGS)


def is_whole(seen: bytes) -> bool:
    """Whether `seen` is enough to judge a suspect: its first event, or JSON that is complete."""
    if is_page(seen):
        return True
    if _EVENTS.match(seen):
        return _BLANK_LINE.search(seen) is not None
    return _first_json(seen) is not None


def hidden_failure(status: int, headers: Headers, body: bytes) -> Failure | None:
    """The failure in an answer of a good status, None where it is as good as it says. `body` may be its beginning."""
    if not is_suspect(body):
        return None
    if is_page(body):
        return Failure(Outcome.NOT_A_PROVIDER, by_api=False, status=502)
    decoded = _first_json(body)
    return classified(status, headers, of_json(decoded)) if is_error(decoded) else None


def error_json(body: bytes) -> bytes:
    """The JSON of the error in a body in which `hidden_failure` found one: of an event stream, the first event's."""
    stream = _EVENTS.match(body)
    if stream is None:
        return body.removeprefix(_BOM)
    event = _BLANK_LINE.split(body[stream.end(1) :], maxsplit=1)[0]
    return b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))


def _first_json(body: bytes) -> object:
    """The body decoded, else its first line, as streams of lines have it."""
    text = error_json(body)
    for one in (text, text.lstrip().partition(b"\n")[0]):
        try:
            return msgspec.json.decode(one)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            continue
    return None
