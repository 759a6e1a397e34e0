"""Logs: one line an event, for a person on a terminal or a program elsewhere, never with the values of variables."""

import asyncio
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TextIO, cast

import msgspec
import structlog
from msgspec import UNSET, Struct
from msgspec.structs import asdict

QUIET = ("httpx", "httpcore", "uvicorn", "uvicorn.access", "aiohttp", "websockets", "asyncio")
"""Libraries whose informational lines may hold URLs and headers."""

_json = msgspec.json.Encoder()


LINES_A_MINUTE = 60
"""Lines that strangers can cause of one kind in a minute. What is beyond is counted, and the count is told."""


class LogBudget:
    """Lets so many lines of one kind through in a minute, and says at its end how many more there were.

    For lines that somebody without a token can cause: they must not fill a disk. `what` says in a few words, in the
    plural, what is counted. It asks for a running event loop.
    """

    def __init__(self, what: str, *, most: int = LINES_A_MINUTE, seconds: float = 60.0) -> None:
        self._what = what
        self._most = most
        self._seconds = seconds
        self._lines = 0
        self._ends = 0.0

    def allows(self) -> bool:
        """Whether the next line may be written. Counts it either way."""
        now = time.monotonic()
        if now >= self._ends:
            self._tell()
            self._ends = now + self._seconds
            asyncio.get_running_loop().call_later(self._seconds, self._tell)
        self._lines += 1
        return self._lines <= self._most

    def _tell(self) -> None:
        beyond, self._lines, self._ends = self._lines - self._most, 0, 0.0
        if beyond > 0:
            structlog.get_logger().warning(
                "lines left out", what=self._what, count=beyond, seconds=round(self._seconds)
            )


class _Tolerant:
    """A stream that may be gone: a terminal that was closed must not make requests fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


class CallLines:
    """Writes lines of calls as the other lines of the log are, many at once: structlog takes 30 microseconds a line."""

    def __init__(self, stream: TextIO | _Tolerant, *, terminal: bool) -> None:
        self._stream = stream
        self._terminal = terminal

    def __call__(self, lines: Sequence[Struct]) -> None:
        """Write them; each has its `event`, `level` and `timestamp`. Raises nothing."""
        form = _readable if self._terminal else _json.encode_lines
        self._stream.write(form(lines).decode("utf-8", "replace"))
        self._stream.flush()


def _readable(lines: Sequence[Struct]) -> bytes:
    return "".join(f"{_text(asdict(line))}\n" for line in lines).encode("utf-8", "replace")


def _text(line: Mapping[str, object]) -> str:
    values = " ".join(
        f"{name}={value}"
        for name, value in line.items()
        if name not in {"event", "level", "timestamp"} and value not in ("", None, UNSET)
    )
    return f"{str(line['timestamp'])[:23]} [info     ] {line['event']:<30} {values}"


def configure_logs(level: str) -> CallLines | None:
    """Send logs to standard error: readable lines on a terminal, JSON otherwise. `level` as in the settings.

    Gives what writes the lines of calls, None where the level leaves them out.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    terminal, stream = sys.stderr.isatty(), _Tolerant(sys.stderr)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if terminal
        else [
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", stream)),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last], foreign_pre_chain=shared
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    return CallLines(stream, terminal=terminal) if number <= logging.INFO else None
