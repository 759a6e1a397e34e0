"""Clients that rename credentials, and now and then send a key, while the data key is rotated without a pause.

How many edits is KEYCAIRN_RENAMES (default 2,000), what they are follows from KEYCAIRN_SEED. What each client sent is
kept beside the service; in the end every secret has to open, and to be the last one that was answered.
"""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.errors import ConflictError
from keycairn.domain.ids import CredentialId
from keycairn.domain.keyset import KeyState
from keycairn.domain.secret import Secret

RENAMES = int(os.environ.get("KEYCAIRN_RENAMES", "2000"))
SEED = int(os.environ.get("KEYCAIRN_SEED", "20260101"))
CLIENTS = 8
CREDENTIALS = 24
SENDS = 10
"""One edit in so many sends a key; all others carry none."""
FORGET_FROM = 12
"""Retired keys from which the older half of them is forgotten."""


class Tally(Struct):
    """What happened. `refused` counts edits that were answered with a conflict, and so changed nothing."""

    seed: int = SEED
    renamed: int = 0
    sent: int = 0
    refused: int = 0
    rotations: int = 0
    forgotten: int = 0
    opened: int = 0
    lost: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"renames beside rotation, seed {self.seed}: {self.renamed} renamed, {self.sent} keys sent, "
            f"{self.refused} refused, {self.rotations} rotations, {self.forgotten} keys forgotten; "
            f"{self.opened} secrets open, {self.lost} lost; {self.seconds:.1f} s"
        )


async def run(keycairns: list[Keycairn], reopened: Callable[[], Awaitable[Keycairn]], edits: int = RENAMES) -> Tally:
    """Make `edits` through the given instances of one database, all of which rotate; then count what opens."""
    tally, began = Tally(), time.monotonic()
    chances = random.Random(SEED)  # noqa: S311  # no secret
    texts: dict[CredentialId, str] = {}
    for number in range(CREDENTIALS):
        text = f"sk-first-{number}"
        made = await keycairns[0].credentials.create("openai", name="-", secrets={"api_key": Secret(text)})
        texts[made.credential.id] = text
    ids = list(texts)

    async def client(number: int) -> None:
        keycairn = keycairns[number % len(keycairns)]
        own = ids[number::CLIENTS]  # whose keys only this client sends; names everybody changes
        for edit in range(edits // CLIENTS):
            sends = chances.randrange(SENDS) == 0
            id = chances.choice(own if sends else ids)
            text = f"sk-{number}-{edit}"
            patch = CredentialPatch(name=f"{number} {edit}", secrets={"api_key": Secret(text)} if sends else {})
            try:
                await keycairn.credentials.update(id, patch)
            except ConflictError:
                tally.refused += 1
                continue
            if sends:
                texts[id] = text
            tally.sent += sends
            tally.renamed += not sends

    rotating = [asyncio.create_task(_rotate(keycairn, tally)) for keycairn in keycairns]
    await asyncio.gather(*map(client, range(CLIENTS)))
    for task in rotating:
        task.cancel()
    await asyncio.gather(*rotating, return_exceptions=True)
    await _count(await reopened(), texts, tally)
    tally.seconds = time.monotonic() - began
    return tally


async def _rotate(keycairn: Keycairn, tally: Tally) -> None:
    while True:
        try:
            status = await keycairn.rotation.rotate()
        except ConflictError:
            continue  # the other instance was faster too often
        tally.rotations += 1
        retired = [kid for kid, state in status.keys.items() if state is KeyState.RETIRED]
        for kid in retired[: len(retired) // 2] if len(retired) >= FORGET_FROM else []:
            await keycairn.retired_keys.forget(kid)
            tally.forgotten += 1


async def _count(keycairn: Keycairn, texts: dict[CredentialId, str], tally: Tally) -> None:
    for id, text in texts.items():
        listed = await keycairn.credentials.get(id)
        account = await keycairn.credential_opener.open(listed.credential)
        same = not listed.broken and account.secrets["api_key"].reveal() == text
        tally.opened += same
        tally.lost += not same
