"""A backup for somebody else: the same credentials under keys that open nothing else."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from keycairn import __version__
from keycairn.app.services.backups.file import Contents, examine, placed, records_in
from keycairn.app.services.backups.format import BackupHeader, Packer, Trailer
from keycairn.domain.credential import Credential, seal_context
from keycairn.domain.errors import BackupFileError, UndecryptableError, UnknownProviderError, UrlRefusedError
from keycairn.domain.model import Defaults, Model
from keycairn.domain.record import Record
from keycairn.domain.rootkey import RootKey
from keycairn.ports.cipher import Cipher
from keycairn.ports.keyset import KeysetOpener
from keycairn.ports.provider import ProviderRegistry

_NOT_OPEN = "it did not open when the backup was made for another root key"


class Rekeyed(Struct, frozen=True, kw_only=True):
    """What went into the new file. `broken` counts the secrets that did not open, and so open there neither."""

    size: int
    counts: dict[str, int]
    secrets: int
    broken: int


class _Tally(Struct):
    """The secrets of one handover."""

    secrets: int = 0
    broken: int = 0


class RekeyedBackup:
    """Makes a backup that another root key opens, out of one that ours opens.

    Every secret is sealed anew under a fresh keyset with data keys of its own. Credentials, models and defaults go
    along; tokens, the audit log and usage stay: they are about this installation, and provable with its keys only.
    """

    def __init__(self, opener: KeysetOpener, registry: ProviderRegistry) -> None:
        self._opener = opener
        self._registry = registry

    async def rewrite(
        self,
        source: Path,
        target: Path,
        *,
        own: RootKey,
        other: RootKey,
        now: datetime,
        progress: Callable[[int], None],
    ) -> Rekeyed:
        """Write `target`. `progress` gets numbers of records.

        Raises WrongRootKeyError when `own` does not open the backup, else as `examine` and `placed`.
        """
        contents = await asyncio.to_thread(examine, source)
        tally = _Tally()
        async with placed(target) as stream:
            trailer = await asyncio.to_thread(
                self._rewrite, contents, source, stream.write, own, other, now, tally, progress
            )
            size = stream.tell()
        return Rekeyed(size=size, counts=dict(trailer.counts), secrets=tally.secrets, broken=tally.broken)

    def _rewrite(
        self,
        contents: Contents,
        source: Path,
        write: Callable[[bytes], int],
        own: RootKey,
        other: RootKey,
        now: datetime,
        tally: _Tally,
        progress: Callable[[int], None],
    ) -> Trailer:
        if contents.keyset is None:
            raise BackupFileError(f"{source} holds no keyset: there is nothing to encrypt anew.")
        ours = self._opener.open(contents.keyset, own).cipher
        keyset = self._opener.create(other, now, proves=False)
        theirs = self._opener.open(keyset, other).cipher
        packer = Packer(BackupHeader(created=now, version=__version__, install_id=keyset.install_id))
        write(packer.pack([keyset]))
        for record in records_in(source):
            kept: Record | None = None
            if isinstance(record, Credential):
                kept = self._resealed(record, ours, theirs, tally)
            elif isinstance(record, Model | Defaults):
                kept = replace(record, proof="")
            if kept is not None:
                write(packer.pack([kept]))
            progress(1)
        write(packer.finish())
        return packer.trailer

    def _resealed(self, credential: Credential, ours: Cipher, theirs: Cipher, tally: _Tally) -> Credential:
        sealed = dict(credential.sealed)
        broken = {}
        for name, text in credential.sealed.items():
            try:
                context = seal_context(self._registry.get(credential.provider).spec, credential, name)
                sealed[name] = theirs.seal(ours.open(text, context, retired=True), context)
            except (UndecryptableError, UnknownProviderError, UrlRefusedError):
                broken[name] = _NOT_OPEN
        tally.secrets += len(sealed) - len(broken)
        tally.broken += len(broken)
        return replace(credential, sealed=sealed, broken=broken, fingerprints={}, proof="")
