"""Forgetting a retired data key for good, once it is proven that nothing needs it."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from keycairn.app.services.audit import Journal
from keycairn.app.services.backups import Backups, Kept, records_in
from keycairn.app.services.keys.resealing import credential_of, sealed_pages
from keycairn.app.services.keys.rotation import Rotation
from keycairn.app.services.keys.vault import Vault
from keycairn.domain.audit import IN_PROCESS, Action, Caller
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    BackupFileError,
    DamagedBackupError,
    InvalidInputError,
    KeyNeededError,
    StaleVersionError,
    UndecryptableError,
    UnknownProviderError,
)
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.key_rotation.sealing import context_of
from keycairn.domain.keyset import KeyState
from keycairn.domain.record import NAMES
from keycairn.domain.sealed import UNOPENED, SealedSecret, kid_of
from keycairn.ports.cipher import Cipher
from keycairn.ports.clock import Clock
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

_SEALED_KINDS = frozenset({NAMES[Credential], NAMES[KeyRotation]})
ATTEMPTS = 8
"""How often the commit is tried anew when another instance changes the keyset in between."""


class BackupInNeed(Struct, frozen=True, kw_only=True):
    """A backup that needs the key: it holds `secrets` sealed with it, and brings the key along, wrapped.

    `age` is in seconds. Of a backup that cannot be read, `secrets` is None: nobody knows what it needs.
    """

    file: str
    taken: datetime
    age: int
    secrets: int | None


class Forgotten(Struct, frozen=True, kw_only=True):
    """What forgetting a key came to, or would come to with `dry_run`. `records` were tried, and open without it."""

    key: int
    dry_run: bool
    records: int
    backups: tuple[BackupInNeed, ...]


class RetiredKeys:
    """Retired data keys stay in the keyset until they are forgotten one by one."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        registry: ProviderRegistry,
        rotation: Rotation,
        backups: Backups,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._store = store
        self._vault = vault
        self._registry = registry
        self._rotation = rotation
        self._backups = backups
        self._journal = journal
        self._clock = clock

    async def forget(self, kid: int, *, dry_run: bool = False, by: Caller = IN_PROCESS) -> Forgotten:
        """Remove the retired data key `kid` from the keyset for good. With `dry_run`, only say what would be.

        Every record is tried without it first, all is seen to the disk, and the backups that need it are named; they
        bring it along themselves, so they can be restored as before, and whoever forgets a key because it leaked
        deletes them.

        Raises InvalidInputError for a key that is not retired, KeyNeededError when a record needs it or does not open
        at all, BackupFileError when the folder of backups cannot be read, and SealedError.
        """
        async with self._rotation.alone():
            self._check_retired(kid)
            records = await self._tried(kid)
            if not dry_run:
                await self._rotation.prove_all(by)
            await self._store.checkpoint()
            backups = tuple(await asyncio.to_thread(self._in_need, self._backups.kept(), kid))
            if not dry_run:
                await self._remove(kid, backups, by)
        return Forgotten(key=kid, dry_run=dry_run, records=records, backups=backups)

    def _check_retired(self, kid: int) -> None:
        state = self._vault.keyset.record.keys.get(kid)
        if state is None:
            raise InvalidInputError(f"The keyset has no data key {kid}.")
        if state is not KeyState.RETIRED:
            raise InvalidInputError(f"Data key {kid} is not retired: it is {state}. Rotate first: keycairn rotate data")

    async def _tried(self, kid: int) -> int:
        """How many records there are, all of which open without the key. Raises KeyNeededError."""
        count = 0
        hidden = [error.key for error in self._store.unreadable() if error.kind in _SEALED_KINDS]
        needing = [CredentialId(f"credential:{key}") for key in hidden]  # nobody can say what they need
        async for page in sealed_pages(self._store):
            needing += await asyncio.to_thread(self._needing, page, self._vault.cipher, kid)
            count += len(page)
        if needing:
            raise KeyNeededError(kid, needing)
        return count

    def _needing(self, page: Sequence[Credential | KeyRotation], cipher: Cipher, kid: int) -> list[CredentialId]:
        return [
            credential_of(record)
            for record in page
            if any(self._may_need(record, name, text, cipher, kid) for name, text in record.sealed.items())
        ]

    def _may_need(
        self, record: Credential | KeyRotation, name: str, text: SealedSecret, cipher: Cipher, kid: int
    ) -> bool:
        if text == UNOPENED:
            return False
        try:
            cipher.open(text, context_of(self._registry.get(record.provider).spec, record, name))
        except UnknownProviderError:
            return kid_of(text) in {kid, None}  # its plugin is not loaded, so that only its header can be asked
        except (UndecryptableError, InvalidInputError):
            return True
        return False

    def _in_need(self, kept: Sequence[Kept], kid: int) -> list[BackupInNeed]:
        found = []
        for backup in kept:
            secrets = _secrets_of(backup.file, kid)
            if secrets != 0:
                age = int((self._clock.now() - backup.taken).total_seconds())
                found.append(BackupInNeed(file=str(backup.file), taken=backup.taken, age=age, secrets=secrets))
        return found

    async def _remove(self, kid: int, backups: Sequence[BackupInNeed], by: Caller) -> None:
        names = [Path(backup.file).name for backup in backups]
        event = self._journal.event(by, Action.KEY_FORGOTTEN, f"key:{kid}", details={"backups": names})
        for attempt in range(ATTEMPTS):
            self._check_retired(kid)
            try:
                await self._vault.advance(self._vault.keyset.without_key(kid), event)
            except StaleVersionError:
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                return


def _secrets_of(file: Path, kid: int) -> int | None:
    """How many secrets of a backup the key seals; None where the file cannot be read."""
    kids: Counter[int | None] = Counter()
    try:
        for record in records_in(file):
            if isinstance(record, Credential | KeyRotation):
                kids.update(map(kid_of, record.sealed.values()))
    except (BackupFileError, DamagedBackupError):
        return None
    return kids[kid]
