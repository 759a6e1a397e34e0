"""Every record of the database, a page at a time."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from surrealdb import RecordID

from keycairn.adapters.surreal.dialect import Dialect
from keycairn.adapters.surreal.records import (
    Row,
    credential_of,
    credential_row,
    defaults_of,
    defaults_row,
    event_of,
    event_row,
    head_of,
    head_row,
    keyset_of,
    keyset_row,
    model_of,
    model_row,
    token_of,
    token_row,
    usage_of,
    usage_row,
)
from keycairn.domain.record import KINDS, Record, UsageRecord, kind_of, record_key

PAGE = 500

Read = Callable[..., Awaitable[Any]]

_OF: Mapping[str, Callable[[Row], Record]] = {
    "keyset": keyset_of,
    "credential": credential_of,
    "model": model_of,
    "defaults": defaults_of,
    "token": token_of,
    "usage": lambda row: UsageRecord(*usage_of(row)),
    "event": event_of,
    "head": head_of,
}


async def all_records(read: Read, dialect: Dialect) -> AsyncGenerator[Record, None]:
    """Every record, in the order of a snapshot. The tables are named like the kinds, and their keys sort like text."""
    for table in KINDS:
        after = ""
        while rows := await read(
            f"SELECT * FROM {dialect.after(table, '$after')} LIMIT $limit",  # noqa: S608  # our own tables
            after=after,
            limit=PAGE,
        ):
            for row in rows:
                yield _OF[table](row)
            after = rows[-1]["id"].id


_ROWS: Mapping[str, Callable[[Any], Row]] = {
    "keyset": keyset_row,
    "credential": credential_row,
    "model": model_row,
    "defaults": defaults_row,
    "token": token_row,
    "usage": lambda record: usage_row(record.key, record.usage),
    "event": event_row,
    "head": head_row,
}


def row_of(record: Record) -> Row:
    """The columns of any record, with its id. Raises InvalidInputError as `check_text` says."""
    table = kind_of(record)
    return {"id": RecordID(table, record_key(record)), **_ROWS[table](record)}
