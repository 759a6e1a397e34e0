"""Keeping the secrets of a call out of an answer that passes by."""

import re

from keycairn.domain.redaction import SHORTEST_PIECE, Redactor, merged, replaced
from keycairn.domain.spellings import Span, even, folded, open_end, runs

CONTEXT = 16
"""Bytes that are remembered of what was passed on, for a secret that goes on behind a line break."""
LONGEST_EVENT = 4096
"""Bytes of a chunk that is small enough to be some of many alike."""
LONGEST_WAIT = 1024
"""Bytes at the end of a chunk that may wait for the next one because they look encoded."""
SHORTEST_WORD = 8
"""Characters of base64 at the end of a chunk that wait for what follows."""

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_=-"
_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
MOST_BACKSLASHES = 64

_PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x04\x22\x4d\x18", b"7z\xbc\xaf")
"""How gzip, zstd, zip, bzip2, xz, lz4 and 7z begin."""
_HIDDEN = re.compile(rb'(?!\\+")[^"{}\[\],:\s]')
"""What becomes a star. What holds JSON and lines together stays, so that the rest of the answer can still be read."""


class ContentMask:
    """Masks secrets in an answer that passes by, each by as many stars, so that its length stays what was announced.

    Of a chunk that ends in the beginning of a secret, or in something encoded, that end waits for the next one.
    """

    __slots__ = ("_before", "_clean_tail", "_clean_word", "_passed", "_redactor")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._before = b""
        """The end of what was seen: first what was passed on already, then what waits."""
        self._passed = 0
        self._clean_word = b"\0\0"
        self._clean_tail = b""

    def see(self, chunk: bytes, *, last: bool = False) -> bytes:
        """What of the answer can go on now; all of it where this is the `last` chunk."""
        if not self._redactor:
            return chunk
        data = self._before + chunk
        event = len(data) < LONGEST_EVENT and data.endswith(b"\n")
        looked = data.replace(self._clean_word, b" ") if event else data
        if self._redactor.within(looked):
            data = starred(data, self._redactor.spans(data))
        elif event and len(looked) == len(data):
            self._learn(data)
        ready = len(data) if last else len(data) - self._waiting(data)
        out = data[self._passed : ready]
        begin = max(0, ready - CONTEXT)
        self._before, self._passed = data[begin:], ready - begin
        return out

    def rest(self) -> bytes:
        """What still waited when the answer ended."""
        held, self._before, self._passed = self._before[self._passed :], b"", 0
        return held

    def _learn(self, event: bytes) -> None:
        """Remember a long id: it stands in every event of a stream, and need not be looked at again.

        With what stands around it, so that it is never a part of something longer, and not where it is like a secret.
        """
        for begin, end in runs(event):
            if begin > 0 and end < len(event) and not self._redactor.resembles(event[begin:end]):
                self._clean_word = event[begin - 1 : end + 1]
                return

    def _waiting(self, data: bytes) -> int:
        """How many of the last bytes, of those not passed on yet, may be the beginning of a secret."""
        finished = data.endswith(b"\n")
        if finished:
            tail = data[-CONTEXT:]
            if tail == self._clean_tail:
                return 0
            if not self._redactor.piece_ends(folded(tail)):
                self._clean_tail = tail
                return 0
        return min(self._suspect(data[-LONGEST_WAIT:], finished=finished), len(data) - self._passed)

    def _suspect(self, end: bytes, *, finished: bool) -> int:
        """The same of the end of what was seen, whatever of it was passed on."""
        if finished:
            return len(end) - self._spelled(end, SHORTEST_PIECE)
        return len(end) - open_end(end, self._begins)

    def _begins(self, text: bytes, had_escapes: bool) -> int:  # noqa: FBT001  # as `open_end` asks
        """Where the end of `text` begins that may be the beginning of a secret, or of something encoded."""
        word = len(text) - len(text.rstrip(_BASE64))
        spelled = self._spelled(text, 1)
        return min(spelled, len(text) - word) if word >= SHORTEST_WORD or had_escapes else spelled

    def _spelled(self, text: bytes, least: int) -> int:
        """Where the end of `text` begins that is the beginning of a secret, of at least so many characters."""
        size = self._redactor.beginning(folded(text), least)
        return _place(even(text), size) if size else len(text)


def is_text(beginning: bytes) -> bool:
    """Whether a body that is declared as sound or a picture is none, judged by its first bytes."""
    return not beginning[:64].translate(None, _PRINTABLE)


def is_packed(beginning: bytes) -> bool:
    """Whether a body is compressed or an archive, which cannot be looked into."""
    return beginning.startswith(_PACKED)


def starred(data: bytes, spans: list[Span]) -> bytes:
    """`data` with stars for what is in `spans`, and for the backslashes before, which would escape the first one."""
    whole = merged((begin - _backslashes(data[max(0, begin - MOST_BACKSLASHES) : begin]), end) for begin, end in spans)
    return replaced(data, whole, lambda piece: _HIDDEN.sub(b"*", piece))


def _backslashes(before: bytes) -> int:
    return len(before) - len(before.rstrip(b"\\"))


def _place(data: bytes, size: int) -> int:
    """Where the last `size` letters and digits of `data` begin."""
    place = len(data)
    while size:
        place -= 1
        size -= data[place] in _KEPT
    return place
