"""What grows with time as rows and back: sums of usage, and the chain of audit events."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
from msgspec import to_builtins
from msgspec.structs import asdict
from surrealdb import RecordID

from keycairn.adapters.surreal.rows import Row, filled, text_id
from keycairn.domain.audit import Action, AuditEvent, Details, Head
from keycairn.domain.change import check_text
from keycairn.domain.ids import EventId
from keycairn.domain.record import usage_text
from keycairn.domain.usage import HOURS, SUMS, Usage, UsageKey

_details = msgspec.json.Decoder(Details)
_proofs = msgspec.json.Decoder(dict[str, str | None])


def usage_id(key: UsageKey) -> RecordID:
    """The record of one key."""
    return RecordID("usage", usage_text(key))


def usage_row(key: UsageKey, usage: Usage) -> Row:
    """The columns of the sums of one key."""
    check_text(key)
    return {**to_builtins(key), **asdict(usage), "hours": hours_column(usage)}


def usage_of(row: Row) -> tuple[UsageKey, Usage]:
    """The key and the sums of a row."""
    key = UsageKey(
        day=date.fromisoformat(row["day"]),
        workspace=row["workspace"],
        token=row["token"],
        credential=row["credential"],
        model=row["model"],
    )
    sums = Usage(
        requests=row["requests"],
        failed=row["failed"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cached_tokens=row.get("cached_tokens") or 0,
        estimated=row.get("estimated") or 0,
        nanos=row.get("nanos") or 0,
        last_used=row.get("last_used"),
        hours=_hours(row.get("hours")),
    )
    return key, sums


def hours_column(usage: Usage) -> list[int] | None:
    """The sums of each hour of the day, one after the other, as numbers that can be added; None without any."""
    if not usage.hours:
        return None
    nothing = Usage()
    return [getattr(usage.hours.get(hour, nothing), name) for hour in range(HOURS) for name in SUMS]


def _hours(column: list[Any] | None) -> Mapping[int, Usage]:
    """The hours with something in them. Raises ValueError or TypeError for what is no such column."""
    if column is None:
        return {}
    if any(value.__class__ is not int for value in column):
        raise TypeError
    if len(column) != HOURS * len(SUMS):
        raise ValueError
    parts = [column[start : start + len(SUMS)] for start in range(0, len(column), len(SUMS))]
    return {hour: Usage(**dict(zip(SUMS, part, strict=True))) for hour, part in enumerate(parts) if any(part)}


def event_row(event: AuditEvent) -> Row:
    """The columns of an audit event, its id apart."""
    check_text(event)
    return {
        "workspace": event.workspace,
        "at": event.at,
        "actor": event.actor,
        "action": str(event.action),
        "target": event.target,
        "outcome": event.outcome,
        "source": event.source,
        "request_id": event.request_id,
        "details": filled(event.details),
        "seq": event.seq or None,
        "mac": event.mac or None,
        "proofs": filled(event.proofs),
        "state": event.state or None,
    }


def event_of(row: Row) -> AuditEvent:
    """The audit event in a row."""
    details, proofs = row.get("details"), row.get("proofs")
    return AuditEvent(
        id=EventId(text_id(row["id"])),
        at=row["at"],
        workspace=row["workspace"],
        actor=row["actor"],
        action=Action(row["action"]),
        target=row["target"],
        outcome=row["outcome"],
        source=row["source"],
        request_id=row["request_id"],
        details=_details.decode(details) if details else {},
        seq=row.get("seq") or 0,
        mac=row.get("mac") or "",
        proofs=_proofs.decode(proofs) if proofs else {},
        state=row.get("state") or "",
    )


def head_row(head: Head) -> Row:
    """The columns of the head of the audit chain."""
    return {"link": f"{head.seq} {head.mac} {head.state}".rstrip()}


def head_of(row: Row) -> Head:
    """The head in a row."""
    seq, _, rest = row["link"].partition(" ")
    mac, _, state = rest.partition(" ")
    if not 0 < int(seq) < 2**63 - 1:
        raise ValueError
    return Head(int(seq), mac, state)
