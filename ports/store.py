"""The database. Reads are queries; every write is one changeset."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from typing import Protocol

from msgspec import Struct

from keycairn.domain.audit import EVERY_EVENT, AuditEvent, EventFilter, Head
from keycairn.domain.change import Changeset
from keycairn.domain.credential import Credential
from keycairn.domain.draft import Draft
from keycairn.domain.errors import UnreadableRecordError
from keycairn.domain.ids import CredentialId, ModelId, TokenId
from keycairn.domain.key_rotation.record import KeyRotation, KeyRotationId
from keycairn.domain.keyset import Keyset
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model
from keycairn.domain.proof import Check, Learn
from keycairn.domain.record import Record
from keycairn.domain.state import Images, Key
from keycairn.domain.token import Token
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.shares import Shares

MOST = 1000
"""The largest page."""


class Position(Struct, frozen=True):
    """A place in the credential list, which is ordered by provider, created, id. A page begins after it."""

    provider: str
    created: datetime
    id: CredentialId


Finish = Callable[[Draft], Iterable[None] | None]
"""What looks at a changeset before it is written, such as the audit chain: it puts the links.

Of many records it may give steps, between which others run. It is done when they are.
"""


class LostChangeset(Struct, frozen=True):
    """A changeset that is gone: its number, the ids of its audit events, and the records as it left them."""

    number: int
    events: tuple[str, ...]
    images: Images


class Store(Protocol):
    """Every method may raise StoreUnavailableError; a missing record is None or an empty sequence, never an error.

    A read sees only committed changesets, each of them whole. What a commit of this process wrote is seen by every read
    begun after it; what it took away, such as a key or a token, is given by no read begun after it in any process on
    the same store. What another process added is seen a moment later, or when it is looked for by its id or name.
    """

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """One credential."""
        ...

    async def credentials(
        self, workspace: str, *, provider: str | None = None, after: Position | None = None, limit: int = MOST
    ) -> Sequence[Credential]:
        """A page of credentials, ordered by provider, created, id."""
        ...

    async def all_credentials(self, *, after: CredentialId | None = None, limit: int = MOST) -> Sequence[Credential]:
        """A page of the credentials of all workspaces, ordered by id; for the keeper's work, not for callers."""
        ...

    async def with_same_secret(self, workspace: str, fingerprints: Collection[str]) -> Sequence[Credential]:
        """The credentials with any of `fingerprints`, ordered by provider, created, id; MOST of them at most."""
        ...

    async def model(self, workspace: str, id: ModelId) -> Model | None:
        """One model."""
        ...

    async def models(
        self,
        workspace: str,
        *,
        type: Modality | None = None,
        provider: str | None = None,
        credential: CredentialId | None = None,
        name: str | None = None,
        after: ModelId | None = None,
        limit: int | None = MOST,
    ) -> Sequence[Model]:
        """A page of models, ordered by id; `limit=None` gives all. Every filter given must match."""
        ...

    async def model_counts(
        self, workspace: str, credentials: Collection[CredentialId] | None = None
    ) -> Mapping[CredentialId, int]:
        """The number of linked models of each of `credentials` (None: of all) that has any, by one query."""
        ...

    async def unlinked_models(self, workspace: str, provider: str) -> Sequence[Model]:
        """All models of the provider that no credential is linked to, ordered by id."""
        ...

    async def providers_in_use(self, workspace: str) -> frozenset[str]:
        """The providers that have at least one credential."""
        ...

    async def defaults(self, workspace: str) -> Defaults:
        """The defaults; version 0 when none were ever stored."""
        ...

    async def keyset(self) -> Keyset | None:
        """The keyset, None before the first start."""
        ...

    async def any_sealed(self) -> bool:
        """Whether any record of any workspace holds a sealed secret."""
        ...

    async def token(self, id: TokenId) -> Token | None:
        """One token, revoked or not."""
        ...

    async def tokens(self, workspace: str) -> Sequence[Token]:
        """All tokens, ordered by id."""
        ...

    async def all_tokens(self) -> Sequence[Token]:
        """All tokens of all workspaces, ordered by id."""
        ...

    async def key_rotation(self, id: KeyRotationId) -> KeyRotation | None:
        """One rotation of a key, of whatever workspace."""
        ...

    async def key_rotations(self) -> Sequence[KeyRotation]:
        """The rotations of all workspaces, ordered by id."""
        ...

    async def events(
        self,
        workspace: str,
        *,
        matching: EventFilter = EVERY_EVENT,
        after: int | None = None,
        limit: int = MOST,
    ) -> Sequence[AuditEvent]:
        """A page of audit events in the order of the chain, from the one after the number `after`.

        The order is that of writing, whatever the clock said. Events without a number, which something else wrote,
        come first, by id, where no `after` is given.
        """
        ...

    async def chain(self, *, after: int = 0, limit: int = MOST) -> Sequence[AuditEvent]:
        """A page of the chain of all workspaces' events, in the order of `seq`, from the one after `after`."""
        ...

    async def event_count(self) -> int:
        """The number of events stored, of all workspaces, chained or not."""
        ...

    async def head(self) -> Head | None:
        """The head of the chain, None when it has no link yet."""
        ...

    async def usage(self, workspace: str, *, since: date, until: date) -> Mapping[UsageKey, Usage]:
        """The sums of every key whose day lies from `since` to `until`, both included."""
        ...

    async def usage_before(self, day: date, *, limit: int = MOST) -> Sequence[UsageKey]:
        """Keys of sums of all workspaces whose day is before `day`, in no order, `limit` of them at most."""
        ...

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        """Apply all of `changes`, or none. When it returns, they are on the disk, as far as the database promises that.

        `finish` sees what the changeset comes to before it is written, where no other commit can come between, and may
        put more; it may be called again for another attempt, and what it raises ends the commit.

        Raises InvalidInputError as `keycairn.domain.change.check_text` says, StaleVersionError, KeyInUseError or
        DuplicateError as each change says, ConflictError when the database gave up on a conflict between writers,
        StoreFullError when there is no room for it, and StoreUnavailableError: nothing was written then. When the
        outcome became unknown, the implementation reads the audit event's id again and decides by that;
        OutcomeUnknownError when it cannot. CommitPendingError when the change is kept but cannot be read yet.
        """
        ...

    async def revision(self) -> int:
        """A number that every commit changes: what was derived from reads at the same revision is still true.

        A commit that only adds usage leaves it: what is counted is read from the store itself, always. Processes on
        one store have numbers of their own.
        """
        ...

    @property
    def shares(self) -> Shares | None:
        """What limits are kept by together with other processes on the store; None where there cannot be any."""
        ...

    @property
    def leads(self) -> bool:
        """Whether this process is the one that does what one of all does: of those on one store, one at the most."""
        ...

    async def acknowledged(self) -> Head | None:
        """The head of the chain after the last acknowledged commit, as it is known apart from the database.

        None when nothing was ever acknowledged. A database that is behind it has lost commits. Raises
        DamagedAnchorError when it cannot be told.
        """
        ...

    async def vouch(self) -> None:
        """From now on take what is stored as what was acknowledged, whatever was known before. Raises StoreError."""
        ...

    async def lost(self) -> Sequence[LostChangeset]:
        """What a database had acknowledged and does not hold any more, oldest first, as far back as is remembered.

        Only a database server can lose what it acknowledged; elsewhere there is none.
        """
        ...

    async def give_up(self, lost: Sequence[LostChangeset]) -> None:
        """Do not tell these by `lost` any more: they were put back, or never will be. Raises StoreError."""
        ...

    async def checkpoint(self) -> None:
        """See everything to the disk where that is this process's to do; else a no-op. Raises StoreError."""
        ...

    def trust(self, check: Check, learn: Learn, refused: Mapping[Key, str]) -> None:
        """From now on leave out of every read what `refused` names, and, where others may write, what `check` refuses.

        There `learn` is told the data keys that the proofs need before they are checked. `unreadable` tells each record
        that is left out, with why. Calling it again adds to them.
        """
        ...

    def unreadable(self) -> Sequence[UnreadableRecordError]:
        """The records found so far that cannot be read, or are refused. No other answer has them; they stop nothing."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[AsyncIterator[Record]]:
        """Everything that is stored, of all workspaces, as it is at one moment.

        In the order of `keycairn.domain.record.KINDS`, within a kind in that of `record_key`, in bounded memory. Where
        no other process can write, commits wait until the context is left: read fast, commit nothing inside.
        Elsewhere nobody waits, and ConflictError is raised after the last record where commits made meanwhile kept this
        from being of one moment; it is then no snapshot, and worth another attempt. Sums of usage are each true, but
        may be of a later moment there.
        """
        ...

    async def restore(self, records: Iterable[Record]) -> None:
        """Store all of `records`, in the order of a snapshot, or nothing, even when the process is killed meanwhile.

        Only for a store nobody else uses yet. Raises StoreNotEmptyError when anything is stored; RestoringError when
        another process restores; DuplicateError for records that exclude each other; what `records` itself raises. The
        store is empty after each of these but the first.
        """
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailableError when the database does not answer."""
        ...

    async def aclose(self) -> None:
        """Let writes under way finish, then release everything. Calling it again is a no-op."""
        ...
