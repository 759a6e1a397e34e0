"""Going on after the root key was lost: a new keyset, and every credential waiting for its key."""

from datetime import datetime

from msgspec.structs import replace

from keycairn.app.services.audit import Journal
from keycairn.domain.audit import SYSTEM, Action
from keycairn.domain.change import Change, MarkBroken, PutFingerprints, PutKeyset, PutToken
from keycairn.domain.keyset import Keyset
from keycairn.domain.token import Token
from keycairn.ports.keyset import OpenKeyset
from keycairn.ports.store import Store

BATCH = 100
WHY = "the root key it was sealed under is lost"


async def replace_keyset(
    store: Store, journal: Journal, stored: Keyset | None, keyset: OpenKeyset, now: datetime
) -> int:
    """Store `keyset` in place of `stored`, and revoke every token: none can be recognised any more. Gives how many.

    The journal must be open with the new keyset.
    """
    async with store.snapshot() as records:
        revoked = [
            PutToken(replace(record, revoked=now))
            async for record in records
            if isinstance(record, Token) and record.revoked is None
        ]
    put = PutKeyset(keyset.record, expected=stored.generation if stored else 0)
    event = journal.event(SYSTEM, Action.KEYSET_CREATED, keyset.install_id, details={"revoked_tokens": len(revoked)})
    await journal.commit((put, *revoked, event))
    return len(revoked)


async def mark_all_broken(store: Store, journal: Journal) -> int:
    """Note of every sealed secret that it does not open until it is sent again; the number of credentials."""
    count, after = 0, None
    while page := await store.all_credentials(after=after, limit=BATCH):
        after = page[-1].id
        marks: list[Change] = []
        for credential in page:
            if credential.sealed:
                broken = dict.fromkeys(credential.sealed, WHY)
                marks.append(MarkBroken(credential.workspace, credential.id, broken, credential.version))
                marks.append(PutFingerprints(credential.workspace, credential.id, {}, credential.version))
                count += 1
        if marks:
            event = journal.event(
                SYSTEM, Action.CREDENTIAL_BROKEN, "keyset", outcome="broken", details={"credentials": len(marks) // 2}
            )
            await journal.commit((*marks, event))
    return count
