"""What a changeset leaves behind, as the body of an entry of the redo log: one line for each record."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from surrealdb import RecordID

from keycairn.adapters.redo_log import RedoLog
from keycairn.adapters.surreal.records import STRANGE
from keycairn.adapters.surreal.statements import Transaction, replayed
from keycairn.domain.errors import InvalidInputError, RedoLogError
from keycairn.domain.record import Record, record_in, record_line
from keycairn.domain.state import Images, Key, key_for

AT_ONCE = 50
"""Records that are written without letting others run: a millisecond or two."""
REPLAYED = 250
"""Records in one transaction of a replay."""

Query = Callable[[str, Mapping[str, Any]], Awaitable[list[Any]]]


async def packed(images: Images) -> bytes:
    """`images` as the body of an entry."""
    lines = []
    for done, ((kind, key), record) in enumerate(images.items(), 1):
        lines.append(json.dumps([kind, key]).encode() if record is None else record_line(record))
        if done % AT_ONCE == 0:
            await asyncio.sleep(0)
    return b"\n".join(lines)


def pieces(body: bytes) -> Iterator[bytes]:
    """The body in pieces of a few records, each of which `images_in` reads."""
    lines = body.split(b"\n")
    for start in range(0, len(lines), AT_ONCE):
        yield b"\n".join(lines[start : start + AT_ONCE])


def images_in(body: bytes) -> Images:
    """What `packed` wrote. Raises RedoLogError for anything else, such as a later Keycairn's."""
    images: dict[tuple[str, str], Record | None] = {}
    for line in body.split(b"\n"):
        if line.startswith(b"["):
            kind, key = json.loads(line)
            images[kind, key] = None
            continue
        try:
            record = record_in(line)
        except InvalidInputError:
            raise RedoLogError(
                "The redo log holds a record that this Keycairn does not know. Start the newer one."
            ) from None
        images[key_for(record)] = record
    return images


async def replay(log: RedoLog, query: Query) -> None:
    """Give a database what the log holds, and note up to where. Raises StoreError or RedoLogError.

    Records that are there are removed and made anew: of a transaction that was torn, a row may be there without its
    entries in the indexes, and an update that changes no indexed column would leave it so, unseen by every read
    through an index. All are removed before any is made, so that none stands in the place of another.
    """
    merged: dict[Key, Record | None] = {}
    for entry in log.entries():
        for piece in pieces(entry.body):
            merged.update(images_in(piece))
            await asyncio.sleep(0)
    items = list(merged.items())
    batches = [dict(items[start : start + REPLAYED]) for start in range(0, len(items), REPLAYED)]
    for images in batches:
        ids = [RecordID(kind, key) for kind, key in images]
        found = (await query("SELECT VALUE id FROM $ids", {"ids": ids}))[-1]
        if gone := {(id.table_name, id.id) for id in found} | {key for key in images if key[1].startswith(STRANGE)}:
            whole = replayed(dict.fromkeys(gone))
            await query(whole.text, whole.variables)
    for images in batches:
        if made := {key: record for key, record in images.items() if record is not None}:
            whole = replayed(made)
            await query(whole.text, whole.variables)
    last = Transaction()
    last.ledger(log.header.store, log.last)
    await query(last.text, last.variables)
