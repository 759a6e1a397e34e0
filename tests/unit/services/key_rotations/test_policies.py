"""When keys are rotated, and who is taken along, held back or told."""

from datetime import timedelta
from functools import partial

import pytest
from msgspec.structs import replace
from tests.fakes import NOON
from tests.key_cloud import ADMIN, FIRST, CloudHouse

from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.audit import IN_PROCESS
from keycairn.domain.errors import (
    AccountClosedError,
    InvalidInputError,
    KeyRotationNotFoundError,
    KeyRotationStateError,
    MissingFieldError,
    SecretReentryRequiredError,
)
from keycairn.domain.key_management import KeyCreation
from keycairn.domain.key_rotation.record import KeyRotation, Policy, RotationOutcome, RotationStep
from keycairn.domain.modality import Modality
from keycairn.domain.secret import Secret

HALF_A_DAY = 12 * 3600.0


def at_step(step: RotationStep, one: KeyRotation) -> bool:
    return one.run is not None and one.run.step is step


async def test_a_policy_rotates_a_key_when_it_is_old_enough() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(every_days=30)
    await house.keycairn.key_rotations.work()
    assert (await house.rotation(id)).run is None
    house.clock.tick(timedelta(days=31).total_seconds())
    await house.keycairn.key_rotations.work()
    assert (await house.rotation(id)).run is not None
    ended = await house.drive(id)
    assert ended.made is not None
    assert ended.due() == ended.made + timedelta(days=30)


async def test_a_time_is_kept_once() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(at=NOON + timedelta(hours=1))
    house.clock.tick(3601)
    await house.keycairn.key_rotations.work()
    ended = await house.drive(id)
    assert ended.policy.at is None
    assert ended.due() is None


async def test_both_keys_work_during_the_overlap() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(overlap_hours=24)
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id, until=lambda one: one.run is not None and one.run.step is RotationStep.OVERLAP)
    house.clock.tick(HALF_A_DAY)
    await house.keycairn.key_rotations.work()
    assert FIRST in house.cloud.living
    assert await house.key_of(id) in house.cloud.living
    assert (await house.drive(id)).run is None
    assert FIRST not in house.cloud.living


async def test_a_new_key_that_works_after_a_while_is_waited_for() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    house.cloud.slow = 30.0
    await house.keycairn.key_rotations.rotate(id)
    made = await house.drive(id, until=lambda one: one.run is not None and one.run.step is RotationStep.SWITCHED)
    assert (made.made or NOON) > NOON + timedelta(seconds=30)
    assert (await house.drive(id)).run is None


async def test_a_new_key_that_never_works_is_revoked_and_the_former_one_stays() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    house.cloud.slow = 1e9
    await house.keycairn.key_rotations.rotate(id)
    ended = await house.drive(id)
    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.FAILED
    assert await house.key_of(id) == FIRST
    assert house.cloud.living == [FIRST]
    shown = await house.keycairn.key_rotations.get(id, workspace="default")
    assert "did not work within" in shown.warning


async def test_models_pools_limits_and_affinity_stay_as_they_are() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    made = await house.keycairn.models.create("gpt-4o", provider="openai", type=Modality.LANGUAGE, credential=id)
    model = await house.store.model("default", made.id)
    before = await house.store.credential("default", id)
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id)
    after = await house.store.credential("default", id)
    assert before is not None
    assert after is not None
    for name in ("id", "name", "settings", "limits", "options", "modalities", "created"):
        assert getattr(before, name) == getattr(after, name)
    assert await house.store.model("default", made.id) == model


async def test_credentials_with_the_same_key_rotate_together() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    one, two = await house.account(name="one", every_days=30), await house.account(name="two", every_days=30)
    house.clock.tick(timedelta(days=31).total_seconds())
    await house.keycairn.key_rotations.work()
    runs = [(await house.rotation(id)).run for id in (one, two)]
    assert [run is not None for run in runs].count(True) == 1
    leader, other = (one, two) if runs[0] else (two, one)
    with pytest.raises(KeyRotationStateError):
        await house.keycairn.key_rotations.rotate(other)
    await house.drive(leader)
    assert await house.key_of(one) == await house.key_of(two) != FIRST
    assert len(house.cloud.living) == 1
    await house.keycairn.key_rotations.work()
    assert (await house.rotation(other)).key_id == (await house.rotation(leader)).key_id != ""
    assert (await house.rotation(other)).run is None


