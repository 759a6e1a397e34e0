"""Putting a backup into an empty store, and proving that it arrived."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from keycairn.app.services.backups.file import Contents, examine, records_in
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    BackupKeyError,
    DamagedKeysetError,
    InvalidInputError,
    RestoreMismatchError,
    UndecryptableError,
    UnknownProviderError,
    WrongRootKeyError,
)
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.key_rotation.sealing import context_of
from keycairn.domain.record import Record, kind_of
from keycairn.domain.rootkey import RootKey
from keycairn.ports.cipher import Cipher
from keycairn.ports.keyset import KeysetOpener
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

YIELD_EVERY = 200
"""Records compared between two chances for others to run."""

Progress = Callable[[str, int, int], None]
"""Told of a step (`read`, `store`, `compare`), how much more of it is done, and of how much: bytes, then records."""


class Restored(Struct, frozen=True, kw_only=True):
    """What is in the store now, read back and compared.

    `opened` and `broken` count the secrets that the root key opens and that it does not; None without a root key.
    """

    created: datetime
    version: str
    install_id: str
    records: int
    counts: Mapping[str, int]
    opened: int | None = None
    broken: int | None = None


async def right_key(opener: KeysetOpener, contents: Contents, *root_keys: RootKey) -> RootKey | None:
    """The first of `root_keys` that opens a backup; None for one without a keyset. Raises BackupKeyError."""
    if contents.keyset is None:
        return None
    for root_key in root_keys:
        try:
            await asyncio.to_thread(opener.open, contents.keyset, root_key)
        except DamagedKeysetError:
            raise
        except WrongRootKeyError:
            continue
        return root_key
    raise BackupKeyError([slot.slot_id for slot in contents.keyset.slots], contents.header.created)


class Restore:
    """One backup on its way into a store."""

    def __init__(self, file: Path, progress: Progress = lambda *_: None) -> None:
        self._file = file
        self._progress = progress
        self._records = 0

    async def examine(self, opener: KeysetOpener, *root_keys: RootKey) -> Contents:
        """Prove the file whole, and, where root keys are given, that one is right, before anything is written.

        Raises DamagedBackupError, BackupFileError or BackupKeyError.
        """
        size = self._file.stat().st_size if self._file.exists() else 0  # a glance
        contents = await asyncio.to_thread(examine, self._file, lambda done: self._progress("read", done, size))
        self._records = contents.trailer.records
        if root_keys and contents.keyset is not None:
            await right_key(opener, contents, *root_keys)
        return contents

    async def into(self, store: Store) -> None:
        """Store all of it. Raises as `Store.restore`."""
        await store.restore(self._counted("store"))

    async def compare(
        self,
        store: Store,
        contents: Contents,
        opener: KeysetOpener,
        registry: ProviderRegistry,
        root_key: RootKey | None,
    ) -> Restored:
        """Read everything back and compare it, record by record; try the secrets. Raises RestoreMismatchError."""
        cipher = None
        if root_key is not None and contents.keyset is not None:
            cipher = (await asyncio.to_thread(opener.open, contents.keyset, root_key)).cipher
        trial = _Trial(registry, cipher)
        expected, number = self._counted("compare"), 0
        async with store.snapshot() as records:
            async for record in records:
                number += 1
                if record != (wanted := next(expected, None)):
                    raise RestoreMismatchError(f"{kind_of(wanted or record)} number {number}")
                trial.open(record)
                if number % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        if (missing := next(expected, None)) is not None:
            raise RestoreMismatchError(kind_of(missing))
        header, trailer = contents.header, contents.trailer
        return Restored(
            created=header.created,
            version=header.version,
            install_id=header.install_id,
            records=trailer.records,
            counts=trailer.counts,
            opened=trial.opened if cipher else None,
            broken=trial.broken if cipher else None,
        )

    def _counted(self, step: str) -> Iterator[Record]:
        for record in records_in(self._file):
            yield record
            self._progress(step, 1, self._records)


class _Trial:
    """Opens secrets, keeps none, and counts."""

    def __init__(self, registry: ProviderRegistry, cipher: Cipher | None) -> None:
        self._registry = registry
        self._cipher = cipher
        self.opened = self.broken = 0

    def open(self, record: Record) -> None:
        if self._cipher is None or not isinstance(record, Credential | KeyRotation):
            return
        for name, sealed in record.sealed.items():
            try:
                context = context_of(self._registry.get(record.provider).spec, record, name)
                self._cipher.open(sealed, context, retired=True)
                self.opened += 1
            except UnknownProviderError:
                continue  # its plugin may come later; that says nothing about the secret
            except (UndecryptableError, InvalidInputError):
                self.broken += 1
