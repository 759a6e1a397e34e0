"""A key that its provider refuses takes no good one's place."""

import pytest
from msgspec.structs import replace
from tests.house import House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.audit import Action
from keycairn.domain.credential import is_current
from keycairn.domain.errors import (
    CannotConnectError,
    InvalidAuthError,
    KeycairnError,
    NotProvenError,
    PreconditionFailedError,
    QuotaExhaustedError,
)
from keycairn.domain.secret import Secret

KEY, OTHER = "sk-first-0123456789", "sk-second-0123456789"


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


def keyed(key: str, **more: object) -> CredentialPatch:
    return CredentialPatch(secrets={"api_key": Secret(key)}, **more)  # type: ignore[arg-type]  # a test's short hand


@pytest.mark.parametrize("error", [InvalidAuthError(), CannotConnectError(), QuotaExhaustedError()], ids=repr)
async def test_a_key_that_is_not_proven_changes_nothing(house: House, kc: Keycairn, error: KeycairnError) -> None:
    made = await kc.proving.create_from("openai", keyed(KEY, name="Work"))
    id, events = made.credential.id, len(await kc.audit.events())
    house.openai.error_for = {OTHER: error}

    with pytest.raises(NotProvenError, match="what was stored stays") as refused:
        await kc.proving.update(id, keyed(OTHER, name="Other"))
    with pytest.raises(NotProvenError, match="Nothing was stored"):
        await kc.proving.create_from("openai", keyed(OTHER, name="Second"))

    assert refused.value.fields.keys() == {"api_key"}
    assert OTHER not in str(refused.value)
    [stored] = await kc.credentials.list()
    assert (stored.credential.name, stored.credential.version) == ("Work", 1)
    assert await house.key_of(id) == KEY
    more = [(event.action, event.outcome) for event in (await kc.audit.events())[events:]]
    assert [action for action, _ in more] == [Action.CREDENTIAL_TESTED] * 2, "that its provider was asked is on record"
    assert all(outcome not in {"ok", "done"} for _, outcome in more)


async def test_what_is_proven_is_stored_with_its_check(house: House, kc: Keycairn) -> None:
    made = (await kc.proving.create_from("openai", keyed(KEY, name="Work"))).credential
    changed = (await kc.proving.update(made.id, keyed(OTHER))).credential
    assert house.openai.keys == [KEY, OTHER]
    for one in (made, changed):
        assert one.last_check is not None
        assert (one.last_check.success, is_current(one.last_check, one)) == (True, True)
    assert await house.key_of(made.id) == OTHER
    tested = [event.target for event in await kc.audit.events() if event.action is Action.CREDENTIAL_TESTED]
    assert tested == [made.id, made.id]


async def test_what_was_changed_while_the_provider_was_asked_is_not_overwritten(house: House, kc: Keycairn) -> None:
    id = (await kc.credentials.create("openai", name="Work", secrets={"api_key": Secret(KEY)})).credential.id

    async def meanwhile() -> None:
        house.openai.meanwhile = None
        await kc.credentials.update(id, CredentialPatch(name="Office"))

    house.openai.meanwhile = meanwhile
    with pytest.raises(PreconditionFailedError):
        await kc.proving.update(id, keyed(OTHER, name="Mine"))
    assert (await kc.credentials.get(id)).credential.name == "Office"
    assert await house.key_of(id) == KEY


async def test_no_stored_key_is_asked_about_in_place_of_one_that_does_not_open(house: House, kc: Keycairn) -> None:
    id = (await kc.credentials.create("openai", name="Work", secrets={"api_key": Secret(KEY)})).credential.id
    draft = await kc.credentials.changed(id, keyed(OTHER))
    spoilt = replace(draft, sealed={"api_key": draft.sealed["api_key"][:-4]})
    assert not (await kc.probing.checked(spoilt)).report.success
    assert house.openai.keys == []
    assert (await kc.credentials.get(id)).broken == {}


async def test_a_change_of_its_name_alone_is_proven_by_the_stored_key(house: House, kc: Keycairn) -> None:
    id = (await kc.credentials.create("openai", name="Work", secrets={"api_key": Secret(KEY)})).credential.id
    assert (await kc.proving.update(id, CredentialPatch(name="Office"))).credential.name == "Office"
    assert house.openai.keys == [KEY]
