"""The model's name in a body: found, and replaced without touching any other byte."""

import asyncio
import re
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from keycairn.app.gateway.form_naming import NamedForm, checked_name
from keycairn.app.gateway.json_scan import PIECE, JsonScanner
from keycairn.app.gateway.outgoing import Outgoing, WholeBody
from keycairn.app.gateway.request_body import Incoming
from keycairn.app.gateway.resource_ids import MARK, sealed_in
from keycairn.app.gateway.stream_usage import ASKED, LONGEST_OPTIONS, Unasked, unasked

READ_AT_ONCE = 2**16
"""Bytes of a JSON body that are decoded in one; a larger one is scanned piece by piece while it comes in."""
SLICE = 0.0005
"""Seconds of scanning after which others go on."""
PIECES_AT_ONCE = 128
"""Pieces that are searched before others go on: a megabyte."""
JOINED_AT_ONCE = 2**20
"""Bytes that are copied without a thread. From here on, `bytes.join` lets other threads go on."""

_VALUE = re.compile(rb'[ \t\n\r]*+:[ \t\n\r]*+("(?:[^"\\]++|\\.)*+")', re.DOTALL)


class _Call(Struct):
    model: str
    stream: Any = None
    stream_options: Raw | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Call).decode


class Named(Struct, frozen=True):
    """The model's name in a JSON body, and the `place` of its text: where it begins and ends, in bytes.

    `silent`: the body asks for a stream, and for no usage of it; `options` is where it says so, None where it says
    nothing of it.
    """

    name: str
    place: tuple[int, int]
    silent: bool = False
    options: Unasked | None = None


class NamedJson:
    """A JSON body and the model's name in it."""

    __slots__ = ("_incoming", "_model", "_options", "_pieces", "_references", "_said", "name", "silent")

    def __init__(self, named: Named, pieces: list[bytes], incoming: Incoming) -> None:
        self.name: str = named.name
        self.silent: bool = named.silent
        self._model = named.place, msgspec.json.encode(named.name)
        self._references: list[tuple[int, int]] = []
        self._pieces = pieces
        self._incoming = incoming
        self._options = named.options
        self._said = b""
        """What the client's own options were, where ours took their place."""

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again."""
        return True

    async def renamed(self, new: str, *, ask_usage: bool = False) -> WholeBody:
        """The body with the model `new`, which takes the place of what this gave before. Raises OverloadedError.

        With `ask_usage`, where it is `silent`, it asks for the stream's usage.
        """
        asks = ask_usage and self.silent
        if self._options is not None and asks != bool(self._said):
            await self._turn(self._options, asks=asks)
        value = msgspec.json.encode(new) + (ASKED if asks and self._options is None else b"")
        place, before = self._model
        if value != before:
            body = await self._joined(_replaced(self._pieces, place, value))
            self._model = (place[0], place[0] + len(value)), value
            self._moved(place, len(value))
        else:
            body = await self._joined(self._pieces)
        self._pieces = [body]
        return WholeBody(body)

    @property
    def beginning(self) -> bytes:
        """The first piece, which is all of a body that came in one."""
        return self._pieces[0]

    async def references(self) -> list[bytes]:
        """The sealed ids in the body, in order. Raises OverloadedError."""
        if not (MARK in self._pieces[0] if len(self._pieces) == 1 else await self._holds(MARK)):
            return []
        body = await self.whole()
        self._references = list(sealed_in(body))
        return [body[begin:end] for begin, end in self._references]

    async def refer_to(self, ids: Sequence[str]) -> None:
        """Put `ids` in the places of the `references`, which were just found."""
        for (begin, end), id in reversed(list(zip(self._references, ids, strict=True))):
            self._pieces = [await self._joined(_replaced(self._pieces, (begin, end), id.encode()))]
            self._moved((begin, end), len(id))
        self._references = []

    async def _turn(self, options: Unasked, *, asks: bool) -> None:
        """Put options that ask for the usage in the place of the client's own, or these back."""
        begin, end = options.place
        body = await self.whole()
        new, self._said = (options.asking, body[begin:end]) if asks else (self._said, b"")
        self._pieces = [await self._joined(_replaced(self._pieces, options.place, new))]
        self._options = replace(options, place=(begin, begin + len(new)))
        (start, stop), value = self._model
        if begin < start:
            moved = len(new) - (end - begin)
            self._model = (start + moved, stop + moved), value

    def _moved(self, place: tuple[int, int], length: int) -> None:
        """What was at `place` has another length: what follows it is elsewhere."""
        moved = length - (place[1] - place[0])
        (start, stop), value = self._model
        if place[0] < start:
            self._model = (start + moved, stop + moved), value
        if self._options is not None and place[0] < self._options.place[0]:
            begin, end = self._options.place
            self._options = replace(self._options, place=(begin + moved, end + moved))

    async def whole(self) -> bytes:
        """The body in one. Raises OverloadedError."""
        body = await self._joined(self._pieces)
        self._pieces = [body]
        return body

    async def _holds(self, mark: bytes) -> bool:
        """Whether the body holds `mark`, which may begin in one piece and end in the next."""
        before = b""
        for number, piece in enumerate(self._pieces, 1):
            if mark in piece or mark in before[1 - len(mark) :] + piece[: len(mark) - 1]:
                return True
            before = piece
            if number % PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)
        return False

    async def _joined(self, pieces: Sequence[bytes | memoryview]) -> bytes:
        if len(pieces) == 1:
            return bytes(pieces[0])
        size = sum(map(len, pieces))
        if size < JOINED_AT_ONCE:
            return b"".join(pieces)
        self._incoming.hold(size)  # twice, until the pieces are gone
        body = await asyncio.to_thread(b"".join, pieces)
        self._incoming.hold(-size)
        return body


