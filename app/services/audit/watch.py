"""Verifying the audit log and the records again and again while the service runs."""

import asyncio

import structlog

from keycairn.app.services.audit.chain import Flaw
from keycairn.app.services.audit.log import AuditLog
from keycairn.domain.errors import KeycairnError
from keycairn.ports.clock import Clock

FIRST = 30.0
"""Seconds from the start to the first verification."""
EVERY_ALONE = 6 * 3600.0
"""Seconds between two where nobody else can write to the database: then only a broken disk changes anything."""
EVERY_SHARED = 60.0
"""Seconds between two on a database server, whoever has its password could write to."""
SHARE = 50
"""A verification rests at least so many times as long as it took."""
LISTED = 20

_log = structlog.get_logger()


class AuditWatch:
    """Remembers what the last verification found. What is found is left out of every read from then on, and logged."""

    def __init__(self, audit: AuditLog, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self.flaws: tuple[Flaw, ...] = ()
        """What the last one found."""

    async def run(self, *, shared: bool, first: float = FIRST) -> None:
        """Verify, until cancelled. `shared`: others may write to the database."""
        wait = first
        while True:
            await asyncio.sleep(wait)
            begun = self._clock.monotonic()
            await self.look()
            wait = max(EVERY_SHARED if shared else EVERY_ALONE, SHARE * (self._clock.monotonic() - begun))

    async def look(self) -> None:
        """Verify once; what was not there the last time is logged."""
        try:
            report = await self._audit.verify()
        except KeycairnError as error:
            _log.warning("the audit log and the records could not be verified", code=error.code)
            return
        known, self.flaws = set(self.flaws), report.flaws
        if fresh := [flaw for flaw in report.flaws if flaw not in known]:
            _log.error(
                "the audit log or the records are not as they were left",
                flaws=report.flaw_count,
                found=[flaw.detail for flaw in fresh[:LISTED]],
            )
