"""Providers that answer what nobody expects, and clocks that jump."""

from datetime import timedelta
from itertools import product

import pytest
from msgspec.structs import replace
from tests.key_cloud import ADMIN, FIRST, CloudHouse, Key
from tests.nights import by_day

from keycairn.domain.audit import IN_PROCESS
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyCreation, KeyOrder, KeyRef, MadeKey
from keycairn.domain.key_rotation.record import KeyRotation, Policy, RotationOutcome, RotationStep
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.ports.http import Http

MAKING = [one for one in KeyCreation if one is not KeyCreation.BY_PERSON]
STEPS = [one for one in RotationStep if one is not RotationStep.AWAITING]
YEAR = timedelta(days=366).total_seconds()


class Answers:
    """A provider that makes keys as it should, and answers with another text; the key it made it lists."""

    def __init__(self, house: CloudHouse, text: str) -> None:
        self._create = house.cloud.create_key
        self._text = text
        house.cloud.create_key = self._made  # type: ignore[method-assign]

    async def _made(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        made = await self._create(manager, order, http)
        return MadeKey(id=made.id, secrets={"api_key": Secret(self._text)})


async def ended(house: CloudHouse, id: CredentialId) -> KeyRotation:
    """The rotation at its end, where a person finds nothing wherever one is asked to look."""
    while (found := await house.drive(id)).run is not None:
        await house.keycairn.key_rotations.resume(id)
    return found


@pytest.mark.parametrize("creation", [KeyCreation.LISTED, KeyCreation.UNLISTED])
@pytest.mark.parametrize("whose", ["our own", "another workspace's", "dead"])
async def test_a_key_that_is_not_a_new_one_is_never_taken_and_none_that_works_is_lost(
    creation: KeyCreation, whose: str
) -> None:
    house = await CloudHouse.new(creation)
    id, theirs = await house.account(), "sk-theirs-0123456789"
    if whose == "another workspace's":
        tenant = replace(IN_PROCESS, workspace="tenant")
        await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret(theirs)}, by=tenant)
    house.cloud.keys_there["theirs"] = Key(theirs, "", house.clock.time)
    text = {"our own": FIRST, "dead": "sk-dead-0123456789"}.get(whose, theirs)
    Answers(house, text)
    await house.keycairn.key_rotations.rotate(id)
    found = await ended(house, id)
    assert found.last is not None
    assert found.last.outcome is RotationOutcome.FAILED
    assert await house.key_of(id) == FIRST
    assert {FIRST, theirs} <= set(house.cloud.living)
    if creation is KeyCreation.LISTED:
        assert set(house.cloud.living) == {FIRST, theirs}


async def test_a_list_without_the_accounts_key_is_another_accounts() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED, tagged=False)
    id = await house.account()
    house.cloud.keys_there = {"theirs": Key("sk-theirs-0123456789", "", house.clock.time)}
    await house.keycairn.key_rotations.rotate(id)
    found = await ended(house, id)
    assert found.last is not None
    assert "None of the keys that are listed" in found.last.why
    assert [*house.cloud.keys_there] == ["theirs"]


async def test_a_key_that_a_person_names_is_found_in_a_list_that_does_not_tell() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED, tagged=False)
    id = await house.account()
    house.cloud.keys_there["key-0"].secret = "sk-hidden-by-provider"  # its list does not tell whose it is
    await house.keycairn.key_rotations.set_up(id, policy=Policy(), key_id="key-0")
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id)
    assert "key-0" not in house.cloud.keys_there


@pytest.mark.parametrize("id_", ["..", ".", "a\nb", "\0", "x" * 513, FIRST, f"id-{FIRST}", ADMIN])
async def test_what_is_no_id_of_a_key_is_refused_and_never_stored(id_: str) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    with pytest.raises(InvalidInputError):
        await house.keycairn.key_rotations.set_up(id, policy=Policy(), key_id=id_)
    assert (await house.rotation(id)).key_id == ""


@pytest.mark.parametrize(("creation", "step"), by_day(product(MAKING, STEPS), one_in=4, unpacked=True))
async def test_a_clock_that_was_a_year_ahead_holds_nothing_up(creation: KeyCreation, step: RotationStep) -> None:
    house = await CloudHouse.new(creation)
    id = await house.account(overlap_hours=1)
    house.clock.tick(YEAR)
    await house.keycairn.key_rotations.rotate(id)
    house.cloud.slow = 1e9 if step is RotationStep.CLEANING else 0.0
    house.cloud.failing = {"create_answer"} if step is RotationStep.CREATING else set()
    if step is RotationStep.REVOKING:
        house.cloud.failing = {"revoke_key"}
    if creation is not KeyCreation.REPLACING or step is not RotationStep.CLEANING:
        await house.drive(id, until=lambda one: one.run is None or one.run.step is step)
    house.cloud.failing = set()
    house.cloud.slow = 0.0
    house.clock.tick(-YEAR)
    for key in house.cloud.keys_there.values():
        key.born = min(key.born, house.clock.time)
    began = house.clock.time
    await house.keycairn.key_rotations.work()
    found = await ended(house, id)
    assert found.last is not None
    assert house.clock.time - began < timedelta(hours=8)
    assert await house.key_of(id) in house.cloud.living
    assert found.made is not None
    assert found.made <= house.clock.time


async def test_a_revocation_names_the_key_and_nothing_else() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    asked: list[KeyRef] = []
    revoke = house.cloud.revoke_key

    async def recorded(manager: Account, key: KeyRef, http: Http) -> None:
        asked.append(key)
        await revoke(manager, key, http)

    house.cloud.revoke_key = recorded  # type: ignore[method-assign]
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id)
    assert {key.id for key in asked} == {"key-0"}
