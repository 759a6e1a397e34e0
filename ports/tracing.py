"""Telling a tracing system about calls."""

from collections.abc import Iterable, Mapping
from typing import Protocol

Attributes = Mapping[str, str | int]
"""By the names of OpenTelemetry's semantic conventions; never a secret, never a part of a body."""


class Span(Protocol):
    """A call under way."""

    def end(self, name: str, attributes: Attributes, *, error: str | None = None) -> None:
        """It is over; `error` is what kind of failure it ended in, None where it did not fail. Once only."""
        ...


class Tracing(Protocol):
    """Where calls are reported to. It neither blocks nor raises."""

    def begin(self, name: str, headers: Iterable[tuple[str, str]]) -> Span | None:
        """A call to a provider begins now, within the trace that the caller's `headers` (W3C Trace Context) name.

        None where nobody wants to know of it.
        """
        ...
