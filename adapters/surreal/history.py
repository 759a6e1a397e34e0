"""Reading what grows with time, events and sums of usage, which no store on SurrealDB holds in memory."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from msgspec.structs import asdict

from keycairn.adapters.state_reads import page
from keycairn.adapters.surreal.records import Row, readable
from keycairn.domain.audit import EVERY_EVENT, AuditEvent, EventFilter
from keycairn.domain.errors import UnreadableRecordError
from keycairn.domain.record import UsageRecord
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import MOST

_CONDITIONS = {"since": "at >= $since", "until": "at < $until"}


class HistoryReads:
    """The queries of a `keycairn.ports.store.Store` that read events and usage."""

    async def _read(self, text: str, **variables: Any) -> Any:
        """The result of one statement. Raises StoreError."""
        raise NotImplementedError

    def note(self, error: UnreadableRecordError) -> None:
        """Remember a record that could not be read."""
        raise NotImplementedError

    async def events(
        self,
        workspace: str,
        *,
        matching: EventFilter = EVERY_EVENT,
        after: int | None = None,
        limit: int = MOST,
    ) -> Sequence[AuditEvent]:
        """See `Store.events`."""
        given = {name: value for name, value in asdict(matching).items() if value is not None}
        wanted = "".join(f" AND {_CONDITIONS.get(name, f'{name} = ${name}')}" for name in given)
        events: list[AuditEvent] = []
        parts = {"seq = NONE": "id", "seq > 0": "seq"} if after is None else {"seq > $after": "seq"}
        for part, order in parts.items():  # each in the order of the index, which ends a page early
            if len(events) == page(limit):
                break
            rows = await self._read(
                f"SELECT * FROM event WITH INDEX event_seq WHERE {part} AND workspace = $workspace{wanted} "  # noqa: S608  # our own columns
                f"ORDER BY {order} LIMIT $limit",
                after=after,
                workspace=workspace,
                limit=page(limit) - len(events),
                **given,
            )
            events += self._events(rows)
        return events

    async def chain(self, *, after: int = 0, limit: int = MOST) -> Sequence[AuditEvent]:
        """See `Store.chain`."""
        rows = await self._read(
            "SELECT * FROM event WITH INDEX event_seq WHERE seq > $after ORDER BY seq LIMIT $limit",
            after=after,
            limit=page(limit),
        )
        return self._events(rows)

    async def event_count(self) -> int:
        """See `Store.event_count`."""
        rows = await self._read("SELECT count() FROM event GROUP ALL")
        return rows[0]["count"] if rows else 0

    async def usage(self, workspace: str, *, since: date, until: date) -> Mapping[UsageKey, Usage]:
        """See `Store.usage`."""
        rows = await self._read(
            "SELECT * FROM usage WHERE workspace = $workspace AND day >= $since AND day <= $until",
            workspace=workspace,
            since=since.isoformat(),
            until=until.isoformat(),
        )
        found = readable("usage", rows, self.note)
        return {one.key: one.usage for one in found if isinstance(one, UsageRecord)}

    async def usage_before(self, day: date, *, limit: int = MOST) -> Sequence[UsageKey]:
        """See `Store.usage_before`."""
        rows = await self._read(
            "SELECT * FROM usage WITH INDEX usage_age WHERE day < $day LIMIT $limit",
            day=day.isoformat(),
            limit=page(limit),
        )
        return [one.key for one in readable("usage", rows, self.note) if isinstance(one, UsageRecord)]

    def _events(self, rows: Iterable[Row]) -> list[AuditEvent]:
        return [event for event in readable("event", rows, self.note) if isinstance(event, AuditEvent)]
