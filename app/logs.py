"""Logs: one line an event, for a person on a terminal or a program elsewhere, never with the values of variables."""

import logging
import sys
from typing import Any

import structlog

QUIET = ("httpx", "httpcore", "uvicorn", "uvicorn.access", "aiohttp", "websockets", "asyncio")
"""Libraries whose informational lines may hold URLs and headers."""


def configure_logs(level: str) -> None:
    """Send logs to standard error: readable lines on a terminal, JSON otherwise. `level` as in the settings."""
    number = logging.getLevelNamesMapping()[level.upper()]
    terminal = sys.stderr.isatty()
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last], foreign_pre_chain=shared
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
