"""A strict JSON reader that takes a body piece by piece, and finds the outermost members `model` and `stream` in it.

It holds the nesting and the token it is in, nothing else, so that a body of any size costs no more than itself; and it
stops well within each millisecond, so that others may go on. Accepted is I-JSON (RFC 7493) with one exception: of names
only `model` must be unique, and only in the outermost object.
"""

from collections.abc import Iterator
from json import JSONDecoder

from keycairn.app.gateway import json_grammar as grammar
from keycairn.app.gateway.encodings import Utf8Check, check_beginning
from keycairn.app.gateway.json_expected import EXPECTED, Next, not_json
from keycairn.domain.errors import ModelNameError, RequestRefusedError
from keycairn.domain.model import LONGEST_CALLED_NAME

PIECE = 2**13
"""Bytes that are best fed at one time."""
STEPS = 32
"""Tokens that are looked at one by one without a stop."""
_MOST_TRIES = 4
"""Values in one piece of which it is found that they go on in the next one, before no other is tried."""
_SHALLOW = 16
DEEPEST = 1000
"""Lists and objects within each other."""
LONGEST_TOKEN = 8192
"""Bytes of an unfinished text that are held. A name of 512 characters, all of them escaped, has fewer."""
LONGEST_NUMBER = 64
"""Bytes of an unfinished number that are held."""

_CONTROLS = bytes(range(32))
_QUOTE, _BACKSLASH, _COMMA, _COLON = b'"\\,:'
_LIST, _LIST_END, _OBJECT, _OBJECT_END = b"[]{}"


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_decode = JSONDecoder(parse_constant=_refuse).raw_decode


