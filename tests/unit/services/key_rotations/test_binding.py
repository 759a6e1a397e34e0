"""Where keys go that rotate: what makes them, what is compared with them, and who gets them."""

from collections.abc import Mapping
from functools import partial

import pytest
from msgspec.structs import replace
from tests.key_cloud import ADMIN, FIRST, CloudHouse

from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.audit import IN_PROCESS
from keycairn.domain.change import PutKeyRotation
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError, KeyRotationStateError, SecretReentryRequiredError
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyCreation, KeyOrder, MadeKey
from keycairn.domain.key_rotation.binding import target
from keycairn.domain.key_rotation.record import (
    KeyRotation,
    Policy,
    RotationOutcome,
    RotationStep,
    rotation_of,
    rotation_text,
)
from keycairn.domain.options import Options
from keycairn.domain.provider import Account, SettingValue
from keycairn.domain.reach import Reach
from keycairn.domain.secret import Secret
from keycairn.ports.http import Http

EVIL = "https://evil.example/v1"
OWN = "sk-of-somebody-else-01"
STEERING = Options(headers={"helicone-target-url": "https://evil.example"})
ELSEWHERE: Mapping[str, tuple[Mapping[str, SettingValue], Options | None]] = {
    "url": ({"base_url": EVIL}, None),
    "header": ({}, STEERING),
}


def at(step: RotationStep, one: KeyRotation) -> bool:
    return one.run is not None and one.run.step is step


async def moved(house: CloudHouse, id: CredentialId, how: str, key: str = OWN) -> None:
    settings, options = ELSEWHERE[how]
    patch = CredentialPatch(settings=settings, secrets={"api_key": Secret(key)}, options=options)
    await house.keycairn.credentials.update(id, patch)


async def twin(house: CloudHouse, how: str = "url", key: str = FIRST) -> CredentialId:
    settings, options = ELSEWHERE[how]
    made = await house.keycairn.credentials.create(
        "openai", name="twin", settings=settings, secrets={"api_key": Secret(key)}, options=options or Options()
    )
    return made.credential.id


async def stored(house: CloudHouse, id: CredentialId) -> Credential:
    found = await house.store.credential("default", id)
    assert found is not None
    return found


@pytest.mark.parametrize("how", ELSEWHERE)
async def test_what_makes_keys_makes_none_for_an_account_that_was_moved(how: str) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    await moved(house, id, how)
    await house.keycairn.key_rotations.work()
    with pytest.raises(SecretReentryRequiredError):
        await house.keycairn.key_rotations.rotate(id)
    with pytest.raises(SecretReentryRequiredError):
        await house.keycairn.key_rotations.set_up(id, policy=Policy(every_days=1))
    assert list(house.cloud.keys_there) == ["key-0"]
    await house.keycairn.key_rotations.set_up(id, policy=Policy(), secrets={"admin_key": Secret(ADMIN)})
    await house.keycairn.key_rotations.rotate(id)


async def test_a_policy_makes_no_key_for_an_account_that_was_moved() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account(every_days=1)
    await moved(house, id, "url")
    for _ in range(4):
        house.clock.tick(90_000)
        await house.keycairn.key_rotations.work()
    assert list(house.cloud.keys_there) == ["key-0"]
    assert (await house.rotation(id)).run is None


async def test_a_leak_at_a_moved_account_closes_it_and_makes_no_key() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    await moved(house, id, "url")
    await house.keycairn.key_rotations.leaked(id)
    await house.keycairn.key_rotations.work()
    assert (await stored(house, id)).options.closed
    assert not [one for one in house.cloud.living if one.startswith("sk-made")]


