"""Every record of the database.

A transaction of the engine reads as of one moment, but its answer comes whole, and in 2.x none outlasts its request:
what is read in pages is not of one moment by itself. So, where others write meanwhile, whatever changes is read by one
statement, together with the head of the audit log. Events are only ever added: those of the same moment can be told
afterwards, in pages, as they are the ones up to that head.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct
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
from keycairn.adapters.surreal.statements import HEAD
from keycairn.domain.errors import ConflictError
from keycairn.domain.record import KINDS, Record, UsageRecord, kind_of, record_key

PAGE = 500
AT_ONCE = 5000
"""Records of one kind that are read by one statement, at most: a quarter of a second of decoding, and 11 MiB."""

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


_ALTERED = ("keyset", "credential", "model", "defaults", "token", "head")
"""The kinds whose records change. Those of usage do too, but need not be of the same moment."""


class Moment(Struct, frozen=True):
    """What changes, as it is at one moment: the rows by table, and what tells the events of that moment."""

    rows: Mapping[str, list[Row]]
    youngest: int
    """The number of the youngest event in the chain, 0 where there is none."""
    events: int


async def all_records(read: Read, dialect: Dialect) -> AsyncGenerator[Record, None]:
    """Every record, in the order of a snapshot."""
    for table in KINDS:
        async for row in _pages(read, dialect, table):
            yield _OF[table](row)


async def read_moment(read: Read, dialect: Dialect) -> Moment | None:
    """What changes; None where that is too much at once, or there are events the head does not know of."""
    tables = ", ".join(
        f"(SELECT * FROM {dialect.after(table, '$start')} LIMIT $limit)"  # noqa: S608  # our own tables
        for table in _ALTERED
    )
    # The head comes first and the events last: were this not of one moment, their number would show it.
    *found, unknown, counted = await read(
        "{ LET $link = (SELECT VALUE link FROM ONLY $head); "  # noqa: S608  # our own tables
        "LET $youngest = IF $link = NONE { 0 } ELSE { type::int(string::split($link, ' ')[0]) }; "
        f"RETURN [$youngest, {tables}, "
        "(SELECT VALUE id FROM event WITH INDEX event_seq WHERE seq > $youngest LIMIT 1), "
        "(SELECT count() FROM event GROUP ALL)]; }",
        head=HEAD,
        start="",
        limit=AT_ONCE,
    )
    youngest, *lists = found
    if unknown or any(len(rows) == AT_ONCE for rows in lists):
        return None
    return Moment(dict(zip(_ALTERED, lists, strict=True)), youngest, counted[0]["count"] if counted else 0)


async def records_of(moment: Moment, read: Read, dialect: Dialect) -> AsyncGenerator[Record, None]:
    """Every record of the moment, in the order of a snapshot. Raises ConflictError when its events cannot be told."""
    events = 0
    for table in KINDS:
        if table in moment.rows:
            for row in moment.rows[table]:
                yield _OF[table](row)
            continue
        async for row in _pages(read, dialect, table):
            if table == "event":
                if (row.get("seq") or 0) > moment.youngest:
                    continue
                events += 1
            yield _OF[table](row)
    if events != moment.events:
        raise ConflictError


async def _pages(read: Read, dialect: Dialect, table: str) -> AsyncGenerator[Row, None]:
    """The rows of a table, a page at a time. Tables are named like the kinds, and their keys sort like text."""
    after = ""
    while rows := await read(
        f"SELECT * FROM {dialect.after(table, '$after')} LIMIT $limit",  # noqa: S608  # our own tables
        after=after,
        limit=PAGE,
    ):
        for row in rows:
            yield row
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
