"""Rotating the data keys while everything runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from keycairn.app.services.audit import Journal
from keycairn.app.services.keys.encryption import FORMER_WAITS, Encryption, Quarantined
from keycairn.app.services.keys.resealing import credential_of, primary_of, resealed, sealed_pages
from keycairn.app.services.keys.vault import Vault
from keycairn.app.turns import batches
from keycairn.domain.audit import IN_PROCESS, SYSTEM, Action, Caller
from keycairn.domain.change import PutKeyRotation, Reseal, Touch
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    KeycairnError,
    KeyInUseError,
    StaleVersionError,
)
from keycairn.domain.keyset import KeyState
from keycairn.domain.proof import Proven, counts
from keycairn.domain.sealed import kid_of
from keycairn.domain.state import key_for
from keycairn.ports.keyset import OpenKeyset
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

PROVEN_AT_ONCE = 250
"""Records proven anew in one commit."""
ATTEMPTS = 24
"""How often a step is worked out anew when another instance, or edits under way, come in between."""

_log = structlog.get_logger()


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
        await self._vault.refresh()
        keyset = self._vault.keyset.record
        secrets: Counter[int] = Counter()
        quarantined: list[Quarantined] = []
        async for page in sealed_pages(self._store):
            for record, name, sealed in ((each, *item) for each in page for item in each.sealed.items()):
                kid = kid_of(sealed)
                if kid is not None:
                    secrets[kid] += 1
                known = record.broken.get(name) if isinstance(record, Credential) else None
                reason = known or self._vault.cipher.unreadable(sealed)
                if reason:
                    quarantined.append(
                        Quarantined(
                            credential=credential_of(record),
                            workspace=record.workspace,
                            field=name,
                            kid=kid,
                            reason=reason,
                        )
                    )
        primary = primary_of(keyset.keys)
        stuck = Counter(item.kid for item in quarantined)
        return Encryption(
            install_id=keyset.install_id,
            generation=keyset.generation,
            slots=tuple(slot.slot_id for slot in keyset.slots),
            opened_with=self._vault.keyset.slot,
            former=keyset.former,
            former_because=FORMER_WAITS if keyset.former else "",
            primary=primary,
            keys=keyset.keys,
            secrets=dict(sorted(secrets.items())),
            pending=sum(count - stuck[kid] for kid, count in secrets.items() if kid != primary),
            quarantined=tuple(quarantined),
            rotating=self._turning.locked() or (self._background is not None and not self._background.done()),
        )

    async def rotate(
        self,
        *,
        by: Caller = IN_PROCESS,
        progress: Callable[[int], None] = lambda _: None,
        begun: Callable[[], None] = lambda: None,
    ) -> Encryption:
        """Make a new data key, seal every secret under it, retire the old keys. `progress` gets counts resealed.

        `begun` is called when the new key is stored, or one that was stored before waits for secrets to be resealed.

        A rotation that was under way is finished instead of beginning another. Old keys that secrets still need stay
        for decrypting. Raises SealedError; InvalidInputError where the keyset is full of retired keys.
        """
        async with self.alone():
            if _old_keys(self._vault.keyset):
                begun()
                if await self._finish(by, progress):
                    return await self.status()
            await self._begin(by)
            begun()
            await self._finish(by, progress)
        return await self.status()

    async def start(self, *, by: Caller = IN_PROCESS) -> None:
        """Begin `rotate`, which goes on by itself; a no-op while one runs. Raises as `rotate`: nothing began."""
        _ = self._vault.keyset
        if self._turning.locked() or (self._background is not None and not self._background.done()):
            return
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        begun.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, though nobody may wait
        self._background = asyncio.create_task(self._quietly(by, begun))
        await asyncio.shield(begun)

    async def resume(self) -> bool:
        """Finish a rotation that was cut off; whether anything had to be done. Raises SealedError."""
        if not _old_keys(self._vault.keyset):
            return False
        async with self.alone():
            return await self._finish(SYSTEM, lambda _: None)

    async def aclose(self) -> None:
        """Stop the background rotation; the next start resumes it."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """While nothing else here changes the keyset, which is the newest. Raises SealedError."""
        async with self._turning:
            await self._vault.refresh()
            yield

    async def _quietly(self, by: Caller, begun: "asyncio.Future[None]") -> None:
        def tell() -> None:
            if not begun.done():
                begun.set_result(None)

        try:
            await self.rotate(by=by, begun=tell)
        except KeycairnError as error:
            if begun.done():
                _log.error("the rotation stopped; the next one, or the next start, goes on with it", detail=str(error))
            else:
                begun.set_exception(error)
        except Exception as error:
            if begun.done():
                raise
            begun.set_exception(error)
        finally:
            begun.cancel()  # where it was cut off; else it is done already

    async def _begin(self, by: Caller) -> None:
        """Add a data key, unless another instance adds one at the same time."""
        youngest = max(self._vault.keyset.record.keys)
        for attempt in range(ATTEMPTS):
            step = self._vault.keyset.with_new_key()
            kid = max(step.record.keys)
            try:
                await self._vault.advance(step, self._journal.event(by, Action.KEY_ADDED, f"key:{kid}"))
            except StaleVersionError:
                if attempt == ATTEMPTS - 1:
                    raise
            if max(self._vault.keyset.record.keys) > youngest:
                return

    async def _finish(self, by: Caller, progress: Callable[[int], None]) -> bool:
        """Bring everything under the youngest key, and retire the others; whether anything had to be done.

        Another instance may rotate at the same time, and edits under way may still seal with an old key: then it goes
        round again.
        """
        done = False
        for attempt in range(ATTEMPTS):
            try:
                done |= await self._make_primary(by)
                resealed, stuck = await self._reseal_all(by, progress)
                proven = await self.prove_all(by)
                retired, needed = await self._retire(by)
                done |= bool(resealed or proven or retired)
            except StaleVersionError:
                if attempt == ATTEMPTS - 1:
                    raise
                await self._vault.refresh()
                continue
            if needed <= stuck:
                return done
        _log.warning(
            "old data keys that still seal secrets only decrypt; rotate again to retire them", keys=sorted(needed)
        )
        return done

    async def _make_primary(self, by: Caller) -> bool:
        keyset = self._vault.keyset
        youngest = max(kid for kid, state in keyset.record.keys.items() if state is not KeyState.RETIRED)
        if keyset.record.keys[youngest] is KeyState.PRIMARY:
            return False
        event = self._journal.event(by, Action.KEY_PRIMARY, f"key:{youngest}")
        await self._vault.advance(keyset.with_key_state(youngest, KeyState.PRIMARY), event)
        return True

    async def _reseal_all(self, by: Caller, progress: Callable[[int], None]) -> tuple[int, set[int]]:
        """How many credentials were resealed, and the keys of the secrets that do not open."""
        done = 0
        stuck: set[int] = set()
        async for page in sealed_pages(self._store):
            batch = await asyncio.to_thread(resealed, page, self._vault.keyset, self._registry, stuck)
            if batch:
                count = sum(isinstance(change, Reseal | PutKeyRotation) for change in batch)
                event = self._journal.event(by, Action.SECRETS_RESEALED, "keyset", details={"credentials": count})
                await self._journal.commit((*batch, event))
                done += count
                progress(done)
        return done, stuck

    async def prove_all(self, by: Caller) -> int:
        """Have every record proven under the primary key; how many were not. Edits made meanwhile are by themselves."""
        primary = primary_of(self._vault.keyset.record.keys)
        names = []
        async with self._store.snapshot() as records:
            async for record in records:
                if not counts(record):
                    break
                if isinstance(record, Proven) and not record.proof.startswith(f"{primary}:"):
                    names.append(key_for(record))
        for part in batches(names, PROVEN_AT_ONCE):
            event = self._journal.event(by, Action.RECORDS_PROVEN, "database", details={"records": len(part)})
            await self._journal.commit((*(Touch(kind, key) for kind, key in part), event))
        return len(names)

    async def _retire(self, by: Caller) -> tuple[int, set[int]]:
        """How many of the old keys were retired, and those that cannot be, because a secret needs them.

        The commit itself proves that none does.
        """
        done = 0
        needed: set[int] = set()
        for kid in _old_keys(self._vault.keyset):
            event = self._journal.event(by, Action.KEY_RETIRED, f"key:{kid}")
            try:
                await self._vault.advance(self._vault.keyset.with_key_state(kid, KeyState.RETIRED), event)
                done += 1
            except KeyInUseError:
                needed.add(kid)
        return done, needed


def _old_keys(keyset: OpenKeyset) -> list[int]:
    """The keys of a rotation that was cut off, or that secrets keep from being retired."""
    return [kid for kid, state in keyset.record.keys.items() if state is KeyState.DECRYPT_ONLY]
