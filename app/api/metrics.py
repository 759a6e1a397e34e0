"""Counters for Prometheus. Labels are route templates, never paths, so no id or misplaced key becomes one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one plugin, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "keycairn_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "keycairn_http_request_seconds", "Time to answer.", ("method", "route"), registry=self.registry
        )
        self.auth_failures = Counter(
            "keycairn_auth_failures", "Requests refused for want of a valid token.", registry=self.registry
        )

        self._sealed = Gauge(
            "keycairn_vault_sealed", "1 while no root key opens the keyset, else 0.", registry=self.registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        verb = method if method in _METHODS else "other"
        self._requests.labels(verb, route, str(status)).inc()
        self._seconds.labels(verb, route).observe(seconds)

    def text(self, *, sealed: bool) -> bytes:
        """Everything in Prometheus' text format."""
        self._sealed.set(sealed)
        return generate_latest(self.registry)
