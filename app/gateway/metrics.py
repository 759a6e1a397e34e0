"""Counters of the gateway. No label is the client's text: operations, providers, outcomes."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from keycairn.app.gateway.call import Report


class GatewayMetrics:
    """Metrics in a registry of their own, which can be registered in another one."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._calls = Counter(
            "keycairn_gateway_calls", "Calls answered.", ("api", "provider", "status", "code"), registry=registry
        )
        self._attempts = Counter(
            "keycairn_gateway_attempts", "Attempts at providers.", ("provider", "outcome"), registry=registry
        )
        self._seconds = Histogram(
            "keycairn_gateway_call_seconds",
            "Time until a call was over.",
            ("api",),
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600),
            registry=registry,
        )
        self._first = Histogram(
            "keycairn_gateway_first_byte_seconds",
            "Time until the provider's first byte.",
            ("api",),
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
            registry=registry,
        )
        self._tokens = Counter(
            "keycairn_gateway_tokens", "Tokens as providers report them.", ("provider", "kind"), registry=registry
        )
        self._known: dict[tuple[str, ...], Counter] = {}
        self._timers: dict[str, tuple[Histogram, Histogram]] = {}

    def call(self, api: str, report: Report, seconds: float) -> None:
        """One call that is over."""
        self._child(self._calls, "calls", api, report.provider, str(report.status), report.code).inc()
        timers = self._timers.get(api)
        if timers is None:
            timers = self._timers[api] = (self._seconds.labels(api), self._first.labels(api))
        timers[0].observe(seconds)
        if report.first_byte is not None:
            timers[1].observe(report.first_byte)
        if report.input_tokens:
            self._child(self._tokens, "tokens", report.provider, "input").inc(report.input_tokens)
        if report.output_tokens:
            self._child(self._tokens, "tokens", report.provider, "output").inc(report.output_tokens)

    def attempt(self, provider: str, outcome: str) -> None:
        """One attempt: a status, or the code of an error."""
        self._child(self._attempts, "attempts", provider, outcome).inc()

    def _child(self, counter: Counter, *labels: str) -> Counter:
        """The counter of these labels; looking it up in the client library costs as much as the rest of a call's."""
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = counter.labels(*labels[1:])
        return child
