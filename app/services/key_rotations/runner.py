"""Going one step further with the rotation of a key. What a step stands for is stored before it is done."""

from collections.abc import Awaitable, Callable, Mapping

import structlog

from keycairn.app.services.audit import Journal
from keycairn.app.services.key_rotations.awaited_key import AwaitedKey
from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.former_key import FormerKey
from keycairn.app.services.key_rotations.new_key import NewKey
from keycairn.app.services.key_rotations.orphans import Orphans
from keycairn.app.services.key_rotations.progress import RotationProgress
from keycairn.app.services.key_rotations.switching import Switching
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    InvalidInputError,
    KeycairnError,
    RateLimitedError,
    StaleVersionError,
    StoreError,
)
from keycairn.domain.key_rotation import by_person, machine
from keycairn.domain.key_rotation.record import (
    BEFORE_SWITCH,
    KeyRotation,
    RotationOutcome,
    RotationStep,
    Run,
)
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.store import Store

_log = structlog.get_logger()


Step = Callable[[KeyRotation, Run, Credential | None], Awaitable[None]]
"""What a rotation does at a step: with its run, and its credential where that is still there."""


class Runner:
    """Goes on with rotations. Two of them do each other no harm: whoever stores a step first goes on with it.

    `name` tells this process from others.
    """

    def __init__(
        self, store: Store, calls: KeyCalls, switching: Switching, journal: Journal, clock: Clock, ids: Ids, name: str
    ) -> None:
        self._store = store
        self._calls = calls
        self._clock = clock
        self._progress = RotationProgress(store, journal, clock)
        orphans = Orphans(calls, self._progress, clock)
        new = NewKey(store, calls, switching, self._progress, orphans, clock, ids, name)
        former = FormerKey(calls, self._progress, orphans, clock)
        awaited = AwaitedKey(calls, self._progress, clock)
        self._steps: Mapping[RotationStep, Step] = {
            RotationStep.PLANNED: new.plan,
            RotationStep.AWAITING: awaited.wait,
            RotationStep.CREATING: new.look_for_it,
            RotationStep.CREATED: new.prove,
            RotationStep.PROVEN: new.switch,
            RotationStep.SWITCHED: former.settle,
            RotationStep.OVERLAP: former.overlap,
            RotationStep.REVOKING: former.revoke,
            RotationStep.REVOKED: former.bury,
            RotationStep.CLEANING: orphans.clean,
        }

    async def advance(self, rotation: KeyRotation) -> bool:
        """Do what is due now; whether there was anything. Failures are kept with the rotation."""
        run, now = rotation.run, self._clock.now()
        if run is None or run.due > now or self._progress.rests(run, now):
            return False
        credential = await self._store.credential(rotation.workspace, rotation.credential)
        try:
            if (moved := self._overtaken(rotation, run, credential)) is not None:
                await self._progress.store(rotation, moved)
            else:
                await self._steps[run.step](rotation, run, credential)
        except StaleVersionError:
            _log.debug("another instance, or an edit, was first with the rotation of a key", rotation=rotation.id)
        except StoreError:
            raise
        except KeycairnError as error:
            wait = error.retry_after if isinstance(error, RateLimitedError) else None
            await self._progress.store(rotation, machine.troubled(rotation, self._clock.now(), str(error), wait=wait))
        return True

    def _overtaken(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> KeyRotation | None:
        """What becomes of a rotation whose credential was changed by somebody else; None where it was not."""
        now = self._clock.now()
        if run.step not in BEFORE_SWITCH:
            return None
        if credential is None:
            return machine.cleaning(rotation, now, "The credential was deleted.", ends_as=RotationOutcome.REPLACED)
        mark = _mark(self._calls, credential)
        if mark == run.fingerprint:
            return None
        if run.step is RotationStep.AWAITING and mark:
            return by_person.switched_by_hand(rotation, now, mark)
        why = "Another key was stored with the credential meanwhile."
        return machine.cleaning(rotation, now, why, ends_as=RotationOutcome.REPLACED)


def _mark(calls: KeyCalls, credential: Credential) -> str:
    """The fingerprint of its key, "" where it has none any more."""
    try:
        return calls.fingerprint(credential)
    except InvalidInputError:
        return ""
