"""What a person should know of a key whose rotation is set up."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from keycairn.domain.key_rotation.record import KeyRotation, RotationOutcome

PASSES = 2
"""Failures of a step that mostly pass by themselves."""
RESTORED = (
    "It came with a backup, and rests: another installation with the same keys would lose them. Go on with it "
    "(--resume) when that one is gone."
)


def warning(rotation: KeyRotation, now: datetime, *, by_person: bool) -> str:
    """What comes first of it; "" where there is nothing. `by_person`: who makes the next key."""
    return next(_warnings(rotation, now, by_person=by_person), "")


def _warnings(rotation: KeyRotation, now: datetime, *, by_person: bool) -> Iterator[str]:
    run, last, due = rotation.run, rotation.last, rotation.due()
    if rotation.restored:
        yield RESTORED
    if run is not None:
        if run.held:
            yield run.held
        elif run.trouble and run.attempt > PASSES:
            yield f"The rotation is {run.step}: {run.trouble}"
        return
    if last is not None and last.outcome is RotationOutcome.FAILED:
        yield f"The last rotation failed: {last.why}"
    if rotation.trouble:
        yield f"What manages the key does not work: {rotation.trouble}"
    soon = now + timedelta(days=rotation.policy.warn_days)
    if rotation.expires is not None and rotation.expires <= soon:
        yield f"The provider ends the key at {rotation.expires:%Y-%m-%d %H:%M} UTC."
    if due is not None and due <= now:
        yield f"The key was to be rotated by {due:%Y-%m-%d}."
    elif due is not None and by_person and due <= soon:
        yield f"Make another key by {due:%Y-%m-%d}."
