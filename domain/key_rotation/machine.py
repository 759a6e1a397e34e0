"""The steps of a rotation: each function gives the rotation as it goes on after something happened. Pure.

The caller stores what it gets before it does what the new step stands for; a process may end between any two.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from keycairn.domain.errors import KeyRotationStateError
from keycairn.domain.key_management import KeyCreation, ListedKey
from keycairn.domain.key_rotation.record import (
    BEFORE_SWITCH,
    KeyRotation,
    LastRun,
    Reason,
    RotationOutcome,
    RotationStep,
    Run,
)

MAKE_WITHIN = 120.0
"""Seconds whoever began a creation has for it; afterwards anybody takes it for cut off."""
LOOK_AFTER, LOOK_AGAIN = 30.0, 60.0
"""Seconds after a creation was cut off until the keys are listed, and between two such looks."""
LOOKS = 2
"""Looks in a row that have to find nothing, before nothing is believed to be there."""
PROOFS = 2
"""How often in a row a new key has to work, and a former one to be refused."""
BETWEEN_PROOFS = 2.0
"""Seconds."""
SETTLE = 5.0
"""Seconds after the switch in which other instances come to know of it, and calls that opened the key begin."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
"""Seconds before something that failed is tried again, doubled each time."""
MOST_REFUSALS = 6
"""How often a creation may be refused before the rotation ends."""
MOST_TRIES = 6
"""How often a creation may be begun."""
RETRY_DAYS = 1
"""Days after a failure, or after somebody called a rotation off, in which the policy begins nothing."""
_PAUSING = frozenset({RotationOutcome.FAILED, RotationOutcome.CANCELLED})
LONGEST_WAIT = 86_400.0
"""Seconds that a provider may ask to wait."""
CLOCK_SLACK = 3600.0
"""Seconds by which the clocks of instances may differ; beyond that a step was stored by a clock that was wrong."""
PERSON_LOOKS = 3600.0
"""Seconds between two looks at what a person is asked for."""


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
    return replace(_with(rotation, run, now), leaked=False, closes=False, restored=False)


def hurried(rotation: KeyRotation, now: datetime, *, closes: bool) -> KeyRotation:
    """A key leaked while a rotation is under way: the former one is revoked as soon as the credentials have another.

    After the switch it may as well be the key in use that leaked, so another rotation follows, as it does where this
    one is given up. Who asks for a key meanwhile keeps the time for it.
    """
    run = _run(rotation)
    again = run.again or (run.step not in BEFORE_SWITCH and run.reason is not Reason.LEAKED)
    due = run.due if run.step in {RotationStep.CREATING, RotationStep.CLEANING} else now
    hurry = replace(run, reason=Reason.LEAKED, due=due, closes=run.closes or closes, again=again)
    return replace(_with(rotation, hurry, now), restored=False)


def identified(rotation: KeyRotation, now: datetime, old_id: str) -> KeyRotation:
    """What the provider calls the key that is replaced is known."""
    return _same_step(rotation, now, _run(rotation, RotationStep.AWAITING), old_id=old_id)


def intended(rotation: KeyRotation, now: datetime, *, old_id: str, listed: tuple[str, ...], maker: str) -> KeyRotation:
    """A key is about to be asked for. `listed` are the keys there are, `maker` is who asks."""
    run = _run(rotation, RotationStep.PLANNED)
    return _stepped(
        rotation,
        now,
        RotationStep.CREATING,
        old_id=run.old_id or old_id,
        listed=listed,
        tries=run.tries + 1,
        maker=maker,
        made_by=now + timedelta(seconds=MAKE_WITHIN),
        due=now + timedelta(seconds=MAKE_WITHIN),
    )


def refused(rotation: KeyRotation, now: datetime, why: str, *, wait: float | None = None, final: bool) -> KeyRotation:
    """The provider refused to make a key, so there is none. `final`: asking again is of no use."""
    run = _run(rotation, RotationStep.PLANNED, RotationStep.CREATING)
    if final or run.attempt + 1 >= MOST_REFUSALS:
        return cleaning(rotation, now, why)
    pause = max(_pause(run.attempt), min(wait or 0.0, LONGEST_WAIT))
    return _stepped(
        rotation,
        now,
        RotationStep.PLANNED,
        attempt=run.attempt + 1,
        trouble=why,
        due=now + timedelta(seconds=pause),
    )


