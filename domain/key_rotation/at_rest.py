"""What becomes of a rotation while nothing of it goes on: its key is found, replaced, or brought to this time."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from keycairn.domain.key_management import ListedKey
from keycairn.domain.key_rotation import pace
from keycairn.domain.key_rotation.record import (
    KeyRotation,
    RotationStep,
    Target,
)
from keycairn.domain.key_rotation.run import revised


def in_this_time(rotation: KeyRotation, now: datetime) -> KeyRotation | None:
    """What a clock stored that ran ahead, and was set back, brought to this time; None where there is nothing of it."""
    slack, run = timedelta(seconds=pace.CLOCK_SLACK), rotation.run
    if run is not None and run.since > now + slack:
        shift = now - run.since
        made_by = None if run.made_by is None else run.made_by + shift
        run = replace(run, since=now, due=run.due + shift, made_by=made_by)
    elif run is not None and (run.held or run.step is not RotationStep.OVERLAP):
        run = run if run.due <= now + timedelta(seconds=pace.LONGEST_WAIT) + slack else replace(run, due=now)
    latest = now + timedelta(days=pace.RETRY_DAYS)
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


def replaced(rotation: KeyRotation, now: datetime, fingerprint: str) -> KeyRotation:
    """Somebody stored another key with the credential, and no rotation is under way."""
    return replace(
        rotation,
        fingerprint=fingerprint,
        key_id="",
        confirmed=(),
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


def unbound(rotation: KeyRotation) -> bool:
    """Whether a former version stored it, which did not keep where its account leads."""
    return rotation.bound is None or (rotation.run is not None and rotation.run.bound is None)


def bound(rotation: KeyRotation, now: datetime, here: Target, key_origins: tuple[str, ...]) -> KeyRotation:
    """Such a one, bound to where its account leads now, and its key to where that may be sent to."""
    run = rotation.run
    if run is not None and run.bound is None:
        run = replace(run, bound=here, key_origins=key_origins)
    return replace(revised(rotation, now), run=run, bound=here if rotation.bound is None else rotation.bound)


def found(rotation: KeyRotation, now: datetime, key: ListedKey) -> KeyRotation:
    """The provider's list tells of the key in use."""
    made = key.created if key.created is not None and key.created <= now else rotation.made
    after = revised(rotation, now)
    return replace(after, key_id=key.id, made=made, expires=key.expires, looked=now, trouble="")


def unfound(rotation: KeyRotation, now: datetime, why: str) -> KeyRotation:
    """The list does not tell of it, or could not be read: `why`, where that does not pass by itself."""
    return replace(revised(rotation, now), looked=now, trouble=why)
