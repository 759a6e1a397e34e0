"""Reading the provider's usage report out of an answer that passes by."""

import json
import re

from keycairn.domain.usage import tokens_in

WINDOW = 8192
"""Bytes kept of the beginning and of the end. Providers report input early (Anthropic) and the rest at the end."""

_REPORT = re.compile(rb'"usage(?:Metadata)?"\s*:\s*(?=\{)')
_decode = json.JSONDecoder().raw_decode


class UsageScanner:
    """Keeps the two ends of an answer, never more, and reads the reports in them when asked."""

    __slots__ = ("_first", "_last", "_size")

    def __init__(self) -> None:
        self._first = b""
        self._last: list[bytes] = []
        self._size = 0

    def see(self, chunk: bytes) -> None:
        """One more piece of the answer."""
        if len(self._first) < WINDOW:
            self._first += chunk[: WINDOW - len(self._first)]
        self._last.append(chunk)
        self._size += len(chunk)
        if self._size > 4 * WINDOW:
            tail = b"".join(self._last)[-WINDOW:]
            self._last, self._size = [tail], len(tail)

    def tokens(self) -> tuple[int, int]:
        """Input and output tokens as far as the answer reports them; the last report of each counts."""
        last = b"".join(self._last)[-WINDOW:]
        text = last if last.startswith(self._first) else self._first + b"\n" + last
        input = output = 0
        for match in _REPORT.finditer(text):
            try:
                report, _ = _decode(text[match.end() : match.end() + 2048].decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                continue
            found = tokens_in(report)
            input, output = (new if new is not None else old for new, old in zip(found, (input, output), strict=True))
        return input, output
