"""A process that ends at any moment of a rotation: the next one leaves one living key, and it is ours."""

import asyncio

import pytest
from tests.key_cloud import FIRST, CloudHouse, Fate, Killed

from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyCreation
from keycairn.domain.key_rotation.record import RotationOutcome, RotationStep

KINDS = [
    (KeyCreation.CHOSEN, True),
    (KeyCreation.LISTED, True),
    (KeyCreation.LISTED, False),
    (KeyCreation.REPLACING, True),
    (KeyCreation.UNLISTED, True),
]


async def killed_at(
    creation: KeyCreation, number: int, *, tagged: bool, after: bool
) -> tuple[CloudHouse, CredentialId, bool]:
    """A rotation whose process ends at that operation; whether it came so far."""
    house = await CloudHouse.new(creation, tagged=tagged)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    house.mortal.fate = Fate(number, after=after)
    try:
        await house.drive(id)
    except Killed:
        return await house.again(), id, True
    return house, id, False


async def left(house: CloudHouse, id: CredentialId) -> None:
    """See that what is left at the provider is one living key, which is ours."""
    ended = await house.drive(id)
    if ended.run is not None:
        assert house.cloud.creation is KeyCreation.UNLISTED
        assert ended.run.step is RotationStep.CREATING
        assert "Revoke it at https://openai.example/keys" in ended.run.held
        for name, key in list(house.cloud.keys_there.items()):  # the person does what is asked
            if key.tag == ended.run.tag:
                del house.cloud.keys_there[name]
        await house.keycairn.key_rotations.resume(id)
        ended = await house.drive(id)
    assert ended.run is None
    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.DONE
    ours = await house.key_of(id)
    living = [key for key in house.cloud.living if not key.startswith("sk-anew")]
    assert living == [ours]
    assert ours != FIRST


@pytest.mark.parametrize(("creation", "tagged"), KINDS)
@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_every_operation(creation: KeyCreation, *, tagged: bool, after: bool) -> None:
    number, came = 0, True
    while came:
        number += 1
        house, id, came = await killed_at(creation, number, tagged=tagged, after=after)
        await left(house, id)
    assert number > 12


@pytest.mark.parametrize("second", range(1, 12))
async def test_killed_again_while_it_recovers(second: int) -> None:
    for first in range(1, 22, 2):
        house, id, _ = await killed_at(KeyCreation.LISTED, first, tagged=True, after=True)
        house.mortal.fate = Fate(second, after=bool(second % 2))
        try:
            await house.drive(id)
        except Killed:
            house = await house.again()
        await left(house, id)


async def test_what_fails_is_tried_until_it_does_not() -> None:
    for method in ("list_keys", "create_key", "create_answer", "revoke_key", "check"):
        house = await CloudHouse.new(KeyCreation.LISTED)
        id = await house.account()
        await house.keycairn.key_rotations.rotate(id)
        house.cloud.failing = {method}
        for _ in range(4):
            run = (await house.rotation(id)).run
            if run is None:
                break
            house.clock.tick(max(0.0, (run.due - house.clock.time).total_seconds()))
            await house.keycairn.key_rotations.work()
        house.cloud.failing = set()
        await left(house, id)


async def test_two_processes_do_each_other_no_harm() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    others = [house, await house.again(), await house.again()]
    for _ in range(200):
        run = (await house.rotation(id)).run
        if run is None:
            break
        house.clock.tick(max(0.0, (run.due - house.clock.time).total_seconds()))
        await asyncio.gather(*(one.keycairn.key_rotations.work() for one in others), return_exceptions=True)
    await left(house, id)
    assert house.cloud.most_alive == 2
