"""What happened, who did it, and how it ended. Never the value of a secret."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.ids import EventId


class Action(StrEnum):
    """What was done."""

    CREDENTIAL_CREATED = "credential.created"
    CREDENTIAL_UPDATED = "credential.updated"
    CREDENTIAL_DELETED = "credential.deleted"
    CREDENTIAL_TESTED = "credential.tested"
    CREDENTIAL_BROKEN = "credential.broken"
    CREDENTIAL_MIGRATED = "credential.migrated"
    MODEL_CREATED = "model.created"
    MODEL_DELETED = "model.deleted"
    MODELS_REGISTERED = "models.registered"
    MODELS_SYNCED = "models.synced"
    DEFAULTS_CHANGED = "defaults.changed"
    KEYSET_CREATED = "keyset.created"
    KEY_ADDED = "key.added"
    KEY_PRIMARY = "key.primary"
    KEY_RETIRED = "key.retired"
    SECRETS_RESEALED = "secrets.resealed"
    ROOT_KEY_ADDED = "root_key.added"
    ROOT_KEY_DROPPED = "root_key.dropped"
    TOKEN_CREATED = "token.created"  # noqa: S105  # a name
    TOKEN_REVOKED = "token.revoked"  # noqa: S105  # a name


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks. `actor` is `token:<id>`, `admin-token`, `in-process` or `system`; `source` an address, if any."""

    actor: str
    workspace: str = DEFAULT_WORKSPACE
    source: str = ""
    request_id: str = ""


IN_PROCESS = Caller(actor="in-process")
SYSTEM = Caller(actor="system")


class AuditEvent(Struct, frozen=True, kw_only=True):
    """One event, committed together with the change it describes. `details` holds names and counts, never values."""

    id: EventId
    at: datetime
    workspace: str
    actor: str
    action: Action
    target: str
    outcome: str = "done"
    source: str = ""
    request_id: str = ""
    details: Mapping[str, str | int | list[str]] = {}
