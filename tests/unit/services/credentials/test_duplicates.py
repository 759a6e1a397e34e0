"""Saying that a key is here already, without opening any, and without a word to other workspaces."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from tests.house import House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch, Listed
from keycairn.domain.audit import IN_PROCESS, Action
from keycairn.domain.change import PutFingerprints, Reseal
from keycairn.domain.credential import Credential
from keycairn.domain.secret import Secret

KEY, OTHER = Secret("sk-first-0123456789"), Secret("sk-second-0123456789")
ELSEWHERE = replace(IN_PROCESS, workspace="elsewhere")


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


async def make(kc: Keycairn, name: str, key: Secret = KEY, provider: str = "openai") -> Listed:
    return await kc.credentials.create(provider, name=name, secrets={"api_key": key})


def names(listed: Listed | Sequence[Credential] | None) -> list[str]:
    found = listed.duplicates if isinstance(listed, Listed) else listed
    return [credential.name for credential in found or ()]


async def test_the_second_of_the_same_key_is_stored_and_told_of_the_first(kc: Keycairn) -> None:
    one = await make(kc, "one")
    assert names(one) == []
    assert names(await make(kc, "two", provider="anthropic")) == ["one"]
    assert names(await make(kc, "apart", OTHER)) == []
    assert names(await kc.credentials.get(one.credential.id)) == ["two"]


async def test_white_space_around_a_key_makes_it_no_other_key(kc: Keycairn) -> None:
    await make(kc, "one")
    assert names(await make(kc, "two", Secret(f" {KEY.reveal()}\n"))) == ["one"]


async def test_an_edit_of_the_name_keeps_the_fingerprint_and_a_new_key_takes_it_along(kc: Keycairn) -> None:
    await make(kc, "one")
    two = (await make(kc, "two")).credential
    renamed = await kc.credentials.update(two.id, CredentialPatch(name="renamed"))
    assert names(renamed) == ["one"]
    changed = await kc.credentials.update(two.id, CredentialPatch(secrets={"api_key": OTHER}))
    assert names(changed) == []
    assert changed.credential.fingerprints != two.fingerprints


async def test_what_is_gone_is_nobodys_twin(kc: Keycairn) -> None:
    one = (await make(kc, "one")).credential
    await kc.credentials.delete(one.id)
    assert names(await make(kc, "two")) == []


async def test_workspaces_cannot_be_compared(kc: Keycairn) -> None:
    here = (await make(kc, "here")).credential
    there = await kc.credentials.create("openai", name="there", secrets={"api_key": KEY}, by=ELSEWHERE)
    assert names(there) == []
    assert set(there.credential.fingerprints.values()).isdisjoint(here.fingerprints.values())
    assert names(await kc.credentials.get(here.id)) == []


async def test_migrating_the_environment_says_that_the_key_is_here(house: House, kc: Keycairn) -> None:
    await make(kc, "one")
    house.environment.values["ANTHROPIC_API_KEY"] = KEY.reveal()
    for dry_run in (True, False):
        done = await kc.environment.migrate(dry_run=dry_run)
        (entry,) = [entry for entry in done.entries if entry.provider == "anthropic"]
        assert names(entry.duplicates) == ["one"]


async def test_records_sealed_before_there_were_fingerprints_get_theirs_when_all_are_tried(
    house: House, kc: Keycairn
) -> None:
    one = (await make(kc, "one")).credential
    await house.store.commit((PutFingerprints("default", one.id, {}, one.version),))
    assert names(await make(kc, "two")) == []
    before = await kc.audit.events()

    await kc.credential_opener.sweep("default")

    filled = await house.store.credential("default", one.id)
    assert filled is not None
    assert filled.fingerprints == one.fingerprints
    assert names(await kc.credentials.get(one.id)) == ["two"]
    assert [event.action for event in (await kc.audit.events())[len(before) :]] == [Action.FINGERPRINTS_FILLED]


async def test_a_fingerprint_of_another_key_is_put_right_and_that_of_a_broken_one_stays(
    house: House, kc: Keycairn
) -> None:
    wrong, broken = (await make(kc, "wrong")).credential, (await make(kc, "broken")).credential
    await house.store.commit(
        (
            PutFingerprints("default", wrong.id, {"api_key": "00" * 32, "gone": "11" * 32}, wrong.version),
            Reseal("default", broken.id, dict(wrong.sealed), broken.version),
        )
    )
    assert await kc.credential_opener.sweep("default") == 1
    assert [
        found.fingerprints if found else None
        for found in [await house.store.credential("default", one.id) for one in (wrong, broken)]
    ] == [wrong.fingerprints, broken.fingerprints]


async def test_neither_the_audit_nor_a_list_holds_a_fingerprint(kc: Keycairn) -> None:
    marks = set((await make(kc, "one")).credential.fingerprints.values())
    await make(kc, "two")
    told = repr(await kc.audit.events())
    assert len(marks) == 1
    assert not any(mark in told for mark in marks)
    assert [listed.duplicates for listed in await kc.credentials.list()] == [None, None]