async def test_a_key_that_another_workspace_uses_is_held_back_and_the_admin_told() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    theirs = replace(IN_PROCESS, workspace="tenant")
    other = await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret(FIRST)}, by=theirs)
    await house.keycairn.key_rotations.rotate(id)
    waiting = await house.drive(id)
    assert waiting.run is not None
    assert waiting.run.held.startswith("Another workspace of this service")
    assert other.credential.id not in waiting.run.held
    assert FIRST in house.cloud.living
    (told,) = [one for one in await house.store.events("default") if one.action == "key_rotation.held_back"]
    assert told.details["used_by"] == [f"tenant/{other.credential.id}"]
    await house.keycairn.credentials.delete(other.credential.id, by=theirs)
    await house.keycairn.key_rotations.resume(id)
    assert (await house.drive(id)).run is None
    assert FIRST not in house.cloud.living


async def test_the_other_key_of_two_is_not_replaced_while_somebody_uses_it() -> None:
    house = await CloudHouse.new(KeyCreation.REPLACING)
    id = await house.account()
    await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret("sk-other-0123456789")})
    await house.keycairn.key_rotations.rotate(id)
    waiting = await house.drive(id)
    assert waiting.run is not None
    assert "other key" in waiting.run.held
    assert "sk-other-0123456789" in house.cloud.living


async def test_a_leaked_key_is_replaced_and_revoked_at_once() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(overlap_hours=240)
    began = house.clock.time
    await house.keycairn.key_rotations.leaked(id)
    ended = await house.drive(id)
    assert ended.run is None
    assert house.clock.time - began < timedelta(minutes=1)
    assert house.cloud.living == [await house.key_of(id)]


async def test_a_leak_during_an_overlap_ends_it() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(overlap_hours=240)
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id, until=lambda one: one.run is not None and one.run.step is RotationStep.OVERLAP)
    await house.keycairn.key_rotations.leaked(id)
    await house.keycairn.key_rotations.work()
    assert FIRST not in house.cloud.living


async def test_a_leaked_key_that_nobody_can_replace_closes_the_account_until_there_is_another() -> None:
    house = await CloudHouse.new(KeyCreation.BY_PERSON)
    made = await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret(FIRST)})
    id = made.credential.id
    await house.keycairn.key_rotations.leaked(id)
    with pytest.raises(AccountClosedError):
        await house.key_of(id)
    waiting = await house.drive(id)
    assert waiting.run is not None
    assert "https://openai.example/keys" in waiting.run.held
    house.cloud.keys_there["new"] = house.cloud.keys_there["key-0"].__class__(
        "sk-by-hand-01234567", "", house.clock.time
    )
    await house.keycairn.credentials.update(id, CredentialPatch(secrets={"api_key": Secret("sk-by-hand-01234567")}))
    assert await house.key_of(id) == "sk-by-hand-01234567"
    house.clock.tick(60)
    await house.keycairn.key_rotations.work()
    waiting = await house.drive(id)
    assert waiting.run is not None
    assert waiting.run.held.startswith("Revoke the former key")
    del house.cloud.keys_there["key-0"]  # the person does so
    house.clock.tick(3700)
    await house.keycairn.key_rotations.work()
    assert (await house.drive(id)).run is None


async def test_a_key_that_is_stored_by_hand_meanwhile_wins() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    house.cloud.slow = 100.0
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id, until=lambda one: one.run is not None and one.run.step is RotationStep.CREATED)
    house.cloud.keys_there["hand"] = house.cloud.keys_there["key-0"].__class__("sk-by-hand-01234567", "", NOON)
    await house.keycairn.credentials.update(id, CredentialPatch(secrets={"api_key": Secret("sk-by-hand-01234567")}))
    ended = await house.drive(id)
    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.REPLACED
    assert await house.key_of(id) == "sk-by-hand-01234567"
    assert house.cloud.living == [FIRST, "sk-by-hand-01234567"]


async def test_a_credential_that_is_deleted_meanwhile_leaves_nothing() -> None:
    for step in (RotationStep.CREATED, RotationStep.OVERLAP):
        house = await CloudHouse.new(KeyCreation.LISTED)
        id = await house.account()
        await house.keycairn.key_rotations.rotate(id)
        await house.drive(id, until=partial(at_step, step))
        await house.keycairn.credentials.delete(id)
        for _ in range(60):
            found = await house.store.key_rotations()
            if not found:
                break
            if found[0].run is not None:
                house.clock.tick(max(0.0, (found[0].run.due - house.clock.time).total_seconds()))
            await house.keycairn.key_rotations.work()
        assert not await house.store.key_rotations()
        assert house.cloud.living == ([FIRST] if step is RotationStep.CREATED else [])


