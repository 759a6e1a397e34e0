"""Counters of the gateway. No label is the client's text: operations, providers, outcomes."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from keycairn.app.gateway.call import Report

_CALL = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
_FIRST_BYTE = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class _Durations:
    """Durations in seconds, counted by the smallest of `bounds` each is within."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class GatewayMetrics(Collector):
    """Metrics in a registry of their own, which can be registered in another one.

    Counted in plain numbers and put into the client library's form when asked: its own counters, each with a lock,
    would be a twentieth of what a call costs.
    """

    def __init__(self) -> None:
        self._calls: Counter[tuple[str, ...]] = Counter()
        self._attempts: Counter[tuple[str, ...]] = Counter()
        self._tokens: Counter[tuple[str, ...]] = Counter()
        self._seconds: defaultdict[str, _Durations] = defaultdict(partial(_Durations, _CALL))
        self._first: defaultdict[str, _Durations] = defaultdict(partial(_Durations, _FIRST_BYTE))
        self.registry: CollectorRegistry = CollectorRegistry()
        self.registry.register(self)

    def call(self, api: str, report: Report, seconds: float) -> None:
        """One call that is over."""
        self._calls[api, report.provider, str(report.status), report.code] += 1
        self._seconds[api].add(seconds)
        if report.first_byte is not None:
            self._first[api].add(report.first_byte)
        if report.used.input:
            self._tokens[report.provider, "input"] += report.used.input
        if report.used.output:
            self._tokens[report.provider, "output"] += report.used.output

    def attempt(self, provider: str, outcome: str) -> None:
        """One attempt: a status, or the code of an error."""
        self._attempts[provider, outcome] += 1

    def collect(self) -> Iterable[Metric]:
        """Everything counted so far."""
        labels = ("api", "provider", "status", "code")
        yield _counter("calls", "Calls answered.", labels, self._calls)
        yield _counter("attempts", "Attempts at providers.", ("provider", "outcome"), self._attempts)
        yield _histogram("call_seconds", "Time until a call was over.", self._seconds)
        yield _histogram("first_byte_seconds", "Time until the provider's first byte.", self._first)
        yield _counter("tokens", "Tokens as providers report them.", ("provider", "kind"), self._tokens)


def _counter(name: str, help: str, labels: Sequence[str], counts: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(f"keycairn_gateway_{name}", help, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _histogram(name: str, help: str, by_api: Mapping[str, _Durations]) -> Metric:
    family = HistogramMetricFamily(f"keycairn_gateway_{name}", help, labels=("api",))
    for api, durations in by_api.items():
        bounds = [*map(str, durations.bounds), "+Inf"]
        family.add_metric((api,), [*zip(bounds, accumulate(durations.counts), strict=True)], durations.total)
    return family
