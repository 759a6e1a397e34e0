"""Request bodies: strict JSON into our structs, with errors that never repeat what was sent."""

import asyncio
import json
import re
from collections import Counter
from typing import Any, ClassVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from msgspec.structs import fields

from keycairn.domain.errors import (
    BadRequestError,
    BodyNotSentError,
    InvalidInputError,
    KeycairnError,
    MalformedJsonError,
    RepeatedFieldError,
    UnsupportedMediaTypeError,
)
from keycairn.domain.secret import Secret

BODY_WITHIN = 60
"""Seconds a client may take to send a body."""
LARGE = 32 * 1024
"""Bytes of a body from which it is read in a thread: it takes a millisecond or more."""
_LONGEST_WHOLE = 400
"""Digits; Python reads longer whole numbers slowly, or not at all, and no field takes one."""
MASK_CHARACTERS = frozenset("*\u2022\u25cf")

_PLACE = re.compile(r" - at `\$\.([a-z_]{1,64})")
_EXPECTED = re.compile(r"Expected `([a-z |]{1,60})`, got `([a-z]{1,20})`")
_MISSING = re.compile(r"Object missing required field `([a-z_]{1,64})`")
_TOO_DEEP = "The body is nested too deeply."
_NO_KEY = "a secret is text without NUL characters, and not its mask"


def decode(raw: bytes, type: Any) -> Any:
    """`raw` as `type`, a struct.

    Raises MalformedJsonError, BadRequestError for nesting without end, RepeatedFieldError or InvalidInputError; the
    latter two name only fields that `type` declares.
    """
    problem: KeycairnError
    try:
        decoded = _decoded(raw, type)
        repeated = _repeated(raw)
    except msgspec.ValidationError as error:
        known = frozenset(field.encode_name for field in fields(type))
        # A type error is found before the rest of the body is read; that it is no JSON at all weighs more.
        problem = _unreadable(raw) or _explained(str(error), known)
    except RecursionError:
        problem = BadRequestError(_TOO_DEEP)
    except (msgspec.DecodeError, UnicodeError):
        problem = _unreadable(raw) or MalformedJsonError()
    else:
        if repeated is None:
            return decoded
        name = repeated if repeated in {field.encode_name for field in fields(type)} else ""
        why = "is there more than once"
        problem = RepeatedFieldError(f"The field {name} {why}." if name else f"A field {why}.", _at(name, why))
    # Raised outside of the handler, so that the decoder's exception, which quotes the body, is not its context.
    raise problem


def _decoded(raw: bytes, type: Any) -> Any:
    """`raw` as `type`. A number such as 1.0 is a whole one, as JSON Schema has it."""
    try:
        return msgspec.json.decode(raw, type=type, dec_hook=_secret)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
    try:
        whole = json.dumps(json.loads(raw.decode(), parse_float=_number, parse_int=_number))
    except ValueError:
        raise msgspec.DecodeError from None  # what follows the number is no JSON
    return msgspec.json.decode(whole.encode(), type=type, dec_hook=_secret)


def _number(text: str) -> int | float:
    if text.lstrip("-").isdigit() and len(text) < _LONGEST_WHOLE:
        return int(text)
    value = float(text)
    return int(value) if value.is_integer() else value


def _repeated(raw: bytes) -> str | None:
    """A name that one object of a good JSON document has more than once, None where there is none.

    Readers differ in which of the two counts, and somebody may have looked at the other one.
    """
    found: str | None = None

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        if found is None and len({name for name, _ in pairs}) != len(pairs):
            found = Counter(name for name, _ in pairs).most_common(1)[0][0]

    json.loads(raw.decode(), object_pairs_hook=look, parse_int=str, parse_float=str)
    return found


def _unreadable(raw: bytes) -> BadRequestError | None:
    try:
        msgspec.json.decode(raw)
    except RecursionError:
        return BadRequestError(_TOO_DEEP)
    except (msgspec.DecodeError, UnicodeError):
        return MalformedJsonError()
    return None


def _explained(text: str, known: frozenset[str]) -> InvalidInputError:
    if missing := _MISSING.match(text):
        name = missing[1] if missing[1] in known else ""
        return InvalidInputError(
            f"The field {name} is missing." if name else "A field is missing.", _at(name, "missing")
        )
    if text.startswith("Object contains unknown field"):
        return InvalidInputError(
            f"There is a field that this request does not have. It has: {', '.join(sorted(known))}."
        )
    place = _PLACE.search(text)
    name = place[1] if place and place[1] in known else ""
    expected = _EXPECTED.match(text)
    why = f"must be {expected[1]}, not {expected[2]}" if expected else "is not valid"
    return InvalidInputError(f"The field {name} {why}." if name else f"The body {why}.", _at(name, why))


def _at(name: str, why: str) -> dict[str, str]:
    return {name: why} if name else {}


def _secret(type: Any, value: Any) -> Any:
    if type is not Secret:
        raise NotImplementedError
    if not isinstance(value, str) or "\0" in value or (value.strip() and set(value.strip()) <= MASK_CHARACTERS):
        raise ValueError(_NO_KEY)
    return Secret(value)


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body is read by `decode`, as the struct the handler's `data` is annotated with."""

    body_within: ClassVar[float] = BODY_WITHIN

    async def body(self) -> bytes:
        """The bytes of the body. Raises BodyNotSentError when the client goes away or takes too long."""
        try:
            async with asyncio.timeout(self.body_within):
                return await super().body()
        except (TimeoutError, InternalServerException):  # the latter is Litestar's word for a client that left
            raise BodyNotSentError(BODY_WITHIN) from None

    async def json(self) -> Any:
        """The body. Raises UnsupportedMediaTypeError, and as `decode` does."""
        media_type, options = self.content_type
        if media_type.lower() != "application/json" or options.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
            raise UnsupportedMediaTypeError
        field = self.route_handler.parsed_data_field
        if field is not None and field.is_optional:  # where no body is as good as one
            field = next(inner for inner in field.inner_types if not inner.is_none_type)
        body, type = await self.body(), field.annotation if field else Any
        return decode(body, type) if len(body) < LARGE else await asyncio.to_thread(decode, body, type)
