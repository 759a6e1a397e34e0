"""A changeset: everything a write does and everything it relies on, committed together or not at all."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import astuple

from keycairn.domain.audit import AuditEvent
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.ids import CredentialId, EventId, ModelId, TokenId
from keycairn.domain.key_rotation.record import KeyRotation, KeyRotationId
from keycairn.domain.keyset import Keyset
from keycairn.domain.model import Defaults, Model
from keycairn.domain.outcome import CheckRecord
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.token import Token
from keycairn.domain.usage import Usage, UsageKey


class AddCredential(Struct, frozen=True):
    """Insert. DuplicateError when the id exists."""

    credential: Credential


class ReplaceCredential(Struct, frozen=True):
    """Overwrite it, where the stored version is `expected`; else StaleVersionError.

    The credential given carries its new version. `last_check` is stored as given. Of the secrets named in `kept`, the
    sealed text, the fingerprint and the broken mark stay as they are stored when this is committed: an edit that read
    them before must not bring back what was sealed anew since.
    """

    credential: Credential
    expected: int
    kept: frozenset[str] = frozenset()


class Touch(Struct, frozen=True):
    """Put a record as it is, so that its proof is made anew; a no-op where there is none. Not an edit."""

    kind: str
    key: str


class Discard(Struct, frozen=True):
    """Remove what stands under the key, even what cannot be read or is refused; a no-op where nothing does."""

    kind: str
    key: str


class DeleteCredential(Struct, frozen=True):
    """Delete, where the stored version is `expected`; else StaleVersionError."""

    workspace: str
    id: CredentialId
    expected: int


class RecordCheck(Struct, frozen=True):
    """Store the last check. Not an edit: version and `updated` stay. A credential that is gone is a no-op."""

    workspace: str
    id: CredentialId
    check: CheckRecord


class MarkBroken(Struct, frozen=True):
    """Replace `broken`, where the stored version is `expected`; else a no-op. Not an edit: the version stays."""

    workspace: str
    id: CredentialId
    broken: dict[str, str]
    expected: int


class Reseal(Struct, frozen=True):
    """Replace `sealed`, where the stored version is `expected`; else a no-op. Not an edit: the version stays."""

    workspace: str
    id: CredentialId
    sealed: dict[str, SealedSecret]
    expected: int


class PutFingerprints(Struct, frozen=True):
    """Replace `fingerprints`, where the stored version is `expected`; else a no-op. Not an edit: the version stays."""

    workspace: str
    id: CredentialId
    fingerprints: dict[str, str]
    expected: int


class AddModel(Struct, frozen=True):
    """Insert. DuplicateError when the id, or a model of the same credential, name and type, exists."""

    model: Model


class ReplaceModel(Struct, frozen=True):
    """Overwrite, where the stored version is `expected`; else StaleVersionError. DuplicateError as in AddModel."""

    model: Model
    expected: int


class DeleteModel(Struct, frozen=True):
    """Delete; StaleVersionError when it is gone."""

    workspace: str
    id: ModelId


class RelinkModels(Struct, frozen=True):
    """Link every model of `source` to `target`. DuplicateError when the target has one of the same name and type.

    Their versions grow by one, so that an edit computed before does not undo the link.
    """

    workspace: str
    source: CredentialId
    target: CredentialId


class DeleteModelsOf(Struct, frozen=True):
    """Delete every model linked to the credential."""

    workspace: str
    credential: CredentialId


class PutDefaults(Struct, frozen=True):
    """Store the defaults, where the stored version is `expected` (0: none stored); else StaleVersionError."""

    defaults: Defaults
    expected: int


class PutKeyset(Struct, frozen=True):
    """Store the keyset, where the stored generation is `expected` (0: none stored); else StaleVersionError.

    KeyInUseError when a data key that still seals a secret of any record would be retired or left out, unless the
    keyset is of another installation.
    """

    keyset: Keyset
    expected: int


class PutToken(Struct, frozen=True):
    """Insert or overwrite a token; where `expected` is given, only in place of that one; else StaleVersionError.

    When it was last used, and its proof, are none of that.
    """

    token: Token
    expected: Token | None = None


class PutKeyRotation(Struct, frozen=True):
    """Store it, where the stored version is `expected` (0: none stored); else StaleVersionError."""

    rotation: KeyRotation
    expected: int


class DropKeyRotation(Struct, frozen=True):
    """Remove it, where the stored version is `expected`; else StaleVersionError."""

    id: KeyRotationId
    expected: int


class RecordUse(Struct, frozen=True):
    """Store when a token was last used. Not an edit. A token that is gone is a no-op."""

    id: TokenId
    at: datetime


class Append(Struct, frozen=True):
    """Append an audit event. DuplicateError when its id exists."""

    event: AuditEvent


class AddUsage(Struct, frozen=True):
    """Add to the sums stored under the key; the first for a key begins them."""

    key: UsageKey
    usage: Usage


class DropEvent(Struct, frozen=True):
    """Remove an audit event. One that is gone is a no-op.

    What proves the chain without it must be appended in the same changeset.
    """

    id: EventId


class DropUsage(Struct, frozen=True):
    """Remove the sums stored under the key. A no-op where there are none."""

    key: UsageKey


class DropToken(Struct, frozen=True):
    """Remove a token. One that is gone is a no-op."""

    id: TokenId


class ExpectCredential(Struct, frozen=True):
    """The credential exists, in this version where one is given; else StaleVersionError. Writes nothing."""

    workspace: str
    id: CredentialId
    version: int | None = None


class ExpectModel(Struct, frozen=True):
    """The model exists; else StaleVersionError. Writes nothing."""

    workspace: str
    id: ModelId


class ExpectNoCredential(Struct, frozen=True):
    """The workspace has no credential of this provider; else StaleVersionError. Writes nothing."""

    workspace: str
    provider: str


Change = (
    AddCredential
    | ReplaceCredential
    | DeleteCredential
    | RecordCheck
    | MarkBroken
    | Reseal
    | PutFingerprints
    | AddModel
    | ReplaceModel
    | DeleteModel
    | RelinkModels
    | DeleteModelsOf
    | PutDefaults
    | PutKeyset
    | PutToken
    | PutKeyRotation
    | DropKeyRotation
    | RecordUse
    | Append
    | AddUsage
    | DropEvent
    | DropUsage
    | DropToken
    | ExpectCredential
    | ExpectModel
    | ExpectNoCredential
    | Touch
    | Discard
)

Changeset = tuple[Change, ...]
"""All of it becomes visible at once, or none of it. Applied in order.

A record whose secret is newly sealed with a data key that the stored keyset has retired, or does not hold, is a
StaleVersionError.

RelinkModels, DeleteModelsOf and ExpectNoCredential find their records as they were before the changeset: a model
created in the same changeset is not theirs.
"""


def only_counts(changes: Changeset) -> bool:
    """Whether a changeset only counts, so that nothing anyone has read and acts upon becomes untrue by it."""
    return all(isinstance(change, AddUsage | RecordUse) for change in changes)


def check_text(entity: Struct) -> None:
    """Raise InvalidInputError when a text field holds the NUL character, which not every database can hold.

    The texts inside of mappings are free: they are stored as JSON.
    """
    for value in astuple(entity):
        if value.__class__ is str and "\0" in value:
            raise InvalidInputError("Text cannot hold the NUL character.")
