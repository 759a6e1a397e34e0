"""Drafts of changesets and their statements, in steps between which others have their turn."""

import asyncio
from collections.abc import Collection, Iterable

from keycairn.adapters.surreal.statements import Transaction, drafted
from keycairn.domain.draft import Draft
from keycairn.domain.state import Key

AT_ONCE = 250
"""Images in one transaction, at most."""
STEPS = 50
"""Steps of a draft before others have their turn, each of some 30 us."""
A_TURN = 50
"""Records that are made statements in one turn."""


async def in_turns(steps: Iterable[None]) -> None:
    """Go through the steps, and let others run in between."""
    for done, _ in enumerate(steps, 1):
        if done % STEPS == 0:
            await asyncio.sleep(0)


async def transactions(draft: Draft, doubtful: Collection[Key], *, several: bool) -> list[Transaction]:
    """The draft as transactions: of many records `several`, where a redo log makes one of them.

    `doubtful` are the records that could not be read when the store was opened.
    """
    items = list(draft.images.items())
    parts: list[Transaction] = []
    for start in range(0, len(items), AT_ONCE):
        whole = Transaction()
        for first in range(start, min(start + AT_ONCE, len(items)), A_TURN):
            end = min(first + A_TURN, start + AT_ONCE)
            drafted(draft, dict(items[first:end]), to=whole, doubtful=doubtful)
            if end < len(items):
                await asyncio.sleep(0)
        parts.append(whole)
    if several or len(parts) == 1:
        return parts
    whole = Transaction()
    drafted(draft, draft.images, to=whole, doubtful=doubtful)
    return [whole]
