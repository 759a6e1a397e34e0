"""Keys that a rotation made and nobody has: found in the provider's list, and removed."""

from collections.abc import Sequence

from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.progress import RotationProgress
from keycairn.domain.credential import Credential
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyRef, ListedKey
from keycairn.domain.key_rotation import machine
from keycairn.domain.key_rotation.record import (
    NEW,
    KeyRotation,
    Run,
)
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock

NOT_KNOWN = (
    "Whether the provider made a key named {tag} is not known, and it lists none. Revoke it at {page}, then go on."
)
_ORPHANS = "Revoke these keys at {page}, which nobody uses: {keys}. They are looked after until they are gone."


class Orphans:
    """Finds and removes what a rotation left behind at the provider."""

    def __init__(self, calls: KeyCalls, progress: RotationProgress, clock: Clock) -> None:
        self._calls = calls
        self._progress = progress
        self._clock = clock

    def among(self, run: Run, listed: Sequence[ListedKey], management: KeyManagement) -> list[ListedKey]:
        """Keys that this rotation made, and that nobody has."""
        if not run.tries:
            return []
        if management.tagged:
            mine = [one for one in listed if one.tag.startswith(run.tags)]
        else:
            mine = [one for one in listed if one.id not in run.listed]
        return [one for one in mine if not one.current and one.usable and one.id != run.old_id]

    async def removed(
        self, rotation: KeyRotation, credential: Credential | None, keys: Sequence[ListedKey], **known: Secret
    ) -> bool:
        """Revoke keys that nobody has; False where a person has to, who is asked."""
        management = self._calls.of(rotation)
        if keys and not management.revokes:
            named = ", ".join(one.tag or one.id for one in keys)
            why = _ORPHANS.format(page=management.page or "the provider's page", keys=named)
            await self._progress.hold(rotation, why)
            return False
        for one in keys:
            await self._calls.revoke(rotation, credential, KeyRef(id=one.id, secrets=known))
        return True

    async def clean(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """Remove what was made before it failed."""
        management, now = self._calls.of(rotation), self._clock.now()
        new = self._calls.kept(rotation, NEW)
        if not run.tries or management.creation is KeyCreation.REPLACING:
            await self._progress.store(rotation, machine.given_up(rotation, now, run.why))
            return
        if not management.lists:
            if run.unsure:
                why = NOT_KNOWN.format(tag=run.tag, page=management.page or "the provider's page")
                await self._progress.hold(rotation, why)
                return
            if run.new_id or new:
                await self._calls.revoke(rotation, credential, KeyRef(id=run.new_id, secrets=new))
            await self._progress.store(rotation, machine.given_up(rotation, now, run.why))
            return
        listed = await self._calls.keys(rotation, credential)
        found = self.among(run, listed, management)
        if run.new_id and any(one.id == run.new_id and one.usable for one in listed):
            found = [*(one for one in found if one.id != run.new_id), ListedKey(id=run.new_id)]
        if not await self.removed(rotation, credential, found, **new):
            return
        after = machine.troubled(rotation, now, run.why) if found else machine.cleaned(rotation, now)
        await self._progress.store(rotation, after, details={"revoked": [one.id for one in found]} if found else None)