async def test_what_manages_keys_is_asked_for_and_bound_to_its_host() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    rotations = house.keycairn.key_rotations
    made = await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret(FIRST)})
    id = made.credential.id
    with pytest.raises(KeyRotationNotFoundError):
        await rotations.rotate(id)
    with pytest.raises(MissingFieldError):
        await rotations.set_up(id, policy=Policy(), settings={"admin_url": "https://admin.example"})
    assert not (await rotations.set_up(id, policy=Policy())).automatic  # a person is reminded
    with pytest.raises(InvalidInputError):
        await rotations.set_up(id, policy=Policy(every_days=0), secrets={"admin_key": Secret(ADMIN)})
    await rotations.set_up(id, policy=Policy(), secrets={"admin_key": Secret(ADMIN)})
    with pytest.raises(SecretReentryRequiredError):
        await rotations.set_up(id, policy=Policy(), settings={"admin_url": "https://evil.example"})
    other = await house.account("sk-second-0123456789", name="second")
    copied = await rotations.set_up(other, policy=Policy(), like=id)
    assert "admin_key" in copied.rotation.sealed
    await rotations.remove(id)
    with pytest.raises(KeyRotationNotFoundError):
        await rotations.get(id, workspace="default")


async def test_events_tell_ids_and_never_keys() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id)
    events = [one for one in await house.store.events("default") if one.action.startswith("key_rotation.")]
    steps = [one.outcome for one in events if one.action == "key_rotation.step"]
    order = ["creating", "created", "proven", "switched", "overlap", "revoking", "revoked", "done"]
    assert [one for one in dict.fromkeys(steps) if one in order] == order
    said = repr(events)
    for secret in (ADMIN, FIRST, await house.key_of(id)):
        assert secret not in said
    assert "key-1" in said
    assert "key-0" in said


async def test_what_came_with_a_backup_rests_until_somebody_resumes_it() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    under_way, due = await house.account(), await house.account("sk-second-0123456789", name="second", every_days=30)
    await house.keycairn.key_rotations.rotate(under_way)
    await house.drive(under_way, until=partial(at_step, RotationStep.OVERLAP))
    asked = len(house.cloud.admins)
    await house.store.commit(tuple(await house.keycairn.key_rotations.rest()))
    house.clock.tick(timedelta(days=31).total_seconds())
    for _ in range(5):
        assert not await house.keycairn.key_rotations.work()
    assert len(house.cloud.admins) == asked
    for id in (under_way, due):
        shown = await house.keycairn.key_rotations.get(id, workspace="default")
        assert "came with a backup" in shown.warning
        await house.keycairn.key_rotations.resume(id)
    await house.drive(under_way)
    assert FIRST not in house.cloud.living
    assert (await house.rotation(due)).run is not None


async def test_one_that_came_with_a_backup_is_called_off_without_a_word_to_the_provider() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id, until=partial(at_step, RotationStep.CREATED))
    living = list(house.cloud.living)
    await house.store.commit(tuple(await house.keycairn.key_rotations.rest()))
    await house.keycairn.key_rotations.cancel(id)
    await house.keycairn.key_rotations.work()
    assert house.cloud.living == living
    assert (await house.rotation(id)).restored


async def test_what_the_provider_says_of_a_key_in_use_is_known_before_it_is_ever_rotated() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    key = house.cloud.keys_there["key-0"]
    key.born, key.ends = NOON - timedelta(days=80), NOON + timedelta(days=5)
    id = await house.account(every_days=90)
    assert await house.keycairn.key_rotations.work()
    asked = len(house.cloud.admins)
    shown = await house.keycairn.key_rotations.get(id, workspace="default")
    assert (shown.rotation.key_id, shown.rotation.made, shown.rotation.expires) == ("key-0", key.born, key.ends)
    assert shown.warning.startswith("The provider ends the key at")
    assert shown.due == key.born + timedelta(days=90)
    for _ in range(5):
        house.clock.tick(3600)
        await house.keycairn.key_rotations.work()
    assert len(house.cloud.admins) == asked


async def test_an_admin_key_that_does_not_work_is_told_of_at_once_and_not_when_the_key_is_due() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(every_days=90)
    wrong = {"admin_key": Secret("admin-key-that-is-wrong")}
    await house.keycairn.key_rotations.set_up(id, policy=Policy(every_days=90), secrets=wrong)
    await house.keycairn.key_rotations.work()
    shown = await house.keycairn.key_rotations.get(id, workspace="default")
    assert shown.warning.startswith("What manages the key does not work:")
    assert (await house.keycairn.key_rotations.tally())[0]["warned"] == 1
    await house.keycairn.key_rotations.set_up(id, policy=Policy(), secrets={"admin_key": Secret(ADMIN)})
    await house.keycairn.key_rotations.work()
    assert (await house.keycairn.key_rotations.get(id, workspace="default")).warning == ""
