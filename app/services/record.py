"""Making audit events."""

from collections.abc import Mapping

from keycairn.domain.audit import Action, AuditEvent, Caller
from keycairn.domain.change import Append
from keycairn.ports.clock import Clock, Ids


class Recorder:
    """Turns what a service does into the event that is committed with it."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids

    def event(
        self,
        by: Caller,
        action: Action,
        target: str,
        *,
        outcome: str = "done",
        details: Mapping[str, str | int | list[str]] | None = None,
    ) -> Append:
        """The event as a change. `details` holds names and counts, never values."""
        return Append(
            AuditEvent(
                id=self._ids.event(),
                at=self._clock.now(),
                workspace=by.workspace,
                actor=by.actor,
                action=action,
                target=target,
                outcome=outcome,
                source=by.source,
                request_id=by.request_id,
                details=details or {},
            )
        )