@pytest.mark.parametrize("how", ELSEWHERE)
@pytest.mark.parametrize("step", [RotationStep.PLANNED, RotationStep.CREATED, RotationStep.PROVEN])
async def test_an_account_that_is_moved_while_its_key_is_made_does_not_get_it(how: str, step: RotationStep) -> None:
    """Whoever knows the key, which is the leaked one, moves the account with it and sets up what manages keys anew."""
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id, until=partial(at, step))
    await moved(house, id, how, FIRST)
    await house.keycairn.key_rotations.set_up(id, policy=Policy(), secrets={"admin_key": Secret(ADMIN)})
    ended = await house.drive(id)
    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.FAILED
    assert "elsewhere" in ended.last.why
    assert house.cloud.living == [FIRST]
    assert await house.key_of(id) == FIRST


@pytest.mark.parametrize("how", ELSEWHERE)
async def test_what_makes_keys_is_taken_from_an_account_that_leads_to_the_same_only(how: str) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id, theirs = await house.account(), await twin(house, how, OWN)
    with pytest.raises(InvalidInputError) as refused:
        await house.keycairn.key_rotations.set_up(theirs, policy=Policy(), like=id)
    assert "like" in refused.value.fields
    await moved(house, id, "url", "sk-third-0123456789")  # then the policy of the first is for another place
    other = (
        await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret("sk-x-01")})
    ).credential
    await house.keycairn.key_rotations.set_up(other.id, policy=Policy(), like=id)  # where it was given for
    with pytest.raises(InvalidInputError):
        await house.keycairn.key_rotations.set_up(theirs, policy=Policy(), like=id)


@pytest.mark.parametrize("how", ELSEWHERE)
@pytest.mark.parametrize("leaked", [False, True])
async def test_who_holds_the_key_for_another_place_does_not_get_the_new_one(how: str, *, leaked: bool) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id, theirs = await house.account(overlap_hours=0), await twin(house, how)
    if leaked:
        await house.keycairn.key_rotations.leaked(id)
    else:
        await house.keycairn.key_rotations.rotate(id)
    ended = await house.drive(id)
    assert await house.key_of(theirs) == FIRST
    new = await house.key_of(id)
    assert new in house.cloud.living
    assert (FIRST in house.cloud.living) is not leaked  # one that leaked is dead, for them too
    (told,) = [one for one in await house.store.events("default") if one.outcome == "switched"]
    assert told.details["left_out"] == [theirs]
    if not leaked:
        assert ended.run is not None
        assert "still hold the former key" in ended.run.held
        assert "twin" not in ended.run.held
        assert theirs not in ended.run.held


async def test_who_holds_the_key_for_another_place_does_not_stand_for_its_owner() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id, theirs = await house.account(), await twin(house)
    await house.keycairn.key_rotations.set_up(theirs, policy=Policy(), secrets={"admin_key": Secret(ADMIN)})
    await house.keycairn.key_rotations.rotate(theirs)
    await house.keycairn.key_rotations.leaked(id)  # is no hurry for theirs, but a rotation of its own
    run, other = (await house.rotation(id)).run, (await house.rotation(theirs)).run
    assert run is not None
    assert other is not None
    assert run.id != other.id


async def test_a_key_that_is_being_rotated_tells_nothing_of_the_credential_it_is_rotated_with() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    one, two = await house.account(name="one"), await house.account(name="two")
    await house.keycairn.key_rotations.rotate(one)
    with pytest.raises(KeyRotationStateError) as refused:
        await house.keycairn.key_rotations.rotate(two)
    assert one not in str(refused.value)


