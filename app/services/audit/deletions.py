"""What was deleted here on purpose, so that nothing of it comes back unasked. The audit remembers."""

from collections.abc import Sequence

from msgspec import Struct

from keycairn.domain.audit import Action, AuditEvent, Details, EventFilter
from keycairn.domain.credential import Credential
from keycairn.ports.store import MOST, Store

FURTHEST = 5_000
"""Links that are read one by one; beyond, looking for deletions alone is cheaper."""
DELETED_HERE = "it was deleted in Keycairn, and comes back only when asked for again"


class Deleted(Struct, frozen=True):
    """Ids of deleted credentials and models, fingerprints of deleted secrets, providers of deleted keyless accounts."""

    ids: frozenset[str] = frozenset()
    fingerprints: frozenset[str] = frozenset()
    keyless: frozenset[str] = frozenset()

    def covers(self, credential: Credential) -> bool:
        """Whether the account, or its key under another id, was deleted."""
        if credential.id in self.ids or not self.fingerprints.isdisjoint(credential.fingerprints.values()):
            return True
        return not credential.sealed and credential.provider in self.keyless

    def joined(self, other: "Deleted") -> "Deleted":
        """Both together."""
        return Deleted(self.ids | other.ids, self.fingerprints | other.fingerprints, self.keyless | other.keyless)


def deletion_details(credential: Credential) -> Details:
    """What the event of a deletion says of the credential. A fingerprint tells nothing to whoever lacks the keyset."""
    return {
        "provider": credential.provider,
        "secrets": sorted(credential.sealed),
        "fingerprints": sorted(credential.fingerprints.values()),
    }


class Deletions:
    """Knows what was deleted, and keeps up by the links the audit's chain has grown since it was last asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[Deleted, int]] = {}

    async def of(self, workspace: str) -> Deleted:
        """Everything that was deleted in the workspace."""
        head = await self._store.head()
        seq = head.seq if head else 0
        gone, known = self._known.get(workspace, (Deleted(), -1))
        if known < 0 or not 0 <= seq - known <= FURTHEST:  # never asked, far behind, or another database by now
            events = [
                *await self._events(workspace, Action.CREDENTIAL_DELETED),
                *await self._events(workspace, Action.MODEL_DELETED),
            ]
            gone = _gone(events)
        elif seq > known:
            links = await self._links(known, seq)
            gone = gone.joined(_gone([event for event in links if event.workspace == workspace]))
        self._known[workspace] = (gone, seq)
        return gone

    async def _links(self, after: int, until: int) -> list[AuditEvent]:
        links: list[AuditEvent] = []
        while after < until and (page := await self._store.chain(after=after)):
            links += page
            after = page[-1].seq
        return links

    async def _events(self, workspace: str, action: Action) -> list[AuditEvent]:
        events: list[AuditEvent] = []
        after: int | None = None
        while page := await self._store.events(workspace, matching=EventFilter(action=action), after=after):
            events += page
            if len(page) < MOST:
                break
            after = page[-1].seq
        return events


def _gone(events: Sequence[AuditEvent]) -> Deleted:
    credentials = [event for event in events if event.action is Action.CREDENTIAL_DELETED]
    models = [event for event in events if event.action is Action.MODEL_DELETED]
    return Deleted(
        ids=frozenset(event.target for event in (*credentials, *models)),
        fingerprints=frozenset(mark for event in credentials for mark in _list(event, "fingerprints")),
        keyless=frozenset(
            str(event.details["provider"]) for event in credentials if event.details.get("secrets") == []
        ),
    )


def _list(event: AuditEvent, name: str) -> list[str]:
    found = event.details.get(name)
    return found if isinstance(found, list) else []
