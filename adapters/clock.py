"""The time of this machine."""

import time
from datetime import UTC, datetime


class SystemClock:
    """`keycairn.ports.clock.Clock` by the system's clocks."""

    def now(self) -> datetime:
        """See the port."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See the port."""
        return time.monotonic()
