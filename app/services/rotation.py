"""Rotating the data keys while everything runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct

from keycairn.app.services.journal import Journal
from keycairn.app.services.vault import Vault
from keycairn.domain.audit import IN_PROCESS, SYSTEM, Action, Caller
from keycairn.domain.change import Change, Reseal
from keycairn.domain.credential import Credential, seal_context
from keycairn.domain.errors import UndecryptableError, UnknownProviderError, UrlRefusedError
from keycairn.domain.ids import CredentialId
from keycairn.domain.keyset import KeyState
from keycairn.domain.sealed import SUITE, SealedSecret, split
from keycairn.ports.keyset import OpenKeyset
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

FORMER_WAITS = (
    "A former root key opens everything too, until a start with the newest one has proven it. "
    "Start again with the newest; or, when the former one leaked, drop it at once: keycairn rotate root --now."
)
BATCH = 100
"""Credentials resealed in one commit."""


class Quarantined(Struct, frozen=True, kw_only=True):
    """A secret that does not open, and so keeps its data key from being retired."""

    credential: CredentialId
    workspace: str
    field: str
    kid: int | None
    reason: str


class Encryption(Struct, frozen=True, kw_only=True):
    """How things are encrypted. `secrets` counts them by kid; `pending` are those of another kid than the primary.

    Each of the `slots` is opened by a root key, the last one by the root key to use. `opened_with` is the one this
    process was opened with; `former` are those that still open everything, and `former_because` says why.
    """

    install_id: str
    generation: int
    slots: tuple[str, ...]
    opened_with: str
    former: tuple[str, ...]
    former_because: str
    primary: int
    keys: Mapping[int, KeyState]
    secrets: Mapping[int, int]
    pending: int
    quarantined: tuple[Quarantined, ...]
    rotating: bool


class Rotation:
    """Steps that are one commit each, and that say by themselves what comes next.

    A data key that only decrypts and is younger than the primary is a rotation that has just begun; secrets under an
    older one are a rotation under way; an older one without secrets is one that has only to be tidied up. `resume` goes
    on from wherever a killed process stopped.
    """

    def __init__(self, store: Store, vault: Vault, registry: ProviderRegistry, journal: Journal) -> None:
        self._store = store
        self._vault = vault
        self._registry = registry
        self._journal = journal
        self._turning = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None

    async def status(self) -> Encryption:
        """The keys, how many secrets each seals, and what does not open. Raises SealedError."""
        record = self._vault.keyset.record
        secrets: Counter[int] = Counter()
        quarantined: list[Quarantined] = []
        async for credential in self._everything():
            for name, sealed in credential.sealed.items():
                kid = _kid(sealed)
                if kid is not None:
                    secrets[kid] += 1
                reason = credential.broken.get(name) or self._vault.cipher.unreadable(sealed)
                if reason:
                    quarantined.append(
                        Quarantined(
                            credential=credential.id,
                            workspace=credential.workspace,
                            field=name,
                            kid=kid,
                            reason=reason,
                        )
                    )
        primary = _primary(record.keys)
        stuck = Counter(item.kid for item in quarantined)
        return Encryption(
            install_id=record.install_id,
            generation=record.generation,
            slots=tuple(slot.slot_id for slot in record.slots),
            opened_with=self._vault.keyset.slot,
            former=record.former,
            former_because=FORMER_WAITS if record.former else "",
            primary=primary,
            keys=record.keys,
            secrets=dict(sorted(secrets.items())),
            pending=sum(count - stuck[kid] for kid, count in secrets.items() if kid != primary),
            quarantined=tuple(quarantined),
            rotating=self._turning.locked() or (self._background is not None and not self._background.done()),
        )

    async def rotate(self, *, by: Caller = IN_PROCESS, progress: Callable[[int], None] = lambda _: None) -> Encryption:
        """Make a new data key, seal every secret under it, retire the old keys. `progress` gets counts resealed.

        A rotation that was under way is finished instead of beginning another. Raises SealedError.
        """
        async with self._turning:
            if not _under_way(self._vault.keyset):
                step = self._vault.keyset.with_new_key()
                kid = max(step.record.keys)
                await self._vault.advance(step, self._journal.event(by, Action.KEY_ADDED, f"key:{kid}"))
            await self._finish(by, progress)
        return await self.status()

    def start(self, *, by: Caller = IN_PROCESS) -> None:
        """Begin `rotate` in the background; a no-op while one runs. Raises SealedError."""
        _ = self._vault.keyset
        if not self._turning.locked() and (self._background is None or self._background.done()):
            self._background = asyncio.create_task(self._quietly(by))

    async def resume(self) -> bool:
        """Finish a rotation that was cut off; whether there was one. Raises SealedError."""
        if not _under_way(self._vault.keyset):
            return False
        async with self._turning:
            await self._finish(SYSTEM, lambda _: None)
        return True

    async def aclose(self) -> None:
        """Stop the background rotation; the next start resumes it."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """While nothing else here changes the keyset."""
        async with self._turning:
            yield

    async def _quietly(self, by: Caller) -> None:
        await self.rotate(by=by)

    async def _finish(self, by: Caller, progress: Callable[[int], None]) -> None:
        keyset = self._vault.keyset
        youngest = max(kid for kid, state in keyset.record.keys.items() if state is not KeyState.RETIRED)
        if keyset.record.keys[youngest] is not KeyState.PRIMARY:
            event = self._journal.event(by, Action.KEY_PRIMARY, f"key:{youngest}")
            await self._vault.advance(keyset.with_key_state(youngest, KeyState.PRIMARY), event)
        await self._reseal_all(youngest, by, progress)
        await self._retire(by)

    async def _reseal_all(self, primary: int, by: Caller, progress: Callable[[int], None]) -> None:
        done = 0
        batch: list[Change] = []
        async for credential in self._everything():
            sealed = self._resealed(credential, primary)
            if sealed != credential.sealed:
                batch.append(Reseal(credential.workspace, credential.id, sealed, credential.version))
            if len(batch) == BATCH:
                await self._commit(batch, by)
                done += len(batch)
                progress(done)
                batch = []
        if batch:
            await self._commit(batch, by)
            progress(done + len(batch))

    async def _commit(self, batch: Sequence[Change], by: Caller) -> None:
        event = self._journal.event(by, Action.SECRETS_RESEALED, "keyset", details={"credentials": len(batch)})
        await self._journal.commit((*batch, event))

    def _resealed(self, credential: Credential, primary: int) -> dict[str, SealedSecret]:
        """The credential's secrets under the primary key; one that does not open stays as it is."""
        cipher = self._vault.cipher
        sealed = dict(credential.sealed)
        for name, text in credential.sealed.items():
            try:
                parts = split(text)
                if parts.kid != primary or parts.suite != SUITE:
                    context = seal_context(self._registry.get(credential.provider).spec, credential, name)
                    sealed[name] = cipher.seal(cipher.open(text, context), context)
            except (UndecryptableError, UnknownProviderError, UrlRefusedError):
                continue
        return sealed

    async def _retire(self, by: Caller) -> None:
        """Retire every old key that seals nothing any more. Edits made meanwhile were sealed under the new one."""
        used = {kid async for credential in self._everything() for kid in map(_kid, credential.sealed.values())}
        for kid, state in self._vault.keyset.record.keys.items():
            if state is KeyState.DECRYPT_ONLY and kid not in used:
                event = self._journal.event(by, Action.KEY_RETIRED, f"key:{kid}")
                await self._vault.advance(self._vault.keyset.with_key_state(kid, KeyState.RETIRED), event)

    async def _everything(self) -> AsyncIterator[Credential]:
        after: CredentialId | None = None
        while page := await self._store.all_credentials(after=after, limit=BATCH):
            for credential in page:
                yield credential
            after = page[-1].id


def _primary(keys: Mapping[int, KeyState]) -> int:
    return next(kid for kid, state in keys.items() if state is KeyState.PRIMARY)


def _under_way(keyset: OpenKeyset) -> bool:
    return KeyState.DECRYPT_ONLY in keyset.record.keys.values()


def _kid(sealed: SealedSecret) -> int | None:
    try:
        return split(sealed).kid
    except UndecryptableError:
        return None
