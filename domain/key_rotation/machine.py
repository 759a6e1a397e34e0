"""The steps of a rotation: each function gives the rotation as it goes on after something happened. Pure.

The caller stores what it gets before it does what the new step stands for; a process may end between any two.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from keycairn.domain.errors import KeyRotationStateError
from keycairn.domain.key_management import KeyCreation
from keycairn.domain.key_rotation import pace
from keycairn.domain.key_rotation.record import (
    BEFORE_SWITCH,
    KeyRotation,
    Reason,
    RotationOutcome,
    RotationStep,
    Run,
)
from keycairn.domain.key_rotation.run import ended, run_of, same_step, stepped, with_run


def begun(
    rotation: KeyRotation,
    run_id: str,
    reason: Reason,
    now: datetime,
    *,
    fingerprint: str,
    old_id: str,
    creation: KeyCreation,
) -> KeyRotation:
    """A rotation begins. Raises KeyRotationStateError where one is under way."""
    if rotation.run is not None:
        raise KeyRotationStateError("A rotation of this key is under way.")
    step = RotationStep.AWAITING if creation is KeyCreation.BY_PERSON else RotationStep.PLANNED
    run = Run(
        id=run_id,
        step=step,
        reason=reason,
        started=now,
        since=now,
        due=now,
        fingerprint=fingerprint,
        old_id=old_id,
    )
    return replace(with_run(rotation, run, now), leaked=False, closes=False, restored=False)


def hurried(rotation: KeyRotation, now: datetime, *, closes: bool) -> KeyRotation:
    """A key leaked while a rotation is under way: the former one is revoked as soon as the credentials have another.

    After the switch it may as well be the key in use that leaked, so another rotation follows, as it does where this
    one is given up. Who asks for a key meanwhile keeps the time for it.
    """
    run = run_of(rotation)
    again = run.again or (run.step not in BEFORE_SWITCH and run.reason is not Reason.LEAKED)
    due = run.due if run.step in {RotationStep.CREATING, RotationStep.CLEANING} else now
    hurry = replace(run, reason=Reason.LEAKED, due=due, closes=run.closes or closes, again=again)
    return replace(with_run(rotation, hurry, now), restored=False)


def intended(rotation: KeyRotation, now: datetime, *, old_id: str, listed: tuple[str, ...], maker: str) -> KeyRotation:
    """A key is about to be asked for. `listed` are the keys there are, `maker` is who asks."""
    run = run_of(rotation, RotationStep.PLANNED)
    return stepped(
        rotation,
        now,
        RotationStep.CREATING,
        old_id=run.old_id or old_id,
        listed=listed,
        tries=run.tries + 1,
        maker=maker,
        made_by=now + timedelta(seconds=pace.MAKE_WITHIN),
        due=now + timedelta(seconds=pace.MAKE_WITHIN),
    )


def refused(rotation: KeyRotation, now: datetime, why: str, *, wait: float | None = None, final: bool) -> KeyRotation:
    """The provider refused to make a key, so there is none. `final`: asking again is of no use."""
    run = run_of(rotation, RotationStep.PLANNED, RotationStep.CREATING)
    if final or run.attempt + 1 >= pace.MOST_REFUSALS:
        return cleaning(rotation, now, why)
    pause = max(pace.pause(run.attempt), min(wait or 0.0, pace.LONGEST_WAIT))
    return stepped(
        rotation,
        now,
        RotationStep.PLANNED,
        attempt=run.attempt + 1,
        trouble=why,
        due=now + timedelta(seconds=pause),
    )


def unclear(rotation: KeyRotation, now: datetime, why: str) -> KeyRotation:
    """Whether there is a new key is not known: it is not asked for again before the keys were looked at."""
    run = run_of(rotation, RotationStep.CREATING)
    return same_step(
        rotation, now, run, maker="", made_by=None, looks=0, trouble=why, due=now + timedelta(seconds=pace.LOOK_AFTER)
    )


def looked(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The keys were listed, and none is left of the creation that was cut off."""
    run = run_of(rotation, RotationStep.CREATING)
    if run.looks + 1 >= pace.LOOKS:
        return stepped(rotation, now, RotationStep.PLANNED, looks=0, due=now)
    return same_step(rotation, now, run, looks=run.looks + 1, due=now + timedelta(seconds=pace.LOOK_AGAIN))


