"""The vault: the opened keyset, or the reason why there is none."""

import asyncio

from keycairn.app.services.audit import Journal, RecordProofs
from keycairn.domain.audit import SYSTEM, Action
from keycairn.domain.change import Append, PutKeyset
from keycairn.domain.errors import (
    CommitPendingError,
    RecordsUnknownError,
    SealedError,
    StaleVersionError,
    WrongRootKeyError,
)
from keycairn.domain.rootkey import RootKey
from keycairn.domain.secret import Secret
from keycairn.ports.cipher import Cipher
from keycairn.ports.clock import Clock
from keycairn.ports.keyset import KeysetOpener, OpenKeyset
from keycairn.ports.store import Store

_NO_KEY = (
    "No root key is set. Set KEYCAIRN_ROOT_KEY (or KEYCAIRN_ROOT_KEY_FILE) to base64: and 32 random bytes, "
    "for example base64:$(openssl rand -base64 32), and start again."
)
_KEY_MISSING = (
    "The root key is not there that everything in this database is sealed under. Put its file back as root-key in the "
    "data folder, or set KEYCAIRN_ROOT_KEY_FILE to it, and start again. A new one opens nothing of it."
)
_MOVED_ON = (
    "Another instance changed the keys, and the root key this one was started with opens them no longer. "
    "Start it again with the newest root key."
)
_LOST_KEYSET = (
    "The database holds sealed secrets but no keyset to open them. Restore the keyset from a backup; "
    "a new one would make them unreadable for good."
)


class Vault:
    """Sealed until `unlock` succeeds. A sealed vault leaves everything as it is and says what to set."""

    def __init__(
        self, store: Store, opener: KeysetOpener, clock: Clock, journal: Journal, proofs: RecordProofs
    ) -> None:
        self._store = store
        self._proofs = proofs
        self._opener = opener
        self._clock = clock
        self._journal = journal
        self._keyset: OpenKeyset | None = None
        self._why = _NO_KEY
        journal.refresh = self.refresh

    @property
    def why_sealed(self) -> str | None:
        """What to do to unseal it, None when it is open."""
        return None if self._keyset else self._why

    @property
    def keyset(self) -> OpenKeyset:
        """The opened keyset. Raises SealedError."""
        if self._keyset is None:
            raise SealedError(self._why)
        return self._keyset

    @property
    def cipher(self) -> Cipher:
        """The cipher of the opened keyset. Raises SealedError."""
        return self.keyset.cipher

    def check_open(self) -> None:
        """Raise SealedError unless it is open."""
        if self._keyset is None:
            raise SealedError(self._why)

    def fingerprint(self, workspace: str, secret: Secret) -> str:
        """What two secrets of a workspace share when they are the same, and of different ones never.

        It tells nothing to whoever lacks the keyset, and nothing across workspaces. Raises SealedError.
        """
        place, text = workspace.encode("utf-8", "surrogatepass"), secret.reveal().encode("utf-8", "surrogatepass")
        return self.keyset.fingerprint_mac(len(place).to_bytes(4, "big") + place + text)

    def seal(self, why: str) -> None:
        """Close the vault, for the given reason."""
        self._keyset, self._why = None, why
        self._journal.close(why)

    async def advance(self, step: OpenKeyset, event: Append) -> OpenKeyset:
        """Commit the next keyset with its event, and use it from now on.

        Raises StaleVersionError when another one came, which is in use then; KeyInUseError as PutKeyset says;
        CommitPendingError where it was accepted, and is in use; OutcomeUnknownError where the next `refresh` tells.
        """
        try:
            await self._journal.commit((PutKeyset(step.record, expected=step.record.generation - 1), event))
        except StaleVersionError:
            await self.refresh()
            raise
        except CommitPendingError:
            self._take(step)
            raise
        self._take(step)
        return step

    async def refresh(self) -> bool:
        """Use the stored keyset where it is later than the one in use, and say whether it was.

        Another instance leaves one there, or a commit whose caller was cancelled. Raises SealedError where it does not
        open with what opened the one in use.
        """
        mine = self._journal.keys  # which are those in use, and while the vault opens those it opens with
        stored = await self._store.keyset()
        if stored is None or stored == mine.record:
            return False
        if stored.install_id == mine.install_id and stored.generation <= mine.record.generation:
            return False
        try:
            later = mine.following(stored)
        except WrongRootKeyError:
            raise SealedError(_MOVED_ON) from None
        return self._take(later)

    async def unlock(self, root_key: RootKey | None, *, accept: bool = False) -> bool:
        """Open the stored keyset, or make the first one. Gives whether the vault is open now.

        A keyset is made only where the database holds no sealed secret. Every record is looked at; see
        `RecordProofs.start`, also for `accept`.
        """
        stored = await self._store.keyset()
        if root_key is None:
            self.seal(_NO_KEY if stored is None else _KEY_MISSING)
            return False
        if stored is None and await self._store.any_sealed():
            self.seal(_LOST_KEYSET)
            return False
        try:
            if stored is None:
                opened = await self._create(root_key)
            else:
                opened = await asyncio.to_thread(self._opener.open, stored, root_key)
            self._journal.open(opened)
            self._keyset = await self._proofs.start(opened, accept=accept)
        except (WrongRootKeyError, RecordsUnknownError) as error:
            self.seal(str(error))
            return False
        return True

    def _take(self, later: OpenKeyset) -> bool:
        """Use `later`, unless a still later one came while its maker waited."""
        if self._journal.keys.record.generation >= later.record.generation:
            return False
        self._journal.open(later)
        if self._keyset is not None:
            self._keyset = later
        return True

    async def _create(self, root_key: RootKey) -> OpenKeyset:
        empty = await self._nothing_stored()
        fresh = await asyncio.to_thread(lambda: self._opener.create(root_key, self._clock.now(), proves=empty))
        opened = await asyncio.to_thread(self._opener.open, fresh, root_key)
        self._journal.open(opened)
        event = self._journal.event(SYSTEM, Action.KEYSET_CREATED, fresh.install_id)
        try:
            await self._journal.commit((PutKeyset(fresh, expected=0), event))
        except StaleVersionError:
            # Another instance was first; its keyset is the one.
            theirs = await self._store.keyset()
            if theirs is None:
                raise
            return await asyncio.to_thread(self._opener.open, theirs, root_key)
        return opened

    async def _nothing_stored(self) -> bool:
        async with self._store.snapshot() as records:
            return await anext(aiter(records), None) is None
