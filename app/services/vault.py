"""The vault: the opened keyset, or the reason why there is none."""

import asyncio

from keycairn.app.services.record import Recorder
from keycairn.domain.audit import SYSTEM, Action
from keycairn.domain.change import Append, PutKeyset
from keycairn.domain.errors import SealedError, StaleVersionError, WrongRootKeyError
from keycairn.domain.keyset import Keyset
from keycairn.domain.rootkey import RootKey
from keycairn.ports.cipher import Cipher
from keycairn.ports.clock import Clock
from keycairn.ports.keyset import KeysetOpener, OpenKeyset
from keycairn.ports.store import Store

_NO_KEY = (
    "No root key is set. Set KEYCAIRN_ROOT_KEY (or KEYCAIRN_ROOT_KEY_FILE) to base64: and 32 random bytes, "
    "for example base64:$(openssl rand -base64 32), and start again."
)
_LOST_KEYSET = (
    "The database holds sealed secrets but no keyset to open them. Restore the keyset from a backup; "
    "a new one would make them unreadable for good."
)


class Vault:
    """Sealed until `unlock` succeeds. A sealed vault leaves everything as it is and says what to set."""

    def __init__(self, store: Store, opener: KeysetOpener, clock: Clock, recorder: Recorder) -> None:
        self._store = store
        self._opener = opener
        self._clock = clock
        self._recorder = recorder
        self._keyset: OpenKeyset | None = None
        self._why = _NO_KEY

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

    def seal(self, why: str) -> None:
        """Close the vault, for the given reason."""
        self._keyset, self._why = None, why

    async def advance(self, step: OpenKeyset, event: Append) -> OpenKeyset:
        """Commit the next keyset with its event, and use it from now on. Raises ConflictError when another one came."""
        await self._store.commit((PutKeyset(step.record, expected=step.record.generation - 1), event))
        self._keyset = step
        return step

    async def unlock(self, root_key: RootKey | None) -> bool:
        """Open the stored keyset, or make the first one. Gives whether the vault is open now.

        A keyset is made only where the database holds no sealed secret.
        """
        stored = await self._store.keyset()
        if root_key is None:
            self.seal(_NO_KEY)
            return False
        if stored is None and await self._store.any_sealed():
            self.seal(_LOST_KEYSET)
            return False
        if stored is None:
            stored = await self._create(root_key)
        try:
            self._keyset = await asyncio.to_thread(self._opener.open, stored, root_key)
        except WrongRootKeyError as error:
            self.seal(str(error))
        return self._keyset is not None

    async def _create(self, root_key: RootKey) -> Keyset:
        fresh = await asyncio.to_thread(self._opener.create, root_key, self._clock.now())
        event = self._recorder.event(SYSTEM, Action.KEYSET_CREATED, fresh.install_id)
        try:
            await self._store.commit((PutKeyset(fresh, expected=0), event))
        except StaleVersionError:
            # Another instance was first; its keyset is the one.
            return await self._store.keyset() or fresh
        return fresh
