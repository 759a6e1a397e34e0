"""Keeping the secrets of a call out of an answer that passes by."""

import asyncio
import re

from keycairn.domain.decoding import runs
from keycairn.domain.layouts import ends_in_columns
from keycairn.domain.needles import PIECE
from keycairn.domain.open_ends import open_end
from keycairn.domain.placing import merged, replaced
from keycairn.domain.redaction import DEPTH, Redactor
from keycairn.domain.spellings import Span

CONTEXT = 32
"""Bytes that are remembered of what was passed on, for a secret that goes on behind a line break."""
LONGEST_EVENT = 4096
"""Bytes of a chunk that is small enough to be some of many alike."""
SLICE = 2**14
"""Bytes that are looked through at a time."""
LONGEST_WAIT = 512
"""Bytes at the end of a chunk that may wait for the next one because they look encoded."""
SHORTEST_WORD = 8
"""Characters of base64 at the end of a chunk that wait for what follows."""

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_=-"
MOST_BACKSLASHES = 64
MOST_MASKED, MOST_HIDDEN = 256, 4
"""Chunks in which secrets are masked one by one, and of those the ones in which they were hidden by some encoding.

Whoever repeats a key more often has nothing else to say; that bounds what he can cost.
"""
ROUNDS = 3
"""How often what is left is looked at again."""

_PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x04\x22\x4d\x18", b"7z\xbc\xaf")
"""How gzip, zstd, zip, bzip2, xz, lz4 and 7z begin."""
_STAR = bytes(byte if byte in b'"{}[],: \t\n\r\f\v' else 42 for byte in range(256))
"""To stars. What holds JSON and lines together stays, so that the rest of the answer can still be read."""
_BETWEEN = b" ,:[]{}"
"""What may stand between the parts of a spelling, and stays."""
_QUOTES = re.compile(rb'(\\+")')
"""Quotes within a text of JSON, which stay with their backslashes."""


