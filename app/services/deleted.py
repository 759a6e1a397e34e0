"""What was deleted here on purpose, so that nothing of it comes back unasked. The audit remembers."""

from msgspec import Struct

from keycairn.domain.audit import Action, AuditEvent, EventFilter
from keycairn.domain.credential import Credential
from keycairn.domain.ids import EventId
from keycairn.ports.store import MOST, Store

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


def deletion_details(credential: Credential) -> dict[str, str | int | list[str]]:
    """What the event of a deletion says of the credential. A fingerprint tells nothing to whoever lacks the keyset."""
    return {
        "provider": credential.provider,
        "secrets": sorted(credential.sealed),
        "fingerprints": sorted(credential.fingerprints.values()),
    }


async def deleted(store: Store, workspace: str) -> Deleted:
    """Everything that was deleted in the workspace."""
    credentials = await _events(store, workspace, Action.CREDENTIAL_DELETED)
    models = await _events(store, workspace, Action.MODEL_DELETED)
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


async def _events(store: Store, workspace: str, action: Action) -> list[AuditEvent]:
    events: list[AuditEvent] = []
    after: EventId | None = None
    while page := await store.events(workspace, matching=EventFilter(action=action), after=after):
        events += page
        if len(page) < MOST:
            break
        after = page[-1].id
    return events
