"""The run of a rotation: the one under way, moved to a step, or ended. Each gives the rotation's next version."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from keycairn.domain.errors import KeyRotationStateError
from keycairn.domain.key_rotation import pace
from keycairn.domain.key_rotation.record import (
    KeyRotation,
    LastRun,
    RotationOutcome,
    RotationStep,
    Run,
)

_PAUSING = frozenset({RotationOutcome.FAILED, RotationOutcome.CANCELLED})


def revised(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The next version, with what the caller changed in it."""
    return replace(rotation, updated=now, version=rotation.version + 1)


def run_of(rotation: KeyRotation, *steps: RotationStep) -> Run:
    """The run under way. Raises KeyRotationStateError where there is none, or it is at none of `steps`."""
    run = rotation.run
    if run is None:
        raise KeyRotationStateError("No rotation of this key is under way.")
    if steps and run.step not in steps:
        raise KeyRotationStateError(f"The rotation is {run.step}, and cannot go on so.")
    return run


def with_run(rotation: KeyRotation, run: Run | None, now: datetime) -> KeyRotation:
    """The next version, with that run."""
    return replace(rotation, run=run, updated=now, version=rotation.version + 1)


def stepped(rotation: KeyRotation, now: datetime, step: RotationStep, **changes: object) -> KeyRotation:
    """The run at another step, which is due at once unless `changes` say when."""
    run = run_of(rotation)
    moved = replace(run, **{"due": now, **changes, "step": step, "since": now})
    return with_run(rotation, moved, now)


def same_step(rotation: KeyRotation, now: datetime, run: Run, **changes: object) -> KeyRotation:
    """The run at the step it is at, with what changed in it."""
    return with_run(rotation, replace(run, **changes), now)


def ended(rotation: KeyRotation, now: datetime, outcome: RotationOutcome, why: str) -> KeyRotation:
    """The rotation without a run: nothing of a key is kept, and the policy begins the next one in its time."""
    run = run_of(rotation)
    sealed = {name: text for name, text in rotation.sealed.items() if "." not in name}
    policy = rotation.policy
    if outcome is not RotationOutcome.FAILED and policy.at is not None and policy.at <= now:
        policy = replace(policy, at=None)
    return replace(
        with_run(rotation, None, now),
        sealed=sealed,
        policy=policy,
        last=LastRun(id=run.id, outcome=outcome, at=now, why=why),
        retry=now + timedelta(days=pace.RETRY_DAYS) if outcome in _PAUSING else None,
        leaked=run.again,
        closes=run.again and run.closes,
    )