async def test_a_url_that_manages_keys_elsewhere_asks_for_the_accounts_key() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    rotations = house.keycairn.key_rotations
    id = await house.account()
    theirs: Mapping[str, Secret | None] = {"admin_key": Secret("an-admin-key-of-theirs")}
    before = len(house.cloud.admins)
    for secrets in (theirs, {**theirs, "api_key": Secret(FIRST[:-1] + "x")}, {**theirs, "api_key": None}):
        with pytest.raises(InvalidInputError) as refused:
            await rotations.set_up(id, policy=Policy(), settings={"admin_url": EVIL}, secrets=secrets, key_id="")
        assert "api_key" in refused.value.fields
    await house.keycairn.key_rotations.work()
    assert "an-admin-key-of-theirs" not in house.cloud.admins[before:]
    own = {"admin_key": Secret(ADMIN), "api_key": Secret(FIRST)}
    done = await rotations.set_up(id, policy=Policy(), settings={"admin_url": EVIL}, secrets=own)
    assert done.rotation.confirmed == ("https://evil.example:443",)
    assert "api_key" not in done.rotation.sealed
    await rotations.work()
    assert (await house.rotation(id)).key_id == "key-0"


async def test_a_key_that_is_stored_later_was_not_given_for_that_url() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    rotations = house.keycairn.key_rotations
    id = await house.account(OWN)
    own = {"admin_key": Secret(ADMIN), "api_key": Secret(OWN)}
    await rotations.set_up(id, policy=Policy(), settings={"admin_url": EVIL}, secrets=own)
    await house.keycairn.credentials.update(id, CredentialPatch(secrets={"api_key": Secret(FIRST)}))
    for _ in range(4):
        house.clock.tick(90_000)
        await rotations.work()
    found = await house.rotation(id)
    assert found.confirmed == ()
    assert found.key_id == ""
    assert "was not given for" in found.trouble
    with pytest.raises(SecretReentryRequiredError):
        await rotations.set_up(id, policy=Policy(every_days=3))


async def test_a_twin_does_not_bring_the_places_that_its_holder_confirmed() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id, theirs = await house.account(), await house.account(name="twin")
    own = {"admin_key": Secret(ADMIN), "api_key": Secret(FIRST)}
    await house.keycairn.key_rotations.set_up(theirs, policy=Policy(), settings={"admin_url": EVIL}, secrets=own)
    await house.keycairn.key_rotations.leaked(id)
    await house.drive(id)
    assert await house.key_of(theirs) == await house.key_of(id)
    assert (await house.rotation(theirs)).confirmed == ()


