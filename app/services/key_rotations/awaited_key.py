"""A key that a person has to make: what is told, and what is done before it is there."""

from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.progress import USED_ELSEWHERE, RotationProgress, full_names
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    EgressRefusedError,
    ProviderError,
    UndecryptableError,
)
from keycairn.domain.key_management import KeyRef
from keycairn.domain.key_rotation import by_person
from keycairn.domain.key_rotation.record import (
    OLD,
    KeyRotation,
    Reason,
    Run,
)
from keycairn.ports.clock import Clock

AWAITED_EVERY = 30.0
"""Seconds between two looks whether somebody stored the key that is waited for."""
_TO_MAKE = "Make a new key at {page}, and store it with the credential."
_NOT_REVOKED = "The leaked key could not be revoked yet, which is tried again: {why}"


class AwaitedKey:
    """The step in which a person makes the new key."""

    def __init__(self, calls: KeyCalls, progress: RotationProgress, clock: Clock) -> None:
        self._calls = calls
        self._progress = progress
        self._clock = clock

    async def wait(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """A person has to make the key, and is told so whatever else fails."""
        why = _TO_MAKE.format(page=self._calls.of(rotation).page or "the provider's page")
        moved: KeyRotation | None = None
        elsewhere: tuple[str, ...] = ()
        try:
            moved, elsewhere = await self._meanwhile(rotation, run, credential, looked=run.held == why)
        except (ProviderError, EgressRefusedError, UndecryptableError) as error:
            why = f"{why} {_NOT_REVOKED.format(why=error) if run.reason is Reason.LEAKED else error}"
        if moved is not None:
            await self._progress.store(rotation, moved)
            return
        told = self._progress.told(rotation, run, elsewhere)
        why = f"{why} {USED_ELSEWHERE}" if elsewhere else why
        await self._progress.hold(rotation, why, *told, look_after=AWAITED_EVERY, used_by=elsewhere)

    async def _meanwhile(
        self, rotation: KeyRotation, run: Run, credential: Credential | None, *, looked: bool
    ) -> tuple[KeyRotation | None, tuple[str, ...]]:
        """What is done before there is another key: the id of the former is found out, and one that leaked is revoked.

        Gives what the rotation is then, None where nothing was done, and those elsewhere who hold the key back.
        """
        management, now = self._calls.of(rotation), self._clock.now()
        if not run.old_id and management.lists and not looked:
            listed = await self._calls.keys(rotation, credential)
            if old := next((one.id for one in listed if one.current), ""):
                return by_person.identified(rotation, now, old), ()
        named = bool(run.old_id) or not management.lists
        if run.reason is not Reason.LEAKED or run.revoked_early or not (management.revokes and named):
            return None, ()
        former = self._calls.kept(rotation, OLD)
        holders = await self._calls.holders(list(former.values()))
        if elsewhere := full_names(one for one in holders if one.workspace != rotation.workspace):
            return None, elsewhere
        await self._calls.revoke(rotation, credential, KeyRef(id=run.old_id, secrets=former))
        return by_person.revoked_early(rotation, now), ()
