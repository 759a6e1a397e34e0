"""What a changeset leaves behind, as the body of an entry of the redo log: one line for each record."""

import asyncio
import json

from keycairn.domain.errors import InvalidInputError, RedoLogError
from keycairn.domain.record import Record, record_in, record_line
from keycairn.domain.state import Images, key_for

AT_ONCE = 100
"""Records that are written without letting others run: a millisecond or two."""


async def packed(images: Images) -> bytes:
    """`images` as the body of an entry."""
    lines = []
    for done, ((kind, key), record) in enumerate(images.items(), 1):
        lines.append(json.dumps([kind, key]).encode() if record is None else record_line(record))
        if done % AT_ONCE == 0:
            await asyncio.sleep(0)
    return b"\n".join(lines)


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