class Echo:
    """A server of somebody's choice, which answers with a key of its choice and lists no other."""

    def __init__(self, house: CloudHouse, text: str, **settings: str) -> None:
        self._text, self._settings = text, settings
        house.cloud.create_key = self._made  # type: ignore[method-assign]

    async def _made(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        return MadeKey(id="key-x", secrets={"api_key": Secret(self._text)}, settings=self._settings)


async def test_a_server_of_somebodys_choice_does_not_learn_what_another_workspace_holds() -> None:
    told: list[tuple[str, str]] = []
    for guess in ("sk-held-elsewhere-0123", "sk-held-by-nobody-0123"):
        house = await CloudHouse.new(KeyCreation.LISTED)
        await house.keycairn.credentials.create(
            "openai", name="x", secrets={"api_key": Secret("sk-held-elsewhere-0123")}
        )
        tenant, key = replace(IN_PROCESS, workspace="tenant"), {"api_key": Secret(FIRST)}
        mine = await house.keycairn.credentials.create("openai", name="y", secrets=key, by=tenant)
        Echo(house, guess)
        own = {"admin_key": Secret(ADMIN), **key}
        await house.keycairn.key_rotations.set_up(
            mine.credential.id, policy=Policy(), settings={"admin_url": EVIL}, secrets=own, by=tenant
        )
        await house.keycairn.key_rotations.rotate(mine.credential.id, by=tenant)
        for _ in range(3):
            await house.keycairn.key_rotations.work()
            house.clock.tick(5)
        run = (await house.rotation(mine.credential.id)).run
        assert run is not None
        told.append((run.step, run.trouble))
    assert told[0] == told[1]


@pytest.mark.parametrize("step", [None, RotationStep.CREATED, RotationStep.OVERLAP])
async def test_what_a_former_version_stored_is_bound_to_where_it_is(step: RotationStep | None) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    if step is not None:
        await house.keycairn.key_rotations.rotate(id)
        await house.drive(id, until=partial(at, step))
    now = await house.rotation(id)
    run = None if now.run is None else replace(now.run, bound=None, key_origins=())
    former = replace(now, bound=None, run=run, version=now.version + 1)
    assert "bound" not in rotation_text(former)  # so that its proof holds
    assert rotation_of(rotation_text(former), former.proof) == former
    await house.store.commit((PutKeyRotation(former, expected=now.version),))
    await house.keycairn.key_rotations.work()
    after = await house.rotation(id)
    assert after.bound == target(house.cloud.spec, await stored(house, id))
    if step is not None:
        ended = await house.drive(id)
        assert ended.last is not None
        assert ended.last.outcome is RotationOutcome.DONE


@pytest.mark.parametrize("long", [4, 12, 17, 18])
async def test_an_id_that_somebody_gives_a_key_does_not_tell_whether_it_is_a_part_of_it(long: int) -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    for guess in (FIRST[-long:], FIRST[:long], "z" * long):
        await house.keycairn.key_rotations.set_up(id, policy=Policy(), key_id=guess)


async def test_an_answer_that_moves_the_account_does_not_get_the_key() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    Echo(house, "sk-made-elsewhere-01", base_url=EVIL)
    await house.keycairn.key_rotations.rotate(id)
    ended = await house.drive(id)
    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.FAILED
    assert (await stored(house, id)).settings == {}
    assert await house.key_of(id) == FIRST


async def test_a_leaked_key_that_somebody_stores_again_is_revoked_all_the_same() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    id = await house.account()
    await house.keycairn.key_rotations.leaked(id)
    await house.drive(id, until=partial(at, RotationStep.SWITCHED))
    await house.keycairn.credentials.create("openai", name="again", secrets={"api_key": Secret(FIRST)})
    ended = await house.drive(id)
    assert ended.run is None
    assert FIRST not in house.cloud.living


@pytest.mark.parametrize("leaked", [False, True])
async def test_who_may_touch_one_credential_rotates_no_other_that_holds_the_key(*, leaked: bool) -> None:
    """Else whoever knows a leaked key puts a key of their own organization into its owner's credential."""
    house = await CloudHouse.new(KeyCreation.LISTED)
    rotations = house.keycairn.key_rotations
    id = await house.account(overlap_hours=0)
    made = await house.keycairn.credentials.create("openai", name="theirs", secrets={"api_key": Secret(FIRST)})
    theirs = made.credential.id
    bounded = replace(IN_PROCESS, reach=Reach(credentials=(theirs,)))
    await rotations.set_up(theirs, policy=Policy(), secrets={"admin_key": Secret(ADMIN)}, by=bounded)
    await rotations.rotate(theirs, by=bounded)
    await house.drive(theirs, until=partial(at, RotationStep.SWITCHED))
    assert await house.key_of(id) == FIRST
    assert await house.key_of(theirs) != FIRST
    await (rotations.leaked(id) if leaked else rotations.rotate(id))
    await house.drive(id)
    assert await house.key_of(id) not in {FIRST, await house.key_of(theirs)}


async def test_a_leak_is_not_answered_by_a_rotation_that_leaves_its_credential_out() -> None:
    house = await CloudHouse.new(KeyCreation.LISTED)
    rotations = house.keycairn.key_rotations
    id = await house.account()
    made = await house.keycairn.credentials.create("openai", name="theirs", secrets={"api_key": Secret(FIRST)})
    theirs = made.credential.id
    bounded = replace(IN_PROCESS, reach=Reach(credentials=(theirs,)))
    await rotations.set_up(theirs, policy=Policy(), secrets={"admin_key": Secret(ADMIN)}, by=bounded)
    await rotations.rotate(theirs, by=bounded)
    await rotations.leaked(id)
    assert (await house.rotation(id)).run is not None
    await house.drive(id)
    assert await house.key_of(id) != FIRST
