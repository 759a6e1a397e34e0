"""Changing the root key: only by whoever has the present one."""

import asyncio

import structlog

from keycairn.app.services.audit import Journal
from keycairn.app.services.keys.encryption import Encryption
from keycairn.app.services.keys.root_key_proofs import Proofs
from keycairn.app.services.keys.rotation import Rotation
from keycairn.app.services.keys.vault import Vault
from keycairn.domain.audit import IN_PROCESS, SYSTEM, Action, Caller
from keycairn.domain.errors import ConflictError, InvalidInputError, WrongRootKeyError, WrongRootKeyProofError
from keycairn.domain.keyset import Keyset
from keycairn.domain.rootkey import RootKey
from keycairn.ports.clock import Clock
from keycairn.ports.keyset import KeysetOpener, OpenKeyset
from keycairn.ports.store import Store

_log = structlog.get_logger()


class RootKeys:
    """The root keys that open the keyset, a slot each: the youngest is the one to use, the others are former ones.

    A former one goes when a start has proven the youngest (`settle`), or at once where that is asked for. Until then
    whoever lost the new key before its first start goes on with the former one.
    """

    def __init__(
        self, store: Store, vault: Vault, opener: KeysetOpener, rotation: Rotation, journal: Journal, clock: Clock
    ) -> None:
        self._store = store
        self._vault = vault
        self._opener = opener
        self._rotation = rotation
        self._journal = journal
        self._proofs = Proofs(opener, clock.monotonic)

    async def change(
        self, new: RootKey, *, present: RootKey | None, now: bool = False, by: Caller = IN_PROCESS
    ) -> Encryption:
        """Make `new` the root key to use. Killed anywhere, the former one or both open the keyset.

        `present` is the root key that opens the keyset today; None stands for text that is none, and counts as a wrong
        one. Former slots stay until `settle`; of several only those stay that this process was opened with and that was
        proven here. With `now` all go at once; for that alone `new` may be the present one, where it is the youngest.
        Asking again for what was done changes nothing.

        Raises WrongRootKeyProofError, TooManyProofsError, InvalidInputError, SealedError or ConflictError.
        """
        proven = await self._prove(present, by)
        async with self._rotation.alone():
            keyset = self._vault.keyset
            mine = await self._slot_of(keyset.record, new)
            if new == present and (not now or mine in keyset.record.former):
                what = "a former" if mine in keyset.record.former else "the present"
                raise InvalidInputError(f"That is {what} root key. Make another one.", {"root_key": f"is {what} one"})
            kept = {keyset.slot, proven}
            if mine != keyset.record.slots[-1].slot_id:
                keyset = await self._add(keyset, new, by)
            mine = keyset.record.slots[-1].slot_id
            opened = keyset
            if now:
                opened = await asyncio.to_thread(self._opener.open, keyset.record, new)
                kept = set()
            await self._drop(opened, {slot.slot_id for slot in opened.record.slots} - {mine, *kept}, by)
        return await self._rotation.status()

    async def settle(self) -> int:
        """Drop the former slots, where the vault was opened with the youngest; how many went. Raises SealedError."""
        async with self._rotation.alone():
            keyset = self._vault.keyset
            former = keyset.record.former
            if not former:
                return 0
            if keyset.slot in former:
                _log.warning("a former root key opened the keyset; the newest one still waits for its first start")
                return 0
            await self._drop(keyset, set(former), SYSTEM)
            return len(former)

    async def _prove(self, present: RootKey | None, by: Caller) -> str:
        try:
            return await self._proofs.slot(self._vault.keyset.record, present, address=by.source)
        except WrongRootKeyProofError:
            await self._journal.commit(
                (self._journal.event(by, Action.ROOT_KEY_REFUSED, "keyset", outcome=WrongRootKeyProofError.code),)
            )
            raise

    async def _slot_of(self, record: Keyset, root_key: RootKey) -> str | None:
        try:
            return (await asyncio.to_thread(self._opener.open, record, root_key)).slot
        except WrongRootKeyError:
            return None

    async def _add(self, keyset: OpenKeyset, new: RootKey, by: Caller) -> OpenKeyset:
        added = await asyncio.to_thread(keyset.with_slot, new)
        mine = added.record.slots[-1].slot_id
        await self._vault.advance(added, self._journal.event(by, Action.ROOT_KEY_ADDED, f"slot:{mine}"))
        if await self._store.keyset() != added.record or await self._slot_of(added.record, new) != mine:
            raise ConflictError
        return added

    async def _drop(self, keyset: OpenKeyset, slots: set[str], by: Caller) -> None:
        for slot in keyset.record.slots:
            if slot.slot_id in slots:
                event = self._journal.event(by, Action.ROOT_KEY_DROPPED, f"slot:{slot.slot_id}")
                keyset = await self._vault.advance(keyset.without_slot(slot.slot_id), event)
