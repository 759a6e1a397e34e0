"""Whether an audit event of that id is there already, mostly without asking the engine: ids grow with time."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from keycairn.adapters.surreal.rows import record_id
from keycairn.domain.audit import AuditEvent
from keycairn.domain.errors import DuplicateError
from keycairn.domain.ids import key_of

_FROM_KEY = "SELECT VALUE id FROM type::thing('event', $key..) LIMIT 1"


class EventIds:
    """The ids of the events in a database that nobody else writes. `read` asks the engine."""

    def __init__(self, read: Callable[..., Awaitable[Any]]) -> None:
        self._read = read
        self._newest: str | None = None
        """No event has a greater key than this; None as long as that is not known of any."""

    async def refuse_known(self, events: Sequence[AuditEvent]) -> None:
        """Raise DuplicateError where one of the events is there."""
        keys = sorted(key_of(event.id) for event in events)
        if not keys or (self._newest is not None and keys[0] > self._newest):
            return
        if self._newest is None and not await self._read(_FROM_KEY, key=keys[0]):
            self._newest = keys[0]
            return
        if await self._read("SELECT VALUE id FROM $ids", ids=[record_id("event", event.id) for event in events]):
            raise DuplicateError

    def added(self, events: Sequence[AuditEvent]) -> None:
        """Take note of events that are there from now on."""
        if self._newest is not None and events:
            self._newest = max(self._newest, *(key_of(event.id) for event in events))
