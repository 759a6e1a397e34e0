"""The work beside serving: rotations that policies ask for begin, and those under way go on."""

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from datetime import datetime

import structlog
from msgspec.structs import replace

from keycairn.app.services.audit import Journal
from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.current_keys import CurrentKeys
from keycairn.app.services.key_rotations.runner import Runner
from keycairn.app.services.key_rotations.starting import RotationStarter
from keycairn.app.services.key_rotations.switching import Switching
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import SYSTEM, Action, Caller
from keycairn.domain.change import DropKeyRotation, PutKeyRotation
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    KeycairnError,
    KeyRotationStateError,
    StaleVersionError,
)
from keycairn.domain.key_rotation import at_rest
from keycairn.domain.key_rotation.at_rest import unbound
from keycairn.domain.key_rotation.record import (
    KeyRotation,
    Reason,
    rotation_id,
)
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store

BUSY_EVERY, IDLE_EVERY = 1.0, 30.0
"""Seconds between two looks at what is due: while a rotation goes on, and else."""
AT_ONCE = 8
"""Rotations that go a step further side by side."""
_log = structlog.get_logger()


class RotationSchedule:
    """Looks at what is due, again and again."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        calls: KeyCalls,
        switching: Switching,
        starter: RotationStarter,
        runner: Runner,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._store = store
        self._vault = vault
        self._calls = calls
        self._switching = switching
        self._starter = starter
        self._runner = runner
        self._current = CurrentKeys(store, calls, journal)
        self._journal = journal
        self._clock = clock
        self.woken: asyncio.Event = asyncio.Event()
        """Set where somebody asked for something in this process."""

    async def work(self) -> bool:
        """Begin what the policies ask for, and go one step further with all that is due; whether anything was."""
        if self._vault.why_sealed is not None:
            return False
        await self._vault.refresh()
        stored = await self._store.key_rotations()
        now = self._clock.now()
        did = await self._together(self._bound(one, now) for one in stored if unbound(one) and self._calls.knows(one))
        if did:
            return True
        found = [one for one in stored if not one.restored and self._calls.knows(one)]
        for one in found:
            did |= await self._righted(one, now) or (one.run is None and await self._look(one, now))
        due = [one for one in found if one.run is not None and one.run.due <= now]
        for start in range(0, len(due), AT_ONCE):
            did |= await self._together(map(self._runner.advance, due[start : start + AT_ONCE]))
        if not did:  # what is only told waits for what is done
            unknown = [one for one in found if one.run is None and self._current.unknown(one, now)]
            did = await self._together(self._current.look(one, now) for one in unknown[:AT_ONCE])
        return did

    async def run(self) -> None:
        """Work until cancelled: where this process leads, and on what it was asked for itself until that rests."""
        busy = asked = False
        while True:
            try:
                busy = (self._store.leads or asked or busy) and await self.work()
            except KeycairnError as error:
                busy = False
                _log.warning("the rotations of keys could not be looked at", code=error.code)
            self.woken.clear()
            asked = False
            with suppress(TimeoutError):
                async with asyncio.timeout(BUSY_EVERY if busy else await self._pause()):
                    asked = await self.woken.wait()

    async def _together(self, steps: Iterable[Awaitable[bool]]) -> bool:
        """Whether one of them did anything. What one fails with is logged, and holds up none of the others."""
        did = False
        for result in await asyncio.gather(*steps, return_exceptions=True):
            if not isinstance(result, BaseException):
                did |= result
            elif isinstance(result, KeycairnError):
                _log.warning("a rotation of a key could not go on yet", code=result.code)
            else:
                raise result
        return did

    async def _pause(self) -> float:
        """Seconds until something is due, within bounds."""
        now = self._clock.now()
        try:
            runs = [one.run for one in await self._store.key_rotations() if one.run is not None]
        except KeycairnError:
            return IDLE_EVERY
        waits = [(run.due - now).total_seconds() for run in runs]
        return min(max(min(waits, default=IDLE_EVERY), BUSY_EVERY), IDLE_EVERY)

    async def _righted(self, rotation: KeyRotation, now: datetime) -> bool:
        """Bring what a clock that was ahead stored to this time."""
        righted = at_rest.in_this_time(rotation, now)
        if righted is None:
            return False
        event = self._journal.event(_system(rotation), Action.KEY_ROTATED, rotation.credential, outcome="clock")
        try:
            await self._journal.commit((PutKeyRotation(righted, expected=rotation.version), event))
        except StaleVersionError:
            _log.debug("another instance was first", rotation=rotation.id)
        return True

    async def _bound(self, rotation: KeyRotation, now: datetime) -> bool:
        """Bind what a former version stored to where its account leads; whether there was anything to bind."""
        credential = await self._store.credential(rotation.workspace, rotation.credential)
        if credential is None:
            return False
        here = self._calls.target(credential)
        after = at_rest.bound(rotation, now, here, self._calls.key_origins(rotation, credential))
        event = self._journal.event(_system(rotation), Action.KEY_ROTATED, rotation.credential, outcome="bound")
        await self._journal.commit((PutKeyRotation(after, expected=rotation.version), event))
        return True

    async def _look(self, rotation: KeyRotation, now: datetime) -> bool:
        """Of one that rests: notice a key that somebody else stored, and begin what the policy asks for."""
        credential = await self._store.credential(rotation.workspace, rotation.credential)
        try:
            if credential is None:
                event = self._journal.event(_system(rotation), Action.KEY_ROTATION_REMOVED, rotation.credential)
                await self._journal.commit((DropKeyRotation(rotation.id, expected=rotation.version), event))
                return True
            mark = self._calls.fingerprint(credential)
            if mark != rotation.fingerprint:
                after = at_rest.replaced(rotation, now, mark)
                event = self._journal.event(_system(rotation), Action.KEY_ROTATED, credential.id, outcome="replaced")
                await self._journal.commit((PutKeyRotation(after, expected=rotation.version), event))
                return True
            due = rotation.due()
            if rotation.leaked or (due is not None and due <= now and await self._leads(credential, mark)):
                reason = Reason.LEAKED if rotation.leaked else Reason.POLICY
                await self._starter.begin(rotation.credential, reason, _system(rotation), closes=rotation.closes)
                return True
        except (StaleVersionError, KeyRotationStateError):
            return True  # another instance was first
        except KeycairnError as error:
            _log.warning("a rotation of a key could not begin", credential=rotation.credential, code=error.code)
        return False

    async def _leads(self, credential: Credential, mark: str) -> bool:
        """Whether it is this rotation that takes the key's other credentials along: none of them is under way."""
        for twin in await self._switching.alike(credential, mark):
            other = await self._store.key_rotation(rotation_id(twin.id))
            if other is not None and other.run is not None and other.takes_along(credential.provider, credential.id):
                return False
        return True


def _system(rotation: KeyRotation) -> Caller:
    return replace(SYSTEM, workspace=rotation.workspace)
