"""Reading what grows with time, events and sums of usage, which no store on SurrealDB holds in memory."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from msgspec.structs import asdict

from keycairn.adapters.state_reads import page
from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.adapters.surreal.records import readable
from keycairn.adapters.surreal.rows import Row
from keycairn.domain.audit import EVERY_EVENT, AuditEvent, EventFilter
from keycairn.domain.errors import UnreadableRecordError
from keycairn.domain.record import KINDS, UsageRecord
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import MOST

HELD = tuple(kind for kind in KINDS if kind not in {"event", "usage"})
"""The kinds of record held in memory. Events and sums grow with time, so they are read from the database."""
PIECE = 100
"""Records that are read by one statement: decoding them takes a few milliseconds."""
LEAST, A_TURN = 1000, 50_000
"""What an event weighs, beside the characters of its proofs, and how much is decoded before others have their turn."""
_CONDITIONS = {"since": "at >= $since", "until": "at < $until"}


class HistoryReads:
    """The queries of a `keycairn.ports.store.Store` that read events and usage."""

    _dialect: EngineDialect

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
        if after is None:  # what something else wrote; hardly ever anything
            events += await self._events(
                await self._read(
                    f"SELECT * FROM event WITH INDEX event_seq WHERE seq = NONE AND workspace = $workspace{wanted} "  # noqa: S608  # our own columns
                    "ORDER BY id LIMIT $limit",
                    workspace=workspace,
                    limit=page(limit),
                    **given,
                )
            )
        return await self._links(
            f"workspace = $workspace{wanted}", after or 0, page(limit), events, workspace=workspace, **given
        )

    async def chain(self, *, after: int = 0, limit: int = MOST) -> Sequence[AuditEvent]:
        """See `Store.chain`."""
        return await self._links("true", after, page(limit), [])

    async def _links(
        self, condition: str, after: int, limit: int, found: list[AuditEvent], **values: Any
    ) -> list[AuditEvent]:
        """Add links of the chain to `found`, up to `limit`, a few at once: decoding them holds up everyone else."""
        while len(found) < limit:
            size = min(PIECE, limit - len(found))
            rows = await self._read(
                f"SELECT * FROM event WITH INDEX event_seq WHERE seq > $after AND {condition} ORDER BY seq "  # noqa: S608  # our own columns
                "LIMIT $limit",
                after=after,
                limit=size,
                **values,
            )
            found += await self._events(rows)
            if len(rows) < size:
                break
            after = rows[-1]["seq"]
        return found

    async def event_count(self) -> int:
        """See `Store.event_count`."""
        rows = await self._read("SELECT count() FROM event GROUP ALL")
        return rows[0]["count"] if rows else 0

    async def usage(self, workspace: str, *, since: date, until: date) -> Mapping[UsageKey, Usage]:
        """See `Store.usage`."""
        sums: dict[UsageKey, Usage] = {}
        after = f"{workspace}\t{since.isoformat()}"  # the keys begin with both: they stand in this order
        last = f"{workspace}\t{until.isoformat()}\n"
        while rows := await self._read(
            f"SELECT * FROM {self._dialect.ours('usage', '$after')} LIMIT $limit",  # noqa: S608  # our own table
            after=after,
            limit=PIECE,
        ):
            wanted = [row for row in rows if row["id"].id < last]
            found = readable("usage", wanted, self.note)
            sums |= {one.key: one.usage for one in found if isinstance(one, UsageRecord)}
            if len(wanted) < PIECE:
                break
            after = rows[-1]["id"].id
        return sums

    async def usage_before(self, day: date, *, limit: int = MOST) -> Sequence[UsageKey]:
        """See `Store.usage_before`."""
        found: list[UsageKey] = []
        start = 0
        while len(found) < page(limit):  # what cannot be read must not stand before the rest for ever
            size = page(limit) - len(found)
            rows = await self._read(
                "SELECT * FROM usage WITH INDEX usage_age WHERE day < $day LIMIT $limit START $start",
                day=day.isoformat(),
                limit=size,
                start=start,
            )
            found += [one.key for one in readable("usage", rows, self.note) if isinstance(one, UsageRecord)]
            if len(rows) < size:
                break
            start += size
        return found

    async def _events(self, rows: Iterable[Row]) -> list[AuditEvent]:
        found: list[AuditEvent] = []
        weight = 0
        for row in rows:
            found += [event for event in readable("event", [row], self.note) if isinstance(event, AuditEvent)]
            weight += LEAST + (len(proofs) if isinstance(proofs := row.get("proofs"), str) else 0)
            if weight > A_TURN:  # one that is about thousands of records takes as long as all others together
                weight = 0
                await asyncio.sleep(0)
        return found
