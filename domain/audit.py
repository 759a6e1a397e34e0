"""What happened, who did it, and how it ended. Never the value of a secret."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.ids import EventId
from keycairn.domain.reach import EVERYWHERE, Reach

Details = Mapping[str, str | int | list[str]]
"""What an event tells beside its columns: names and counts, never values."""


class Action(StrEnum):
    """What was done."""

    CREDENTIAL_CREATED = "credential.created"
    CREDENTIAL_UPDATED = "credential.updated"
    CREDENTIAL_DELETED = "credential.deleted"
    CREDENTIAL_TESTED = "credential.tested"
    CREDENTIAL_BROKEN = "credential.broken"
    CREDENTIAL_MIGRATED = "credential.migrated"
    CREDENTIAL_IMPORTED = "credential.imported"
    MODEL_CREATED = "model.created"
    MODEL_UPDATED = "model.updated"
    MODEL_DELETED = "model.deleted"
    MODELS_REGISTERED = "models.registered"
    MODELS_IMPORTED = "models.imported"
    MODELS_SYNCED = "models.synced"
    DEFAULTS_CHANGED = "defaults.changed"
    KEYSET_CREATED = "keyset.created"
    KEY_ADDED = "key.added"
    KEY_PRIMARY = "key.primary"
    KEY_RETIRED = "key.retired"
    KEY_FORGOTTEN = "key.forgotten"
    SECRETS_RESEALED = "secrets.resealed"
    ROOT_KEY_ADDED = "root_key.added"
    ROOT_KEY_DROPPED = "root_key.dropped"
    ROOT_KEY_REFUSED = "root_key.refused"
    TOKEN_CREATED = "token.created"  # noqa: S105  # a name
    TOKEN_UPDATED = "token.updated"  # noqa: S105  # a name
    TOKEN_REVOKED = "token.revoked"  # noqa: S105  # a name
    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    SECRET_USED = "secret.used"  # noqa: S105  # a name
    SECRET_REVEALED = "secret.revealed"  # noqa: S105  # a name
    ACCESS_REFUSED = "access.refused"
    COMMITS_LOST = "commits.lost"
    ANCHOR_RENEWED = "anchor.renewed"
    CHANGES_REPLAYED = "changes.replayed"
    EVENTS_PRUNED = "events.pruned"
    USAGE_COUNTED = "usage.counted"
    USAGE_PRUNED = "usage.pruned"
    TOKENS_PRUNED = "tokens.pruned"
    STORE_BACKED_UP = "store.backed_up"
    STORE_RESTORED = "store.restored"
    STORE_REPAIRED = "store.repaired"
    RECORDS_PROVEN = "records.proven"
    RECORDS_REFUSED = "records.refused"
    RECORDS_ACCEPTED = "records.accepted"
    RECORD_DISCARDED = "record.discarded"
    KEY_ROTATION_SET = "key_rotation.set"
    KEY_ROTATION_REMOVED = "key_rotation.removed"
    KEY_ROTATED = "key_rotation.step"
    KEY_HELD_BACK = "key_rotation.held_back"
    FINGERPRINTS_FILLED = "fingerprints.filled"


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks. `actor` is `token:<id>`, `admin-token`, `in-process` or `system`; `source` an address, if any.

    Whoever takes a request from outside sees to it that it stays within `reach`; services do not ask.
    """

    actor: str
    workspace: str = DEFAULT_WORKSPACE
    source: str = ""
    request_id: str = ""
    reach: Reach = EVERYWHERE
    spends_within: bool = False
    """Whether a limit of money holds for it, which is counted by the prices of models."""


IN_PROCESS = Caller(actor="in-process")
SYSTEM = Caller(actor="system")


class AuditEvent(Struct, frozen=True, kw_only=True):
    """One event, committed together with the change it describes. `details` holds names and counts, never values.

    `seq` and `mac` are its link in the chain of all events of the installation, whatever their workspace: the number
    after that of the event before, from 1, and the MAC of `chained`. `proofs` tells what became of each record in the
    commit (kind and key, to a digest; None where it is gone), and `state` the sum of all records after it; see
    `keycairn.domain.proof`.
    """

    id: EventId
    at: datetime
    workspace: str
    actor: str
    action: Action
    target: str
    outcome: str = "done"
    source: str = ""
    request_id: str = ""
    details: Details = {}
    seq: int = 0
    mac: str = ""
    proofs: Mapping[str, str | None] = {}
    state: str = ""


class Head(Struct, frozen=True):
    """The last link of the chain: the number and the MAC of the youngest event, and its `state`."""

    seq: int
    mac: str
    state: str = ""


class _Said(Struct, frozen=True, kw_only=True):
    """What an event says, its link apart."""

    id: EventId
    at: datetime
    workspace: str
    actor: str
    action: Action
    target: str
    outcome: str
    source: str
    request_id: str
    details: Details
    seq: int
    mac: str


def chained(event: AuditEvent, after: Head | None) -> bytes:
    """What the MAC of `event` is made of: the MAC of the event before it, and all that the event says, its number too.

    The chain cannot be continued, or any event of it changed, without the key of the MACs. What an event without proofs
    and sum gives is what it always gave.
    """
    before = after.mac if after else ""
    said = _Said(**{name: getattr(event, name) for name in _Said.__struct_fields__ if name != "mac"}, mac="")
    text = before.encode() + b"\n" + msgspec.json.encode(said, order="deterministic")
    if event.proofs or event.state:
        # in order already: its own sorting takes a second for ten thousand that are almost in order
        proofs = {name: event.proofs[name] for name in sorted(event.proofs)}
        text += b"\n" + msgspec.json.encode([proofs, event.state], order="deterministic")
    return text


class EventFilter(Struct, frozen=True, kw_only=True):
    """Which events to give; every condition given must hold. `since` is included, `until` is not."""

    actor: str | None = None
    action: Action | None = None
    target: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def accepts(self, event: AuditEvent) -> bool:
        """Whether `event` is one of them."""
        return (
            self.actor in {None, event.actor}
            and self.action in {None, event.action}
            and self.target in {None, event.target}
            and self.outcome in {None, event.outcome}
            and (self.since is None or event.at >= self.since)
            and (self.until is None or event.at < self.until)
        )


EVERY_EVENT = EventFilter()
