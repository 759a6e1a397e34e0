"""Reading every record of the database, for a start and for a snapshot.

A transaction of the engine reads as of one moment, but its answer comes whole, and in 2.x none outlasts its request:
what is read in pages is not of one moment by itself. So, where others write meanwhile, whatever changes is read by one
statement, together with the head of the audit log. Events never change: those of the same moment can be told
afterwards, in pages, as they are the ones up to that head, unless some have been removed since.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.adapters.surreal.records import readable, strange_key
from keycairn.adapters.surreal.rows import Row
from keycairn.adapters.surreal.statements import HEAD
from keycairn.domain.errors import ConflictError, UnreadableRecordError
from keycairn.domain.proof import Check
from keycairn.domain.record import KINDS, Record

PAGE = 250
A_TURN = 25
"""Records that are decoded and handed out before others have their turn: a millisecond or two."""
A_FEW = 5
"""Events that are, of which each may tell of thousands of records."""
AT_ONCE = 5000
"""Records of one kind that are read by one statement, at most: a quarter of a second of decoding, and 11 MiB."""

MOST_STRANGE = 1000
"""Records of one table with keys that Keycairn cannot have made that are named, on either side of its own."""

Read = Callable[..., Awaitable[Any]]
Note = Callable[[UnreadableRecordError], None]

_ALTERED = ("keyset", "credential", "model", "defaults", "token", "key_rotation", "head")
"""The kinds whose records change. Those of usage do too, but need not be of the same moment."""


class Moment(Struct, frozen=True):
    """What changes, as it is at one moment: the rows by table, and what tells the events of that moment."""

    rows: Mapping[str, list[Row]]
    youngest: int
    """The number of the youngest event in the chain, 0 where there is none."""
    events: int


async def all_records(
    read: Read, dialect: EngineDialect, note: Note, check: Check | None = None
) -> AsyncGenerator[Record, None]:
    """Every record that can be read, in the order of a snapshot; each other one is told to `note`."""
    for table in KINDS:
        async for record in records_in(table, read, dialect, note, check):
            yield record


async def records_in(
    table: str, read: Read, dialect: EngineDialect, note: Note, check: Check | None = None
) -> AsyncGenerator[Record, None]:
    """The same of one kind. Tables are named like the kinds."""
    async for rows in _pages(read, dialect, table):
        for done, record in enumerate(readable(table, rows, note, check), 1):
            yield record
            if done % (A_FEW if table == "event" else A_TURN) == 0:
                await asyncio.sleep(0)
    await _note_strange(read, dialect, table, note)


async def read_moment(read: Read, dialect: EngineDialect) -> Moment | None:
    """What changes; None where that is too much at once, or there are events the head does not know of."""
    head = await read("SELECT * FROM $id", id=HEAD)
    if head and not list(readable("head", head, lambda _: None)):
        return None  # the statement below would stumble over it
    tables = ", ".join(
        f"(SELECT * FROM {dialect.ours(table, '$start')} LIMIT $limit)"  # noqa: S608  # our own tables
        for table in _ALTERED
    )
    strange = " - ".join(f"((SELECT count() FROM {one} GROUP ALL)[0].count ?? 0)" for one in dialect.strange("event"))  # noqa: S608  # our own table
    # The head comes first and the events last: were this not of one moment, their number would show it.
    *found, unknown, counted = await read(
        "{ LET $link = (SELECT VALUE link FROM ONLY $head); "  # noqa: S608  # our own tables
        "LET $youngest = IF $link = NONE { 0 } ELSE { type::int(string::split($link, ' ')[0]) }; "
        f"RETURN [$youngest, {tables}, "
        "(SELECT VALUE id FROM event WITH INDEX event_seq WHERE seq > $youngest LIMIT 1), "
        f"((SELECT count() FROM event GROUP ALL)[0].count ?? 0) - {strange}]; }}",
        head=HEAD,
        start="",
        limit=AT_ONCE,
    )
    youngest, *lists = found
    if unknown or any(len(rows) == AT_ONCE for rows in lists):
        return None
    return Moment(dict(zip(_ALTERED, lists, strict=True)), youngest, counted)


async def records_of(
    moment: Moment, read: Read, dialect: EngineDialect, note: Note, check: Check | None = None
) -> AsyncGenerator[Record, None]:
    """Every record of the moment that can be read, in the order of a snapshot.

    Raises ConflictError when its events cannot be told.
    """
    events = 0
    for table in KINDS:
        if table in moment.rows:
            for record in readable(table, moment.rows[table], note, check):
                yield record
            await _note_strange(read, dialect, table, note)
            continue
        async for rows in _pages(read, dialect, table):
            told = [row for row in rows if table != "event" or _number(row.get("seq")) <= moment.youngest]
            events += len(told) if table == "event" else 0
            for record in readable(table, told, note, check):
                yield record
        await _note_strange(read, dialect, table, note)
    if events != moment.events:
        raise ConflictError


async def _pages(read: Read, dialect: EngineDialect, table: str) -> AsyncGenerator[list[Row], None]:
    """The rows of a table with keys that Keycairn may have made, a page at a time. They sort like text.

    The next page is asked for before one is handed out, so that the database reads while others decode.
    """

    def page(after: str) -> "asyncio.Task[list[Row]]":
        text = f"SELECT * FROM {dialect.ours(table, '$after')} LIMIT $limit"  # noqa: S608  # our own tables
        return asyncio.ensure_future(read(text, after=after, limit=PAGE))

    asked = page("")
    try:
        while rows := await asked:
            asked = page(rows[-1]["id"].id)
            await asyncio.sleep(0)  # else it would not begin before the rows are decoded
            yield rows
    finally:
        if asked.done() and not asked.cancelled():
            asked.exception()  # nobody else will ask
        asked.cancel()


async def _note_strange(read: Read, dialect: EngineDialect, table: str, note: Note) -> None:
    """Tell `note` of the records whose keys Keycairn cannot have made. The database spells their names."""
    for strange in dialect.strange(table):
        for spelled in await read(f"SELECT VALUE <string>id FROM {strange} LIMIT {MOST_STRANGE}"):  # noqa: S608  # our own tables
            note(UnreadableRecordError(table, strange_key(spelled), "its key is not one of Keycairn's"))


def _number(seq: object) -> int:
    return seq if isinstance(seq, int) else 0
