"""Counters for Prometheus. Labels are route templates, never paths, so no id or misplaced key becomes one."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


METER = "meter"
"""The name of the dependency, and the key of a request's state that holds the Metrics."""


class Condition(Struct, frozen=True, kw_only=True):
    """How the service is when it is asked. `unreadable` counts records, `flaws` what the last verification found.

    `newest_backup` is when it began.

    `keys` counts the keys that are rotated by how their rotation is.
    """

    sealed: bool
    store_available: bool
    unreadable: int
    flaws: int
    newest_backup: datetime | None
    keys: Mapping[str, int] = {}
    oldest_key_days: float = 0.0


class Metrics:
    """The metrics of one plugin, in a registry of their own."""

    def __init__(self) -> None:
        self.registry: CollectorRegistry = CollectorRegistry()
        self.gather: Callable[[bytes], Awaitable[bytes]] | None = None
        """Makes the page of several processes, where this one is one of them, of its own page."""
        self._requests = Counter(
            "keycairn_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "keycairn_http_request_seconds", "Time to answer.", ("method", "route"), registry=self.registry
        )
        self.auth_failures: Counter = Counter(
            "keycairn_auth_failures", "Requests refused for want of a valid token.", registry=self.registry
        )

        self._sealed = self._gauge("vault_sealed", "1 while no root key opens the keyset, else 0.")
        self._available = self._gauge("store_available", "1 while the database answers and can be written, else 0.")
        self._unreadable = self._gauge("records_unreadable", "Records that are refused or cannot be read.")
        self._flaws = self._gauge("audit_flaws", "What the last verification found wrong with audit log and records.")
        self._backup = self._gauge("newest_backup_timestamp_seconds", "When the newest kept backup began; 0 for none.")
        self._rotations = Gauge(
            "keycairn_key_rotations", "Keys by how their rotation is.", ("state",), registry=self.registry
        )
        self._oldest = self._gauge("key_age_days", "Age of the oldest key whose rotation is set up.")

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        verb = method if method in _METHODS else "other"
        self._requests.labels(verb, route, str(status)).inc()
        self._seconds.labels(verb, route).observe(seconds)

    def text(self, condition: Condition) -> bytes:
        """Everything in Prometheus' text format."""
        self._sealed.set(condition.sealed)
        self._available.set(condition.store_available)
        self._unreadable.set(condition.unreadable)
        self._flaws.set(condition.flaws)
        self._backup.set(condition.newest_backup.timestamp() if condition.newest_backup else 0)
        for state, number in condition.keys.items():
            self._rotations.labels(state).set(number)
        self._oldest.set(condition.oldest_key_days)
        return generate_latest(self.registry)

    def _gauge(self, name: str, help: str) -> Gauge:
        return Gauge(f"keycairn_{name}", help, registry=self.registry)