def repeatable(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """A creation that was cut off may be asked for again as it is."""
    run_of(rotation, RotationStep.CREATING)
    return stepped(rotation, now, RotationStep.PLANNED, due=now)


def made(
    rotation: KeyRotation,
    now: datetime,
    *,
    new_id: str,
    new_fingerprint: str,
    expires: datetime | None,
) -> KeyRotation:
    """The new key is sealed here."""
    run_of(rotation, RotationStep.CREATING)
    return stepped(
        rotation,
        now,
        RotationStep.CREATED,
        new_id=new_id,
        new_fingerprint=new_fingerprint,
        expires=expires,
        maker="",
        made_by=None,
        attempt=0,
        trouble="",
    )


def proof(rotation: KeyRotation, now: datetime, *, good: bool, why: str = "", within: float) -> KeyRotation:
    """The new key was tried. One that does not work `within` seconds is given up."""
    run = run_of(rotation, RotationStep.CREATED)
    if good and run.proofs + 1 >= pace.PROOFS:
        return stepped(rotation, now, RotationStep.PROVEN, attempt=0, proofs=0, trouble="")
    if good:
        return same_step(rotation, now, run, proofs=run.proofs + 1, due=now + timedelta(seconds=pace.BETWEEN_PROOFS))
    if (now - run.since).total_seconds() > within:
        return cleaning(rotation, now, f"The new key did not work within {within:g} seconds: {why}")
    pause = min(pace.pause(run.attempt), 30.0)
    due = now + timedelta(seconds=pause)
    return same_step(rotation, now, run, proofs=0, attempt=run.attempt + 1, trouble=why, due=due)


def switched(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The credentials have the new key."""
    run = run_of(rotation, RotationStep.PROVEN)
    after = stepped(rotation, now, RotationStep.SWITCHED, due=now + timedelta(seconds=pace.SETTLE))
    return replace(after, fingerprint=run.new_fingerprint, key_id=run.new_id, made=now, expires=run.expires)


def settled(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """Every instance knows of the switch: the overlap begins, which a leaked key does not have."""
    run = run_of(rotation, RotationStep.SWITCHED)
    hours = 0.0 if run.reason is Reason.LEAKED else rotation.policy.overlap_hours
    return stepped(rotation, now, RotationStep.OVERLAP, due=now + timedelta(hours=hours))


def revoking(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The former key is about to be revoked."""
    run_of(rotation, RotationStep.OVERLAP, RotationStep.REVOKED)
    return stepped(rotation, now, RotationStep.REVOKING, held="", used_by=(), attempt=0, due=now)


def revoked(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The provider says that the former key is revoked."""
    run_of(rotation, RotationStep.REVOKING)
    return stepped(rotation, now, RotationStep.REVOKED, held="", used_by=(), trouble="", attempt=0, looks=0, proofs=0)


def death(rotation: KeyRotation, now: datetime, *, dead: bool, within: float) -> KeyRotation:
    """The former key was looked at. One that still works after `within` seconds is revoked again."""
    run = run_of(rotation, RotationStep.REVOKED)
    if dead and run.proofs + 1 >= pace.PROOFS:
        return ended(rotation, now, RotationOutcome.DONE, "")
    if dead:
        return same_step(rotation, now, run, proofs=run.proofs + 1, due=now + timedelta(seconds=pace.BETWEEN_PROOFS))
    if (now - run.since).total_seconds() > within:
        return replace(
            revoking(rotation, now),
            run=replace(
                run_of(revoking(rotation, now)),
                trouble="The former key still works.",
                due=now + timedelta(seconds=min(within, pace.LONGEST_PAUSE)),
            ),
        )
    due = now + timedelta(seconds=min(pace.pause(run.attempt), 60.0))
    return same_step(rotation, now, run, proofs=0, attempt=run.attempt + 1, due=due)


def cleaning(
    rotation: KeyRotation, now: datetime, why: str, *, ends_as: RotationOutcome = RotationOutcome.FAILED
) -> KeyRotation:
    """The rotation is given up before the switch: what it made is removed.

    That begins when whoever asks for a key has no time left for it, so that none appears afterwards.
    """
    run = run_of(rotation, *BEFORE_SWITCH)
    unsure = run.step is RotationStep.CREATING
    due = max(now, run.made_by or now) if unsure else now
    return stepped(
        rotation,
        now,
        RotationStep.CLEANING,
        why=why,
        ends_as=ends_as,
        unsure=unsure,
        held="",
        attempt=0,
        looks=0,
        maker="",
        due=due,
    )


def cleaned(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """A look at the provider found nothing of the rotation."""
    run = run_of(rotation, RotationStep.CLEANING)
    needed = pace.LOOKS if run.tries else 1
    if run.looks + 1 < needed:
        return same_step(rotation, now, run, looks=run.looks + 1, due=now + timedelta(seconds=pace.LOOK_AFTER))
    return ended(rotation, now, run.ends_as, run.why)


def troubled(rotation: KeyRotation, now: datetime, why: str, *, wait: float | None = None) -> KeyRotation:
    """What this step stands for failed, and is tried again later."""
    run = run_of(rotation)
    pause = max(pace.pause(run.attempt), min(wait or 0.0, pace.LONGEST_WAIT))
    due = now + timedelta(seconds=pause)
    return same_step(rotation, now, run, attempt=run.attempt + 1, trouble=why, looks=0, proofs=0, due=due)


def given_up(rotation: KeyRotation, now: datetime, why: str) -> KeyRotation:
    """A rotation that has nothing at the provider to remove ends without."""
    return ended(rotation, now, run_of(rotation).ends_as, why)
