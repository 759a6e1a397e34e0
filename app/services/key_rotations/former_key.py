"""The former key of a rotation: revoked once nobody holds it, and looked at until it is dead."""

from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.orphans import Orphans
from keycairn.app.services.key_rotations.progress import USED_ELSEWHERE, RotationProgress, full_names
from keycairn.domain.credential import Credential
from keycairn.domain.errors import EgressRefusedError
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyRef
from keycairn.domain.key_rotation import machine
from keycairn.domain.key_rotation.record import (
    NEW,
    OLD,
    KeyRotation,
    Reason,
    Run,
)
from keycairn.domain.key_rotation.run import run_of
from keycairn.ports.clock import Clock

_HERE = (
    "Credentials of this workspace still hold the former key, so it is not revoked: {count} of them. "
    "Give them another key, or have theirs rotated, too. The audit log names them."
)
_TO_REVOKE = "Revoke the former key{id} at {page}. It is looked after until the provider refuses it."


class FormerKey:
    """The steps after the credentials got the new key."""

    def __init__(self, calls: KeyCalls, progress: RotationProgress, orphans: Orphans, clock: Clock) -> None:
        self._calls = calls
        self._progress = progress
        self._orphans = orphans
        self._clock = clock

    async def settle(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """Every instance knows of the switch: the overlap begins."""
        del run, credential
        await self._progress.store(rotation, machine.settled(rotation, self._clock.now()))

    async def overlap(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """The overlap is over: revoke the former key, unless somebody still holds it."""
        if await self._held_back(rotation, run):
            return
        after = machine.revoking(rotation, self._clock.now())
        await self._progress.store(rotation, after)
        await self.revoke(after, run_of(after), credential)

    async def revoke(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """Have the former key revoked at the provider, else by a person, and looked after until it is."""
        management, now = self._calls.of(rotation), self._clock.now()
        if await self._held_back(rotation, run):
            return
        if management.revokes and (run.old_id or not management.lists):
            key = KeyRef(id=run.old_id, secrets=self._calls.kept(rotation, OLD))
            try:
                await self._calls.revoke(rotation, credential, key)
            except EgressRefusedError as error:  # what manages keys is at another host by now
                why = f"{_to_revoke(run, management)} {error}"
                if run.held != why or credential is None or not await self._calls.is_dead(rotation, credential):
                    await self._progress.hold(rotation, why)
                    return
            await self._progress.store(rotation, machine.revoked(rotation, now))
        elif credential is not None and await self._calls.is_dead(rotation, credential):
            await self._progress.store(rotation, machine.revoked(rotation, now))
        else:
            await self._progress.hold(rotation, _to_revoke(run, management))

    async def bury(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """See that the former key is dead, and that nothing else of the rotation is left at the provider."""
        management = self._calls.of(rotation)
        listed = await self._calls.keys(rotation, credential)
        replaced = management.creation is KeyCreation.REPLACING
        there = not replaced and any(one.id == run.old_id and one.usable for one in listed if run.old_id)
        left = self._orphans.among(run, listed, management) if management.tagged else []
        if left and await self._calls.holders(list(self._calls.kept(rotation, NEW).values())):
            left = [one for one in left if one.id != run.new_id]
        if not await self._orphans.removed(rotation, credential, left):
            return
        dead = not there and not left and await self._calls.is_dead(rotation, credential)
        after = machine.death(rotation, self._clock.now(), dead=dead, within=management.ends_within)
        await self._progress.store(rotation, after, details={"revoked": [one.id for one in left]} if left else None)

    async def _held_back(self, rotation: KeyRotation, run: Run) -> bool:
        """Whether a credential still holds the former key; then it is not revoked, and people are told."""
        former = self._calls.kept(rotation, OLD)
        holders = await self._calls.holders(list(former.values()))
        if not holders:
            return False
        elsewhere = full_names(one for one in holders if one.workspace != rotation.workspace)
        here = [one for one in holders if one.workspace == rotation.workspace]
        if not elsewhere and run.reason is Reason.LEAKED:
            return False  # all that lead to the same have the new one, and nobody else here keeps a leaked one alive
        why = USED_ELSEWHERE if elsewhere else _HERE.format(count=len(here))
        held_by: list[str] = [one.id for one in here]
        await self._progress.hold(
            rotation,
            why,
            *self._progress.told(rotation, run, elsewhere),
            used_by=elsewhere,
            details={"held_by": held_by} if held_by else None,
        )
        return True


def _to_revoke(run: Run, management: KeyManagement) -> str:
    id = f" ({run.old_id})" if run.old_id else ""
    return _TO_REVOKE.format(id=id, page=management.page or "the provider's page")