class NativeBody(Struct, frozen=True):
    """The body of a native call, in which the provider's own names stand."""

    outgoing: Outgoing

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent again."""
        return self.outgoing.repeatable

    async def renamed(self, new: str, *, ask_usage: bool = False) -> Outgoing:  # noqa: ARG002  # as the others are called
        """The body as it is."""
        return self.outgoing


Body = NamedJson | NamedForm | NativeBody


async def named_json(incoming: Incoming) -> NamedJson:
    """The body, all of it, and the outermost `model` in it. Raises RequestRefusedError, or as `Incoming.take`."""
    body = await incoming.take()
    if not incoming.complete:
        begun = bytearray(body)
        while not incoming.complete and len(begun) <= READ_AT_ONCE:
            begun += await incoming.take()
        body = bytes(begun)
    if len(body) > READ_AT_ONCE:
        return await _scanned(body, incoming)
    return NamedJson(json_model(body), [body], incoming)


async def _scanned(body: bytes, incoming: Incoming) -> NamedJson:
    """As `named_json`, of a large body that begins with `body`."""
    scanner = JsonScanner()
    pieces: list[bytes] = []
    waiting = bytearray(body)
    since = perf_counter()
    while True:
        while len(waiting) >= PIECE or (waiting and incoming.complete):
            pieces.append(bytes(waiting[:PIECE]))
            del waiting[:PIECE]
            for _ in scanner.feed(pieces[-1]):
                if perf_counter() - since > SLICE:
                    await incoming.intake.pause()
                    since = perf_counter()
        if incoming.complete:
            break
        waiting += await incoming.take()
    scanner.finish()
    return NamedJson(_named(scanner, pieces), pieces, incoming)


def json_model(body: bytes) -> Named:
    """The outermost `model` of a JSON body. Raises RequestRefusedError."""
    quick = _quickly(body)
    if quick is not None:
        checked_name(quick.name)
        return quick
    scanner = JsonScanner()
    for _ in scanner.feed(body):
        pass
    scanner.finish()
    return _named(scanner, [body])


def _quickly(body: bytes) -> Named | None:
    """As the scanner, for most bodies and in a tenth of the time; None where the scanner must say."""
    # One such text, and no way to spell it otherwise: a decoder that found the member found it there.
    if body.lower().count(b'"model"') != 1 or b"\\u006" in body or b"\\u004" in body:
        return None
    try:
        call = _decode(body)
        if not body.isascii():
            body.decode()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    value = _VALUE.match(body, body.find(b'"model"') + 7)
    if value is None:
        return None
    if call.stream is not True or call.stream_options is UNSET:
        return Named(call.model, value.span(1), call.stream is True)
    if body.count(b'"stream_options"') != 1:
        return None
    at = body.find(b'"stream_options"')
    options = unasked(body[at : at + LONGEST_OPTIONS], at)
    return Named(call.model, value.span(1), options is not None, options)


def _named(scanner: JsonScanner, pieces: Sequence[bytes]) -> Named:
    name = checked_name(msgspec.json.decode(scanner.model or b'""', type=str))
    at = scanner.options_at
    if not scanner.streams or at is None:
        return Named(name, scanner.place, scanner.streams)
    options = unasked(_slice(pieces, at, at + LONGEST_OPTIONS), at)
    return Named(name, scanner.place, options is not None, options)


def _slice(pieces: Sequence[bytes], begin: int, end: int) -> bytes:
    """The bytes of the pieces from `begin` to `end`."""
    found = bytearray()
    at = 0
    for piece in pieces:
        found += piece[max(0, begin - at) : max(0, end - at)]
        at += len(piece)
    return bytes(found)


def _replaced(pieces: Sequence[bytes], place: tuple[int, int], value: bytes) -> list[bytes | memoryview]:
    """The pieces with `value` at the place. Nothing is copied."""
    begin, end = place
    found: list[bytes | memoryview] = []
    at = 0
    for piece in pieces:
        after = at + len(piece)
        if after <= begin or at >= end:
            found.append(piece)
        else:
            if at <= begin:
                found += (memoryview(piece)[: begin - at], value)
            if after >= end:
                found.append(memoryview(piece)[end - at :])
        at = after
    return found
