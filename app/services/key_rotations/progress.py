"""Storing how far the rotation of a key is, with what becomes of the credentials, and its audit event."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from keycairn.app.services.audit import Journal
from keycairn.domain.audit import SYSTEM, Action, Details
from keycairn.domain.change import Change, DropKeyRotation, PutKeyRotation
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential
from keycairn.domain.key_rotation import by_person, pace
from keycairn.domain.key_rotation.record import (
    KeyRotation,
    RotationStep,
    Run,
)
from keycairn.domain.key_rotation.run import run_of
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store

USED_ELSEWHERE = (
    "Another workspace of this service uses the same key, so it is not revoked. Its administrator was told."
)


class RotationProgress:
    """Stores the next state of rotations, in one commit each, and keeps those at rest that wait for a person."""

    def __init__(self, store: Store, journal: Journal, clock: Clock) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._resting: dict[str, datetime] = {}
        """When rotations that wait for a person are looked at again, where nothing was worth a commit."""

    def rests(self, run: Run, now: datetime) -> bool:
        """Whether it was looked at a moment ago, by a clock that was not ahead."""
        until = self._resting.get(run.id, now)
        return now < until <= now + timedelta(seconds=pace.PERSON_LOOKS)

    async def store(
        self, before: KeyRotation, after: KeyRotation, *more: Change, details: Details | None = None
    ) -> None:
        """Store the next state, and what becomes of the credentials with it. Raises StaleVersionError."""
        put: list[Change] = [PutKeyRotation(after, expected=before.version), *more]
        if (
            (after.run and after.run.step) != (before.run and before.run.step)
            or details
            or _word(before) != _word(after)
        ):
            put.append(self._event(before, after, details or {}))
        else:
            put.append(self._event(before, after, {"attempt": after.run.attempt if after.run else 0}))
        if after.run is None and await self._store.credential(after.workspace, after.credential) is None:
            put[0] = DropKeyRotation(before.id, expected=before.version)
        await self._journal.commit(tuple(put))

    async def hold(
        self,
        rotation: KeyRotation,
        why: str,
        *told: Change,
        look_after: float = pace.PERSON_LOOKS,
        used_by: tuple[str, ...] = (),
        details: Details | None = None,
    ) -> None:
        """Have it wait for a person; that it still does is not worth a commit. `details` are for its audit event."""
        run, now = run_of(rotation), self._clock.now()
        if (run.held, run.used_by) == (why, used_by):
            self._resting[run.id] = now + timedelta(seconds=look_after)
            return
        after = by_person.held(rotation, now, why, look_after=look_after, used_by=used_by)
        await self.store(rotation, after, *told, details=details)

    def told(self, rotation: KeyRotation, run: Run, elsewhere: tuple[str, ...]) -> list[Change]:
        """Word to the installation's administrator of those for whom the key is held back, where it is news."""
        if not elsewhere or run.used_by == elsewhere:
            return []
        by = replace(SYSTEM, workspace=DEFAULT_WORKSPACE)
        details: Details = {"workspace": rotation.workspace, "used_by": list(elsewhere), "old_key": run.old_id}
        return [self._journal.event(by, Action.KEY_HELD_BACK, rotation.credential, outcome="held", details=details)]

    def _event(self, before: KeyRotation, after: KeyRotation, more: Details) -> Change:
        run = after.run or before.run
        details: dict[str, str | int | list[str]] = {**more}
        if run is not None:
            said = {"run": run.id, "reason": run.reason, "old_key": run.old_id, "new_key": run.new_id}
            details |= {name: value for name, value in said.items() if value}
            if run.step is RotationStep.CREATING:
                details["tag"] = run.tag
        outcome: str = after.run.step if after.run else (after.last.outcome if after.last else "ended")
        why = (after.run.held or after.run.trouble) if after.run else (after.last.why if after.last else "")
        if why:
            details["why"] = why
        by = replace(SYSTEM, workspace=after.workspace)
        return self._journal.event(by, Action.KEY_ROTATED, after.credential, outcome=outcome, details=details)


def _word(rotation: KeyRotation) -> str:
    return rotation.run.held if rotation.run else ""


def full_names(credentials: Iterable[Credential]) -> tuple[str, ...]:
    """Credentials as people of several workspaces know them apart."""
    return tuple(f"{one.workspace}/{one.id}" for one in credentials)
