"""The model's name in a body: found, and replaced without touching any other byte."""

import re

import msgspec
from msgspec import Struct

from keycairn.app.gateway.errors import RequestRefusedError
from keycairn.app.gateway.incoming import Incoming, Outgoing

LONGEST_NAME = 512

_KEY = re.compile(
    rb'(?<=[{,\s])"(?:m|\\u006[dD])(?:o|\\u006[fF])(?:d|\\u0064)(?:e|\\u0065)(?:l|\\u006[cC])"\s*:\s*(?=")'
)
"""A member `model` at any depth, however it is spelled. Inside of a text its quotation marks would be escaped."""
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_DISPOSITION = re.compile(rb'^content-disposition:[^\r\n]*;\s*name="?model"?\s*(?:;|$)', re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(r'multipart/form-data\s*;.*?boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_WHERE = 'The body must be a JSON object with the text "model" in it.'


class _Call(Struct):
    model: str


_decode = msgspec.json.Decoder(_Call).decode


def json_model(body: bytes) -> str:
    """The top-level `model` of a JSON body. Raises RequestRefusedError."""
    try:
        name = _decode(body).model
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise RequestRefusedError(_WHERE) from None
    return _checked(name)


def with_json_model(body: bytes, old: str, new: str) -> bytes:
    """`body` with the top-level model replaced. Raises RequestRefusedError where that is not exactly one text.

    Two of the same name are refused even where nothing is to be replaced: which one counts is the reader's choice.
    """
    places = [match.end() for match in _KEY.finditer(body)]
    if len(places) > 1:
        places = _top_level(body, places)
    if len(places) != 1:
        raise RequestRefusedError('The body must name its "model" exactly once.')
    if old == new:
        return body
    value = _STRING.match(body, places[0])
    changed = body[: places[0]] + msgspec.json.encode(new) + body[value.end() :] if value else body
    try:
        right = _decode(changed).model == new
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        right = False
    if not right:
        raise RequestRefusedError('The body must name its "model" exactly once.')
    return changed


def _top_level(body: bytes, places: list[int]) -> list[int]:
    """Those of `places` that belong to the outermost object."""
    wanted = set(places)
    top: list[int] = []
    depth = 0
    for token in _TOKEN.finditer(body):
        text = token[0]
        if text in b"{[":
            depth += 1
        elif text in b"}]":
            depth -= 1
        elif depth == 1 and token.start() in wanted:
            top.append(token.start())
    return top


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a form, None for another kind of body."""
    match = _BOUNDARY.match(content_type.strip())
    return (match[1] or match[2]).encode() if match else None


async def form_model(incoming: Incoming, boundary: bytes) -> tuple[str, int, int]:
    """The text of the form's part `model`, and where it begins and ends in the held part of the body.

    Reads no more of the body than needed. Raises RequestRefusedError, or as `Incoming.read`.
    """
    delimiter = b"--" + boundary
    start = searched = 0
    while True:
        body = incoming.head
        at = body.find(delimiter, start)
        end_of_head = body.find(b"\r\n\r\n", at) if at >= 0 else -1
        next_one = body.find(b"\r\n" + delimiter, max(end_of_head, searched)) if end_of_head >= 0 else -1
        if next_one >= 0:
            if _DISPOSITION.search(bytes(body[at:end_of_head]).replace(b"\r", b"")):
                return _form_name(bytes(body[end_of_head + 4 : next_one])), end_of_head + 4, next_one
            start = searched = next_one + 2
        elif incoming.complete:
            raise RequestRefusedError('The form has no part "model".')
        else:
            # What was searched once is not searched again: a long part comes in many chunks.
            searched = max(start, len(body) - len(delimiter) - 2)
            await incoming.more()


def with_form_model(incoming: Incoming, place: tuple[int, int], new: str | None) -> Outgoing:
    """The form with the text at `place` replaced, what follows the held part streamed."""
    begin, end = place
    value = bytes(incoming.head[begin:end]) if new is None else new.encode()
    head = b"".join((incoming.head[:begin], value, incoming.head[end:]))
    if incoming.complete:
        return Outgoing(head)
    length = None if incoming.length is None else incoming.length + len(value) - (end - begin)
    return Outgoing(head, incoming, length)


def _form_name(raw: bytes) -> str:
    try:
        return _checked(raw.decode())
    except UnicodeDecodeError:
        raise RequestRefusedError('The form\'s part "model" is not text.') from None


def _checked(name: str) -> str:
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise RequestRefusedError(f'"model" must be 1 to {LONGEST_NAME} printable characters.')
    return name
