"""Tracing by OpenTelemetry: its API only, so that whoever runs Keycairn decides which SDK gets the spans."""

from collections.abc import Iterable
from time import monotonic

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from keycairn.ports.tracing import Attributes

_PROPAGATED = frozenset({"traceparent"})
"""Of a trace only the ids count: `tracestate` is text of others, and the exporter would get it with each span."""
_context = TraceContextTextMapPropagator()


class OpenTelemetryTracing:
    """A `keycairn.ports.tracing.Tracing` on a tracer of the global provider, which may be set at any time.

    One that is set is seen within `look_again` seconds: to ask for it costs as much as the rest of a call's record.
    """

    def __init__(self, provider: trace.TracerProvider | None = None, *, look_again: float = 1.0) -> None:
        self._tracer = trace.get_tracer("keycairn", tracer_provider=provider)
        self._given = provider is not None
        self._look_again = look_again
        self._none_until = 0.0

    def begin(self, name: str, headers: Iterable[tuple[str, str]]) -> "OpenTelemetrySpan | None":
        """See `Tracing.begin`."""
        if not self._given and self._none_is_set():
            return None
        given = {key: value for key, value in headers if key in _PROPAGATED}
        parent = _context.extract(given) if given else None
        span = self._tracer.start_span(name, parent, SpanKind.CLIENT)
        return OpenTelemetrySpan(span) if span.is_recording() else None

    def _none_is_set(self) -> bool:
        now = monotonic()
        if now >= self._none_until and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            self._none_until = now + self._look_again
        return now < self._none_until


class OpenTelemetrySpan:
    """A `keycairn.ports.tracing.Span`."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def end(self, name: str, attributes: Attributes, *, error: str | None = None) -> None:
        """See `Span.end`."""
        self._span.update_name(name)
        self._span.set_attributes(dict(attributes))
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