def unclear(rotation: KeyRotation, now: datetime, why: str) -> KeyRotation:
    """Whether there is a new key is not known: it is not asked for again before the keys were looked at."""
    run = _run(rotation, RotationStep.CREATING)
    return _same_step(
        rotation, now, run, maker="", made_by=None, looks=0, trouble=why, due=now + timedelta(seconds=LOOK_AFTER)
    )


def looked(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The keys were listed, and none is left of the creation that was cut off."""
    run = _run(rotation, RotationStep.CREATING)
    if run.looks + 1 >= LOOKS:
        return _stepped(rotation, now, RotationStep.PLANNED, looks=0, due=now)
    return _same_step(rotation, now, run, looks=run.looks + 1, due=now + timedelta(seconds=LOOK_AGAIN))


def repeatable(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """A creation that was cut off may be asked for again as it is."""
    _run(rotation, RotationStep.CREATING)
    return _stepped(rotation, now, RotationStep.PLANNED, due=now)


def made(
    rotation: KeyRotation,
    now: datetime,
    *,
    new_id: str,
    new_fingerprint: str,
    expires: datetime | None,
) -> KeyRotation:
    """The new key is sealed here."""
    _run(rotation, RotationStep.CREATING)
    return _stepped(
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
    run = _run(rotation, RotationStep.CREATED)
    if good and run.proofs + 1 >= PROOFS:
        return _stepped(rotation, now, RotationStep.PROVEN, attempt=0, proofs=0, trouble="")
    if good:
        return _same_step(rotation, now, run, proofs=run.proofs + 1, due=now + timedelta(seconds=BETWEEN_PROOFS))
    if (now - run.since).total_seconds() > within:
        return cleaning(rotation, now, f"The new key did not work within {within:g} seconds: {why}")
    pause = min(_pause(run.attempt), 30.0)
    due = now + timedelta(seconds=pause)
    return _same_step(rotation, now, run, proofs=0, attempt=run.attempt + 1, trouble=why, due=due)


def switched(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The credentials have the new key."""
    run = _run(rotation, RotationStep.PROVEN)
    after = _stepped(rotation, now, RotationStep.SWITCHED, due=now + timedelta(seconds=SETTLE))
    return replace(after, fingerprint=run.new_fingerprint, key_id=run.new_id, made=now, expires=run.expires)


def switched_by_hand(rotation: KeyRotation, now: datetime, fingerprint: str) -> KeyRotation:
    """A person stored the new key that was waited for."""
    _run(rotation, RotationStep.AWAITING)
    after = _stepped(
        rotation, now, RotationStep.SWITCHED, new_fingerprint=fingerprint, held="", due=now + timedelta(seconds=SETTLE)
    )
    return replace(after, fingerprint=fingerprint, key_id="", made=now, expires=None)


def settled(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """Every instance knows of the switch: the overlap begins, which a leaked key does not have."""
    run = _run(rotation, RotationStep.SWITCHED)
    hours = 0.0 if run.reason is Reason.LEAKED else rotation.policy.overlap_hours
    return _stepped(rotation, now, RotationStep.OVERLAP, due=now + timedelta(hours=hours))


def revoking(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The former key is about to be revoked."""
    _run(rotation, RotationStep.OVERLAP, RotationStep.REVOKED)
    return _stepped(rotation, now, RotationStep.REVOKING, held="", used_by=(), attempt=0, due=now)


def revoked(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The provider says that the former key is revoked."""
    _run(rotation, RotationStep.REVOKING)
    return _stepped(rotation, now, RotationStep.REVOKED, held="", used_by=(), trouble="", attempt=0, looks=0, proofs=0)


def death(rotation: KeyRotation, now: datetime, *, dead: bool, within: float) -> KeyRotation:
    """The former key was looked at. One that still works after `within` seconds is revoked again."""
    run = _run(rotation, RotationStep.REVOKED)
    if dead and run.proofs + 1 >= PROOFS:
        return _ended(rotation, now, RotationOutcome.DONE, "")
    if dead:
        return _same_step(rotation, now, run, proofs=run.proofs + 1, due=now + timedelta(seconds=BETWEEN_PROOFS))
    if (now - run.since).total_seconds() > within:
        return replace(
            revoking(rotation, now),
            run=replace(
                _run(revoking(rotation, now)),
                trouble="The former key still works.",
                due=now + timedelta(seconds=min(within, LONGEST_PAUSE)),
            ),
        )
    due = now + timedelta(seconds=min(_pause(run.attempt), 60.0))
    return _same_step(rotation, now, run, proofs=0, attempt=run.attempt + 1, due=due)


def cleaning(
    rotation: KeyRotation, now: datetime, why: str, *, ends_as: RotationOutcome = RotationOutcome.FAILED
) -> KeyRotation:
    """The rotation is given up before the switch: what it made is removed.

    That begins when whoever asks for a key has no time left for it, so that none appears afterwards.
    """
    run = _run(rotation, *BEFORE_SWITCH)
    unsure = run.step is RotationStep.CREATING
    due = max(now, run.made_by or now) if unsure else now
    return _stepped(
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
    run = _run(rotation, RotationStep.CLEANING)
    needed = LOOKS if run.tries else 1
    if run.looks + 1 < needed:
        return _same_step(rotation, now, run, looks=run.looks + 1, due=now + timedelta(seconds=LOOK_AFTER))
    return _ended(rotation, now, run.ends_as, run.why)


def troubled(rotation: KeyRotation, now: datetime, why: str, *, wait: float | None = None) -> KeyRotation:
    """What this step stands for failed, and is tried again later."""
    run = _run(rotation)
    pause = max(_pause(run.attempt), min(wait or 0.0, LONGEST_WAIT))
    due = now + timedelta(seconds=pause)
    return _same_step(rotation, now, run, attempt=run.attempt + 1, trouble=why, looks=0, proofs=0, due=due)


def held(
    rotation: KeyRotation,
    now: datetime,
    why: str,
    *,
    look_after: float = PERSON_LOOKS,
    used_by: tuple[str, ...] = (),
) -> KeyRotation:
    """It waits for a person."""
    run = _run(rotation)
    return _same_step(rotation, now, run, held=why, used_by=used_by, due=now + timedelta(seconds=look_after))


def revoked_early(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """A leaked key was revoked, and a person has yet to store another."""
    return _same_step(rotation, now, _run(rotation, RotationStep.AWAITING), revoked_early=True, due=now)


def in_this_time(rotation: KeyRotation, now: datetime) -> KeyRotation | None:
    """What a clock stored that ran ahead, and was set back, brought to this time; None where there is nothing of it."""
    slack, run = timedelta(seconds=CLOCK_SLACK), rotation.run
    if run is not None and run.since > now + slack:
        shift = now - run.since
        made_by = None if run.made_by is None else run.made_by + shift
        run = replace(run, since=now, due=run.due + shift, made_by=made_by)
    elif run is not None and (run.held or run.step is not RotationStep.OVERLAP):
        run = run if run.due <= now + timedelta(seconds=LONGEST_WAIT) + slack else replace(run, due=now)
    latest = now + timedelta(days=RETRY_DAYS)
    after = replace(
        rotation,
        run=run,
        made=now if rotation.made is not None and rotation.made > now + slack else rotation.made,
        retry=latest if rotation.retry is not None and rotation.retry > latest + slack else rotation.retry,
    )
    return None if after == rotation else revised(after, now)


def rested(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """It came with a backup: nothing is asked of the provider before somebody says that nobody else does."""
    return replace(revised(rotation, now), restored=True)


def released(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """A person saw to what it waited for: it goes on. Raises KeyRotationStateError where it waits for nobody."""
    if rotation.restored:
        return replace(revised(rotation, now), restored=False)
    run = _run(rotation)
    if not run.held:
        raise KeyRotationStateError("The rotation waits for nobody.")
    if run.step is RotationStep.CREATING:
        return _stepped(rotation, now, RotationStep.PLANNED, held="", due=now)
    return _same_step(rotation, now, run, held="", used_by=(), unsure=False, due=now)


def cancelled(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """A person calls the rotation off: before the switch, or where it waits for somebody after it.

    What was made at the provider is removed first, unless it came with a backup: then it may be another installation's.
    Raises KeyRotationStateError where the former key is about to go.
    """
    run = _run(rotation)
    if rotation.restored or run.step is RotationStep.AWAITING:
        return _ended(rotation, now, RotationOutcome.CANCELLED, "It was called off.")
    if run.step is RotationStep.CLEANING:
        raise KeyRotationStateError("The rotation is ending already.")
    if run.step in BEFORE_SWITCH:
        return cleaning(rotation, now, "It was called off.", ends_as=RotationOutcome.CANCELLED)
    if not run.held:
        raise KeyRotationStateError("The new key is in use, and the former one is about to be revoked.")
    left = "It was called off: the former key may still work at the provider."
    return _ended(rotation, now, RotationOutcome.CANCELLED, left)


def given_up(rotation: KeyRotation, now: datetime, why: str) -> KeyRotation:
    """A rotation that has nothing at the provider to remove ends without."""
    return _ended(rotation, now, _run(rotation).ends_as, why)


def replaced(rotation: KeyRotation, now: datetime, fingerprint: str) -> KeyRotation:
    """Somebody stored another key with the credential, and no rotation is under way."""
    return replace(
        rotation,
        fingerprint=fingerprint,
        key_id="",
        made=now,
        expires=None,
        retry=None,
        leaked=False,
        closes=False,
        looked=None,
        trouble="",
        updated=now,
        version=rotation.version + 1,
    )


def found(rotation: KeyRotation, now: datetime, key: ListedKey) -> KeyRotation:
    """The provider's list tells of the key in use."""
    made = key.created if key.created is not None and key.created <= now else rotation.made
    after = revised(rotation, now)
    return replace(after, key_id=key.id, made=made, expires=key.expires, looked=now, trouble="")


def unfound(rotation: KeyRotation, now: datetime, why: str) -> KeyRotation:
    """The list does not tell of it, or could not be read: `why`, where that does not pass by itself."""
    return replace(revised(rotation, now), looked=now, trouble=why)


def revised(rotation: KeyRotation, now: datetime) -> KeyRotation:
    """The next version, with what the caller changed in it."""
    return replace(rotation, updated=now, version=rotation.version + 1)


def _run(rotation: KeyRotation, *steps: RotationStep) -> Run:
    run = rotation.run
    if run is None:
        raise KeyRotationStateError("No rotation of this key is under way.")
    if steps and run.step not in steps:
        raise KeyRotationStateError(f"The rotation is {run.step}, and cannot go on so.")
    return run


def _with(rotation: KeyRotation, run: Run | None, now: datetime) -> KeyRotation:
    return replace(rotation, run=run, updated=now, version=rotation.version + 1)


def _stepped(rotation: KeyRotation, now: datetime, step: RotationStep, **changes: object) -> KeyRotation:
    run = _run(rotation)
    moved = replace(run, **{"due": now, **changes, "step": step, "since": now})
    return _with(rotation, moved, now)


def _same_step(rotation: KeyRotation, now: datetime, run: Run, **changes: object) -> KeyRotation:
    return _with(rotation, replace(run, **changes), now)


def _ended(rotation: KeyRotation, now: datetime, outcome: RotationOutcome, why: str) -> KeyRotation:
    run = _run(rotation)
    sealed = {name: text for name, text in rotation.sealed.items() if "." not in name}
    policy = rotation.policy
    if outcome is not RotationOutcome.FAILED and policy.at is not None and policy.at <= now:
        policy = replace(policy, at=None)
    return replace(
        _with(rotation, None, now),
        sealed=sealed,
        policy=policy,
        last=LastRun(id=run.id, outcome=outcome, at=now, why=why),
        retry=now + timedelta(days=RETRY_DAYS) if outcome in _PAUSING else None,
        leaked=run.again,
        closes=run.again and run.closes,
    )


def _pause(attempt: int) -> float:
    return float(min(FIRST_PAUSE * 2 ** min(attempt, 12), LONGEST_PAUSE))
