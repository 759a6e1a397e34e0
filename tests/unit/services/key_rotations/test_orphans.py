"""What is left at the provider when a rotation is called off, hurried or edited at any of its steps."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.key_cloud import FIRST, CloudHouse

from keycairn.domain.audit import IN_PROCESS
from keycairn.domain.errors import KeyRotationStateError
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyCreation, KeyOrder, MadeKey
from keycairn.domain.key_rotation.record import KeyRotation, RotationOutcome, RotationStep
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.ports.http import Http

MAKING = [one for one in KeyCreation if one is not KeyCreation.BY_PERSON]
EARLY = (RotationStep.PLANNED, RotationStep.CREATING, RotationStep.CREATED, RotationStep.PROVEN)


async def at(house: CloudHouse, id: CredentialId, step: RotationStep) -> KeyRotation:
    """The rotation at that step; a creation is one whose answer was lost."""
    if step is RotationStep.CREATING:
        house.cloud.failing = {"create_answer"}
    found = await house.drive(id, until=lambda one: one.run is not None and one.run.step is step)
    house.cloud.failing = set()
    return found


@pytest.mark.parametrize("creation", MAKING)
@pytest.mark.parametrize("step", EARLY)
async def test_it_ends_with_the_former_key_and_nothing_is_left_at_the_provider(
    creation: KeyCreation, step: RotationStep
) -> None:
    house = await CloudHouse.new(creation)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    tag = run.tag if (run := (await at(house, id, step)).run) else ""
    await house.keycairn.key_rotations.cancel(id)
    ended = await house.drive(id)
    if ended.run is not None:  # a key that is neither listed nor chosen by us: a person looks
        assert (creation, step) == (KeyCreation.UNLISTED, RotationStep.CREATING)
        assert "Revoke it at https://openai.example/keys" in ended.run.held
        house.cloud.keys_there = {name: key for name, key in house.cloud.keys_there.items() if key.tag != tag}
        await house.keycairn.key_rotations.resume(id)
        ended = await house.drive(id)
    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.CANCELLED
    assert await house.key_of(id) == FIRST
    assert FIRST in house.cloud.living
    assert len(house.cloud.living) == (2 if creation is KeyCreation.REPLACING else 1)
    assert not [name for name in ended.sealed if "." in name]


async def test_a_reminder_is_called_off_and_comes_back_after_a_day() -> None:
    house = await CloudHouse.new(KeyCreation.BY_PERSON)
    id = await house.account(every_days=30)
    house.clock.tick(timedelta(days=31).total_seconds())
    await house.keycairn.key_rotations.work()
    await house.drive(id)
    await house.keycairn.key_rotations.cancel(id)
    await house.keycairn.key_rotations.work()
    assert (await house.rotation(id)).run is None
    with pytest.raises(KeyRotationStateError):
        await house.keycairn.key_rotations.cancel(id)
    house.clock.tick(timedelta(days=1).total_seconds() + 1)
    await house.keycairn.key_rotations.work()
    assert (await house.rotation(id)).run is not None


async def test_a_reminder_comes_before_it_is_due() -> None:
    house = await CloudHouse.new(KeyCreation.BY_PERSON)
    id = await house.account(every_days=30, warn_days=7)
    shown = await house.keycairn.key_rotations.get(id, workspace="default")
    assert shown.warning == ""
    house.clock.tick(timedelta(days=24).total_seconds())
    shown = await house.keycairn.key_rotations.get(id, workspace="default")
    assert shown.warning.startswith("Make another key by ")


class Meanwhile:
    """Does something while a provider makes a key, before its answer comes."""

    def __init__(self, house: CloudHouse, does: str, id: CredentialId) -> None:
        self._house = house
        self._does = does
        self._id = id
        self._create = house.cloud.create_key
        house.cloud.create_key = self._made  # type: ignore[method-assign]

    async def _made(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        self._house.cloud.create_key = self._create  # type: ignore[method-assign]
        made = await self._create(manager, order, http)
        rotations = self._house.keycairn.key_rotations
        if self._does == "cancel":
            await rotations.cancel(self._id)
        elif self._does == "leak":
            await rotations.leaked(self._id)
            other = await self._house.again()  # another instance looks at what is due
            await asyncio.wait_for(other.keycairn.key_rotations.work(), 5)
        else:
            shown = await rotations.get(self._id, workspace="default")
            await rotations.set_up(self._id, policy=replace(shown.rotation.policy, warn_days=3))
        return made


@pytest.mark.parametrize("creation", MAKING)
@pytest.mark.parametrize("does", ["cancel", "leak", "edit"])
async def test_a_key_that_comes_after_the_record_was_edited_is_kept_or_revoked(
    creation: KeyCreation, does: str
) -> None:
    house = await CloudHouse.new(creation)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    Meanwhile(house, does, id)
    ended = await house.drive(id)
    if ended.run is not None:
        assert (creation, does) == (KeyCreation.UNLISTED, "cancel")
        await house.keycairn.key_rotations.resume(id)
        ended = await house.drive(id)
    assert ended.last is not None
    assert ended.last.outcome is (RotationOutcome.CANCELLED if does == "cancel" else RotationOutcome.DONE)
    assert ended.last.id
    assert await house.key_of(id) in house.cloud.living
    assert len(house.cloud.living) == (2 if creation is KeyCreation.REPLACING else 1)
    assert (await house.key_of(id) == FIRST) is (does == "cancel")


async def twins(house: CloudHouse) -> Sequence[CredentialId]:
    return [await house.account(name="one", overlap_hours=240), await house.account(name="two", overlap_hours=240)]


@pytest.mark.parametrize("step", [*EARLY, RotationStep.OVERLAP])
async def test_one_leak_has_one_answer_whichever_credential_it_is_told_of(step: RotationStep) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    one, two = await twins(house)
    await house.keycairn.key_rotations.rotate(one)
    await at(house, one, step)
    shown = await house.keycairn.key_rotations.leaked(two)
    assert shown.rotation.credential == two
    assert shown.rotation.run is not None
    began = house.clock.time
    await house.drive(one)
    assert FIRST not in house.cloud.living
    assert house.clock.time - began < timedelta(minutes=10)
    await house.keycairn.key_rotations.work()
    await house.drive(one)
    assert await house.key_of(one) == await house.key_of(two)
    assert house.cloud.living == [await house.key_of(one)]


@pytest.mark.parametrize("step", [RotationStep.OVERLAP, RotationStep.CLEANING])
async def test_a_leak_after_the_switch_may_be_of_the_key_in_use_so_that_is_replaced_too(step: RotationStep) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(overlap_hours=240)
    house.cloud.slow = 1e9 if step is RotationStep.CLEANING else 0.0
    await house.keycairn.key_rotations.rotate(id)
    await at(house, id, step)
    house.cloud.slow = 0.0
    in_use = await house.key_of(id)
    await house.keycairn.key_rotations.leaked(id)
    await house.keycairn.key_rotations.leaked(id)  # told twice
    first = await house.drive(id)
    assert first.leaked
    assert await house.keycairn.key_rotations.work()
    assert (await house.drive(id)).last is not None
    assert in_use not in house.cloud.living
    assert house.cloud.living == [await house.key_of(id)]
    await house.keycairn.key_rotations.work()
    assert (await house.rotation(id)).run is None


async def test_a_leaked_key_that_another_workspace_uses_is_not_revoked_either() -> None:
    house = await CloudHouse.new(KeyCreation.BY_PERSON, revokes=True)
    theirs = replace(IN_PROCESS, workspace="tenant")
    other = await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret(FIRST)}, by=theirs)
    id = await house.account()
    await house.keycairn.key_rotations.leaked(id)
    waiting = await house.drive(id)
    assert FIRST in house.cloud.living
    assert [one.id for one in await house.keycairn.key_rotations.held_back()] == [waiting.id]
    assert waiting.run is not None
    assert waiting.run.used_by == (f"tenant/{other.credential.id}",)
    found = [one for one in await house.keycairn.checkup.report() if one.code == "key_held_back"]
    assert f"tenant/{other.credential.id}" in found[0].found
    seen = repr([one for one in await house.store.events("tenant") if one.action.startswith("key_rotation")])
    assert seen == "[]"


async def test_a_leaked_key_is_revoked_once_while_a_person_makes_another() -> None:
    house = await CloudHouse.new(KeyCreation.BY_PERSON, revokes=True)
    id = await house.account()
    await house.keycairn.key_rotations.leaked(id)
    await house.drive(id)
    assert house.cloud.living == []
    asked = len(house.cloud.admins)
    for _ in range(5):
        house.clock.tick(40)
        await house.keycairn.key_rotations.work()
    assert len(house.cloud.admins) == asked


@pytest.mark.parametrize("step", EARLY)
async def test_where_only_persons_revoke_they_are_asked_for_every_key_that_is_left(step: RotationStep) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED, revokes=False)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    await at(house, id, step)
    await house.keycairn.key_rotations.cancel(id)
    ended = await house.drive(id)
    made = [name for name in house.cloud.keys_there if name != "key-0"]
    if made:
        assert ended.run is not None
        assert "Revoke these keys at https://openai.example/keys" in ended.run.held
        del house.cloud.keys_there[made[0]]
        await house.keycairn.key_rotations.resume(id)
        ended = await house.drive(id)
    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.CANCELLED
    assert house.cloud.living == [FIRST]


async def test_a_person_is_told_to_make_a_key_also_while_the_leaked_one_cannot_be_revoked() -> None:
    house = await CloudHouse.new(KeyCreation.BY_PERSON, revokes=True)
    id = await house.account()
    await house.keycairn.key_rotations.leaked(id)
    for failing in ({"list_keys", "revoke_key"}, {"revoke_key"}, set[str]()):
        house.cloud.failing = failing
        for _ in range(3):
            house.clock.tick(31)
            await house.keycairn.key_rotations.work()
        waiting = await house.rotation(id)
        assert waiting.run is not None
        assert "Make a new key at https://openai.example/keys" in waiting.run.held
        assert ("could not be revoked yet" in waiting.run.held) is (FIRST in house.cloud.living) is bool(failing)