class ContentMask:
    """Masks secrets in an answer that passes by, each by as many stars, so that its length stays what was announced.

    Of a chunk that ends in the beginning of a secret, or in something encoded, that end waits for the next one.
    """

    __slots__ = (
        "_alike",
        "_before",
        "_clean_tail",
        "_clean_word",
        "_hidden",
        "_masked",
        "_open",
        "_passed",
        "_redactor",
    )

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._before = b""
        """The end of what was seen: first what was passed on already, then what waits."""
        self._passed = 0
        self._hidden = self._masked = 0
        self._open = False
        """Whether what was passed on ends with what is masked, or next to it.

        What was said is remembered then instead of its stars, so that the rest of a spelling is found behind them.
        """
        self._clean_word = b"\0\0"
        self._clean_tail = b""
        self._alike: tuple[bytes, ...] = ()

    def see(self, chunk: bytes, *, last: bool = False) -> bytes:
        """What of the answer can go on now; all of it where this is the `last` chunk."""
        if not self._redactor:
            return chunk
        data = self._before + chunk
        event = len(data) < LONGEST_EVENT and data.endswith(b"\n")
        looked = data.replace(self._clean_word, b" ") if event else data
        shown = data
        if self._redactor.within(looked):
            shown = self._starred(data)
        elif event and len(looked) == len(data):
            self._learn(data)
        ready = len(data) if last else len(data) - self._waiting(shown)
        self._open = False
        if shown is not data:
            masked = _last_difference(data, shown)
            ready = max(ready, masked)
            self._open = masked > 0 and _may_go_on(data[masked:ready])
        out = shown[self._passed : ready]
        goes_on = self._open or (not last and ends_in_columns(data[-LONGEST_WAIT:]))
        kept = LONGEST_WAIT if goes_on else CONTEXT
        begin = max(0, ready - kept)
        self._before, self._passed = (data if self._open else shown)[begin:], ready - begin
        return out

    async def see_long(self, chunk: bytes, *, last: bool = False) -> bytes:
        """The same of a chunk of any length; between two slices of it, others are served."""
        if len(chunk) <= SLICE or not self._redactor:
            return self.see(chunk, last=last)
        shown: list[bytes] = []
        for begin in range(0, len(chunk), SLICE):
            shown.append(self.see(chunk[begin : begin + SLICE], last=last and begin + SLICE >= len(chunk)))
            await asyncio.sleep(0)
        return b"".join(shown)

    def _starred(self, data: bytes) -> bytes:
        """`data` without the secrets in it; without anything, once they were hidden in too many chunks."""
        if self._hidden >= MOST_HIDDEN or self._masked >= MOST_MASKED:
            return starred(data, [(0, len(data))])
        self._masked += 1
        plain = self._redactor.plain_spans(data)
        shown = starred(data, plain)
        if plain and not self._redactor.within(shown):
            return shown
        self._hidden += not self._open
        return without_secrets(shown, self._redactor)

    def rest(self) -> bytes:
        """What still waited when the answer ended."""
        held, self._before, self._passed = self._before[self._passed :], b"", 0
        return held

    def _learn(self, event: bytes) -> None:
        """Remember a long id: it stands in every event of a stream, and need not be looked at again.

        With what stands around it, so that it is never a part of something longer, and not where it is like a secret.
        """
        for begin, end in runs(event):
            word = event[begin - 1 : end + 1]
            if begin > 0 and end < len(event) and word not in self._alike:
                if not self._redactor.resembles(word):
                    self._clean_word = word
                    return
                self._alike = (word, *self._alike[:3])

    def _waiting(self, data: bytes) -> int:
        """How many of the last bytes, of those not passed on yet, may be the beginning of a secret."""
        finished = data.endswith(b"\n")
        if finished:
            tail = data[-CONTEXT:]
            if tail == self._clean_tail:
                return 0
            if not self._redactor.piece_ends(tail):
                self._clean_tail = tail
                return 0
        return min(self._suspect(data[-LONGEST_WAIT:], finished=finished), len(data) - self._passed)

    def _suspect(self, end: bytes, *, finished: bool) -> int:
        """The same of the end of what was seen, whatever of it was passed on."""
        if finished:
            return len(end) - self._redactor.begins(end, PIECE)
        return len(end) if ends_in_columns(end) else len(end) - open_end(end, self._begins)

    def _begins(self, text: bytes, had_escapes: bool) -> int:  # noqa: FBT001  # as `open_end` asks
        """Where the end of `text` begins that may be the beginning of a secret, or of something encoded."""
        word = len(text) - len(text.rstrip(_BASE64))
        spelled = self._redactor.begins(text)
        return min(spelled, len(text) - word) if word >= SHORTEST_WORD or had_escapes else spelled


def is_text(beginning: bytes) -> bool:
    """Whether a body that is declared as sound or a picture is none, judged by its first bytes."""
    return not beginning[:64].translate(None, _PRINTABLE)


def is_packed(beginning: bytes) -> bool:
    """Whether a body is compressed or an archive, which cannot be looked into."""
    return beginning.startswith(_PACKED)


def without_secrets(data: bytes, redactor: Redactor, *, depth: int = DEPTH) -> bytes:
    """`data` with stars for the secrets in it; for all of it where they are too many or too well hidden."""
    for _ in range(ROUNDS):
        data = starred(data, redactor.spans(data, depth=depth))
        if not redactor.within(data, depth=depth):
            return data
    return starred(data, [(0, len(data))])


def starred(data: bytes, spans: list[Span]) -> bytes:
    """`data` with stars for what is in `spans`, and for the backslashes before, which would escape the first one."""
    whole = merged((begin - _backslashes(data[max(0, begin - MOST_BACKSLASHES) : begin]), end) for begin, end in spans)
    return replaced(data, whole, _stars)


def _last_difference(data: bytes, shown: bytes) -> int:
    """Where the last star ends."""
    return next((end for end in range(len(data), 0, -1) if data[end - 1] != shown[end - 1]), 0)


def _may_go_on(text: bytes) -> bool:
    """Whether `text`, which stands behind a part of a spelling, may be the beginning of the next one."""
    return len(text.strip(_BETWEEN)) < PIECE and not any(one in text for one in b'"\n')


def _stars(piece: bytes) -> bytes:
    if b'\\"' not in piece:
        return piece.translate(_STAR)
    parts = _QUOTES.split(piece)
    parts[::2] = [part.translate(_STAR) for part in parts[::2]]
    return b"".join(parts)


def _backslashes(before: bytes) -> int:
    return len(before) - len(before.rstrip(b"\\"))
