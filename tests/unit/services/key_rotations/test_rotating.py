"""A key that is rotated: made, proven, switched, kept for an overlap, revoked, proven dead."""

import pytest
from tests.key_cloud import FIRST, CloudHouse

from keycairn.domain.key_management import KeyCreation
from keycairn.domain.key_rotation.record import RotationOutcome

BY_API = [one for one in KeyCreation if one is not KeyCreation.BY_PERSON]


@pytest.mark.parametrize("creation", BY_API)
async def test_a_rotation_leaves_one_living_key_and_it_is_ours(creation: KeyCreation) -> None:
    house = await CloudHouse.new(creation)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    ended = await house.drive(id)
    assert ended.run is None
    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.DONE
    ours = await house.key_of(id)
    assert ours != FIRST
    assert ours in house.cloud.living
    assert FIRST not in house.cloud.living
    assert len(house.cloud.living) == (2 if creation is KeyCreation.REPLACING else 1)
    assert not [name for name in ended.sealed if "." in name]
