"""A rotation that is called off: at which steps, and what is left of it."""

from datetime import timedelta
from functools import partial

import pytest
from tests.key_cloud import FIRST, CloudHouse

from keycairn.domain.errors import KeyRotationNotFoundError, KeyRotationStateError
from keycairn.domain.key_management import KeyCreation
from keycairn.domain.key_rotation.record import KeyRotation, RotationOutcome, RotationStep
from keycairn.domain.secret import Secret


def at_step(step: RotationStep, one: KeyRotation) -> bool:
    return one.run is not None and one.run.step is step


@pytest.mark.parametrize("step", [RotationStep.PLANNED, RotationStep.CREATED, RotationStep.PROVEN])
async def test_before_the_switch_the_former_key_stays_and_nothing_else_is_left(step: RotationStep) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(every_days=30)
    house.clock.tick(timedelta(days=31).total_seconds())
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id, until=partial(at_step, step))

    await house.keycairn.key_rotations.cancel(id)
    with pytest.raises(KeyRotationStateError, match="ending already"):
        await house.keycairn.key_rotations.cancel(id)
    ended = await house.drive(id)

    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.CANCELLED
    assert house.cloud.living == [FIRST]
    assert await house.key_of(id) == FIRST
    await house.keycairn.key_rotations.work()
    assert (await house.rotation(id)).run is None, "the policy waits a day"
    house.clock.tick(timedelta(days=1, seconds=1).total_seconds())
    await house.keycairn.key_rotations.work()
    assert (await house.rotation(id)).run is not None


async def test_one_that_waits_for_a_new_key_of_a_person_ends_at_once() -> None:
    house = await CloudHouse.new(KeyCreation.BY_PERSON)
    made = await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret(FIRST)})
    await house.keycairn.key_rotations.leaked(made.credential.id, may_close=False)
    assert (await house.drive(made.credential.id)).run is not None

    shown = await house.keycairn.key_rotations.cancel(made.credential.id)

    assert shown.rotation.run is None
    assert shown.warning == ""
    assert await house.key_of(made.credential.id) == FIRST


async def test_after_the_switch_only_while_it_waits_for_a_person() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(overlap_hours=24)
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id, until=partial(at_step, RotationStep.OVERLAP))
    with pytest.raises(KeyRotationStateError, match="about to be revoked"):
        await house.keycairn.key_rotations.cancel(id)
    assert (await house.drive(id)).run is None
    with pytest.raises(KeyRotationStateError, match="No rotation"):
        await house.keycairn.key_rotations.cancel(id)


async def test_where_no_rotation_is_set_up_there_is_nothing_to_call_off() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    made = await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret(FIRST)})
    with pytest.raises(KeyRotationNotFoundError):
        await house.keycairn.key_rotations.cancel(made.credential.id)