class JsonScanner:
    """Fed a body from its beginning; `finish` at its end. Both raise RequestRefusedError, with the reason."""

    def __init__(self) -> None:
        self.model: bytes | None = None
        """The text of `model` as it stands in the body, quotation marks included; None while it was not met."""
        self.place: tuple[int, int] = (0, 0)
        """Where it begins and ends, in bytes."""
        self.streams: bool = False
        """Whether the outermost object says `"stream": true`."""
        self.options_at: int | None = None
        """Where its member `stream_options` begins, the last one where there are several; None for none."""
        self._next = Next.VALUE
        self._open = bytearray()
        self._carry = b""
        self._fed = 0
        self._base = 0
        self._in_text = self._of_name = self._of_model = self._of_stream = False
        self._utf8 = Utf8Check()
        self._latin: str | None = None
        self._tries = 0

    def feed(self, piece: bytes) -> Iterator[None]:
        """Read the next piece, of any size; stops now and then, and must be drawn to its end."""
        if not self._fed:
            check_beginning(piece)
        self._utf8.feed(piece)
        buffer = self._carry + piece if self._carry else piece
        self._fed += len(piece)
        self._base = self._fed - len(buffer)
        self._latin = None
        self._tries = 0
        at, end, steps, tries, stuck = 0, len(buffer), 0, 0, False
        while at < end and not stuck:
            if self._in_text:
                at, stuck = self._long_text(buffer, at)
                continue
            at = grammar.space(buffer, at).end()  # type: ignore[union-attr]  # matches nothing, too
            if at < end:
                at, stuck = self._token(buffer, at)
            steps += 1
            if steps >= STEPS:
                steps = 0
                yield
            elif self._tries != tries:
                tries = self._tries
                yield
        self._carry = buffer[at:]
        if len(self._carry) > LONGEST_NUMBER and not self._in_text and self._carry[0] != _QUOTE:
            self._carry = self._shortened(self._carry)
        yield

    def finish(self) -> None:
        """The body has ended."""
        if not self._fed:
            raise RequestRefusedError("The body is empty. It must be a JSON object with the model's name.")
        if self._next is not Next.NOTHING:
            raise self._error(self._fed, "it ends too early")
        if self.model is None:
            raise RequestRefusedError('The body has no member "model".')

    def _token(self, buffer: bytes, at: int) -> tuple[int, bool]:
        """Past the token at `at`, or many of them; and whether it may go on in the next piece."""
        state = self._next
        if state is Next.NAME or state is Next.NAME_OR_END:
            return self._name(buffer, at)
        if state is Next.VALUE or state is Next.ITEM_OR_END:
            return self._value(buffer, at)
        byte = buffer[at]
        if state is Next.COLON and byte == _COLON:
            self._next = Next.VALUE
        elif state is Next.COMMA_OR_END:
            inside = self._open[-1]
            if byte == _COMMA:
                self._next = Next.NAME if inside == _OBJECT else Next.VALUE
            elif byte == inside + 2:  # in ASCII, each closing bracket follows its opening one by two
                self._close()
            else:
                raise self._error(self._base + at, f'"," or "{chr(inside + 2)}" is expected')
        else:
            raise self._error(self._base + at, EXPECTED[state])
        return at + 1, False

    def _name(self, buffer: bytes, at: int) -> tuple[int, bool]:
        top = len(self._open) == 1
        run = (grammar.top_members if top else grammar.members)(buffer, at)
        if run and run.end() > at:
            self._next = Next.NAME
            return run.end(), False
        if buffer[at] == _QUOTE:
            return self._text(buffer, at, of_name=True)
        if buffer[at] == _OBJECT_END and self._next is Next.NAME_OR_END:
            self._close()
            return at + 1, False
        raise self._error(self._base + at, EXPECTED[self._next])

    def _value(self, buffer: bytes, at: int) -> tuple[int, bool]:
        inside = self._open[-1] if self._open else None
        if inside == _LIST:
            run = grammar.items(buffer, at)
            if run and run.end() > at:
                self._next = Next.VALUE
                return run.end(), False
        byte = buffer[at]
        if inside is None and byte != _OBJECT:
            if byte in b'["-0123456789tfn':
                raise RequestRefusedError("The body must be a JSON object, and is another JSON value.")
            raise self._error(self._base + at, "an object is expected")
        if self._of_model and byte != _QUOTE:
            raise RequestRefusedError('"model" must be a text.')
        if byte == _QUOTE:
            return self._text(buffer, at, of_name=False)
        if byte in {_LIST, _OBJECT}:
            return self._opened(buffer, at)
        if byte == _LIST_END and self._next is Next.ITEM_OR_END:
            self._close()
            return at + 1, False
        return self._scalar(buffer, at)

    def _opened(self, buffer: bytes, at: int) -> tuple[int, bool]:
        """Past a list or an object, or into it."""
        if self._open and (past := self._whole(buffer, at)):
            self._next = Next.COMMA_OR_END
            return past, False
        if len(self._open) >= DEEPEST:
            raise RequestRefusedError(f"The body has more than {DEEPEST} lists and objects within each other.")
        self._open.append(buffer[at])
        self._next = Next.NAME_OR_END if buffer[at] == _OBJECT else Next.ITEM_OR_END
        return at + 1, False

    def _whole(self, buffer: bytes, at: int) -> int:
        """Past the list or object at `at`, where all of it is here and without a pitfall; else 0."""
        if self._tries >= _MOST_TRIES:
            return 0
        if self._latin is None:
            self._latin = buffer.decode("latin-1")  # a character for each byte: that it is UTF-8 is known
        try:
            _, end = _decode(self._latin, at)
        except (ValueError, RecursionError):
            self._tries += 1
            return 0
        deep, value = len(self._open), buffer[at:end]
        if deep > _SHALLOW and value.count(b"[") + value.count(b"{") + deep > DEEPEST:
            return 0
        # This decoder pairs no surrogates.
        return 0 if b"\\ud" in value or b"\\uD" in value else end

    def _scalar(self, buffer: bytes, at: int) -> tuple[int, bool]:
        """A number or a word."""
        if word := grammar.word(buffer, at):
            if word.end() == len(buffer) and word.end() - at < 9:
                return at, True
            if word[0] not in (b"true", b"false", b"null"):
                raise self._error(self._base + at, not_json(word[0], self._next))
            if self._of_stream and len(self._open) == 1:
                self.streams = word[0] == b"true"
            self._next = Next.COMMA_OR_END
            return word.end(), False
        digits = grammar.of_number(buffer, at)
        if digits is None:
            raise self._error(self._base + at, EXPECTED[self._next])
        if digits.end() == len(buffer):
            return at, True
        number = grammar.number(buffer, at)
        if number is None or number.end() != digits.end():
            reason = not_json(buffer[at : at + 9], None) if buffer[at : at + 2] == b"-I" else "this is no number"
            raise self._error(self._base + at, reason)
        self._next = Next.COMMA_OR_END
        return number.end(), False

    def _text(self, buffer: bytes, at: int, *, of_name: bool) -> tuple[int, bool]:
        end = grammar.inside_text(buffer, at + 1).end()  # type: ignore[union-attr]  # matches nothing, too
        if not self._ends_here(buffer, end):
            if len(buffer) - at <= LONGEST_TOKEN:
                return at, True
            if self._of_model and not of_name:
                raise ModelNameError(LONGEST_CALLED_NAME)
            self._in_text, self._of_name = True, of_name
            return end, True
        if of_name:
            self._of_model = len(self._open) == 1 and grammar.model(buffer, at, end + 1) is not None
            if self._of_model:
                self._check_model(buffer[at : end + 1])
            if len(self._open) == 1:
                self._of_stream = buffer[at : end + 1] == b'"stream"'
                if buffer[at : end + 1] == b'"stream_options"':
                    self.options_at = self._base + at
        elif self._of_model:
            self._of_model = False
            self.model = buffer[at : end + 1]
            self.place = (self._base + at, self._base + end + 1)
        self._next = Next.COLON if of_name else Next.COMMA_OR_END
        return end + 1, False

    def _check_model(self, name: bytes) -> None:
        if self.model is not None:
            raise RequestRefusedError('The body must name its "model" exactly once, in any case.')
        if _decode(name.decode("ascii"))[0] != "model":
            raise RequestRefusedError('The body must write "model" in small letters.')

    def _long_text(self, buffer: bytes, at: int) -> tuple[int, bool]:
        """The rest of a text of which the beginning was let go."""
        end = buffer.find(b'"', at)
        piece = buffer[at : end if end >= 0 else len(buffer)]
        if b"\\" in piece or len(piece.translate(None, _CONTROLS)) != len(piece):
            end = grammar.inside_text(buffer, at).end()  # type: ignore[union-attr]  # matches nothing, too
            if not self._ends_here(buffer, end):
                return end, True
        elif end < 0:
            return len(buffer), True
        self._in_text = False
        self._next = Next.COLON if self._of_name else Next.COMMA_OR_END
        return end + 1, False

    def _ends_here(self, buffer: bytes, at: int) -> bool:
        """Whether a text that was read up to `at` ends there; False where the next piece may tell."""
        if at == len(buffer):
            return False
        if buffer[at] == _QUOTE:
            return True
        if buffer[at] != _BACKSLASH:
            raise self._error(self._base + at, "a text holds a control character that is not escaped")
        if grammar.half_escape(buffer, at):
            return False
        if grammar.surrogate(buffer, at):
            raise self._error(self._base + at, "a text holds one half of a surrogate pair")
        raise self._error(self._base + at, "a text holds an escape that does not exist")

    def _shortened(self, number: bytes) -> bytes:
        """A number that goes on in the next piece, without the digits that change nothing for its form."""
        if grammar.half_number(number) is None:
            raise self._error(self._fed, "this is no number")
        return grammar.MORE_DIGITS.sub(b"", number)

    def _close(self) -> None:
        self._open.pop()
        self._next = Next.COMMA_OR_END if self._open else Next.NOTHING

    def _error(self, at: int, why: str) -> RequestRefusedError:
        return RequestRefusedError(f"The body is not valid JSON: {why} (byte {at}).")
