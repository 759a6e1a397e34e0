"""Time and fresh ids, so that the core has neither a clock nor a random source."""

from datetime import datetime
from typing import Protocol

from keycairn.domain.ids import CredentialId, EventId, ModelId


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """The time, aware, in UTC, in whole microseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, for durations."""
        ...


class Ids(Protocol):
    """Fresh ids. Each carries a ULID: unique without asking the store, and later ones sort after earlier ones."""

    def credential(self) -> CredentialId:
        """A fresh credential id."""
        ...

    def model(self) -> ModelId:
        """A fresh model id."""
        ...

    def event(self) -> EventId:
        """A fresh audit event id."""
        ...

    def token(self) -> tuple[str, bytes]:
        """A fresh token: its ULID, and 32 random bytes."""
        ...
