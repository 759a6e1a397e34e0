"""How a database of an older version becomes one of this version."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from surrealdb import RecordID

from keycairn.adapters.surreal.schema import ANSWERED_FROM_MEMORY, MIGRATIONS
from keycairn.domain.errors import DuplicateError, RetryableConflictError, StoreError

ATTEMPTS = 200
"""How often a step is tried while other instances define the same; each time one of them gets further."""
LONGEST_PAUSE = 0.2
"""Seconds between two attempts, at most."""
_T = TypeVar("_T")
Query = Callable[[str, Mapping[str, Any]], Awaitable[list[Any]]]
_REGISTER = """
DEFINE TABLE IF NOT EXISTS migration SCHEMAFULL;
DEFINE FIELD IF NOT EXISTS number ON migration TYPE int;
DEFINE FIELD IF NOT EXISTS applied ON migration TYPE datetime;
SELECT VALUE number FROM migration;
"""


async def migrate(query: Query, migrations: tuple[str, ...] = MIGRATIONS) -> int:
    """Apply what the database has not had yet, each in one transaction with its entry; the number of those applied.

    Raises StoreError for a database that a newer version of Keycairn has migrated. `query` runs statements and gives
    their results.
    """
    applied = 0
    done = await _settled(_done, query)
    while max(done, default=0) < len(migrations):
        number = max(done, default=0) + 1
        applied += await _settled(_apply, query, number, migrations[number - 1])
        done = await _settled(_done, query)
    if max(done, default=0) > len(migrations):
        raise StoreError(
            f"The database is of schema {max(done)}, and this Keycairn knows schemas up to {len(migrations)}. "
            "Start the newer Keycairn that wrote it, or restore a backup. Nothing was changed."
        )
    return applied


async def unburden(query: Query) -> None:
    """Remove the indexes that nobody asks where one process holds the records in memory.

    The engine keeps every entry of every index in memory, reads all of them at a start, and writes them with each
    commit. What a kill leaves of them is removed by the next start, and harmless: nobody looks there.
    """
    statements = [
        f"REMOVE INDEX IF EXISTS {index} ON {table}" for table, some in ANSWERED_FROM_MEMORY.items() for index in some
    ]
    await query(";\n".join(["BEGIN", *statements, "COMMIT"]) + ";", {})


async def _settled(step: Callable[..., Awaitable[_T]], *given: object) -> _T:
    """What `step` gives, tried again while instances that start at the same moment are in its way."""
    for attempt in range(1, ATTEMPTS):
        try:
            return await step(*given)
        except RetryableConflictError:
            await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * attempt)))  # noqa: S311  # jitter
    return await step(*given)


async def _apply(query: Query, number: int, statements: str) -> bool:
    """Whether this instance applied the migration, and no other did at the same moment."""
    text = f"BEGIN;\nCREATE $id CONTENT $row RETURN NONE;\n{statements}\nCOMMIT;"
    try:
        await query(
            text, {"id": RecordID("migration", number), "row": {"number": number, "applied": datetime.now(UTC)}}
        )
    except DuplicateError:
        if number not in await _done(query):
            raise
        return False
    return True


async def _done(query: Query) -> list[int]:
    numbers: list[object] = (await query(_REGISTER, {}))[-1]
    if not all(isinstance(number, int) for number in numbers):
        raise StoreError("The database's list of schemas is damaged. Restore a backup. Nothing was changed.")
    return cast("list[int]", numbers)
