"""What a person has to do with a rotation: it waits for one, who makes a key, lets it go on, or calls it off."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from keycairn.domain.errors import KeyRotationStateError
from keycairn.domain.key_rotation import pace
from keycairn.domain.key_rotation.machine import cleaning
from keycairn.domain.key_rotation.record import (
    BEFORE_SWITCH,
    KeyRotation,
    RotationOutcome,
    RotationStep,
)
from keycairn.domain.key_rotation.run import ended, revised, run_of, same_step, stepped


def identified(rotation: KeyRotation, now: datetime, old_id: str) -> KeyRotation:
    """What the provider calls the key that is replaced is known."""
    return same_step(rotation, now, run_of(rotation, RotationStep.AWAITING), old_id=old_id)


def switched_by_hand(rotation: KeyRotation, now: datetime, fingerprint: str) -> KeyRotation:
    """A person stored the new key that was waited for."""
    run_of(rotation, RotationStep.AWAITING)
    after = stepped(
        rotation,
        now,
        RotationStep.SWITCHED,
        new_fingerprint=fingerprint,
        held="",
        due=now + timedelta(seconds=pace.SETTLE),
    )
    return replace(after, fingerprint=fingerprint, key_id="", confirmed=(), made=now, expires=None)


def held(
    rotation: KeyRotation,
    now: datetime,
    why: str,
    *,
    look_after: float = pace.PERSON_LOOKS,
    used_by: tuple[str, ...] = (),
) -> KeyRotation:
    """It waits for a person."""
    run = run_of(rotation)
    return same_step(rotation, now, run, held=why, used_by=used_by, due=now + timedelta(seconds=look_after))


def revoked_early(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """A leaked key was revoked, and a person has yet to store another."""
    return same_step(rotation, now, run_of(rotation, RotationStep.AWAITING), revoked_early=True, due=now)


def released(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """A person saw to what it waited for: it goes on. Raises KeyRotationStateError where it waits for nobody."""
    if rotation.restored:
        return replace(revised(rotation, now), restored=False)
    run = run_of(rotation)
    if not run.held:
        raise KeyRotationStateError("The rotation waits for nobody.")
    if run.step is RotationStep.CREATING:
        return stepped(rotation, now, RotationStep.PLANNED, held="", due=now)
    return same_step(rotation, now, run, held="", used_by=(), unsure=False, due=now)


def cancelled(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """A person calls the rotation off: before the switch, or where it waits for somebody after it.

    What was made at the provider is removed first, unless it came with a backup: then it may be another installation's.
    Raises KeyRotationStateError where the former key is about to go.
    """
    run = run_of(rotation)
    if rotation.restored or run.step is RotationStep.AWAITING:
        return ended(rotation, now, RotationOutcome.CANCELLED, "It was called off.")
    if run.step is RotationStep.CLEANING:
        raise KeyRotationStateError("The rotation is ending already.")
    if run.step in BEFORE_SWITCH:
        return cleaning(rotation, now, "It was called off.", ends_as=RotationOutcome.CANCELLED)
    if not run.held:
        raise KeyRotationStateError("The new key is in use, and the former one is about to be revoked.")
    left = "It was called off: the former key may still work at the provider."
    return ended(rotation, now, RotationOutcome.CANCELLED, left)
