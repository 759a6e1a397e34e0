"""What a list shows of a credential is made once, and anew when anything of it changed."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec import json
from msgspec.structs import replace
from tests.house import House
from tests.samples import a_check, a_model

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.app.api.fragments import Fragments
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.change import AddModel, MarkBroken, RecordCheck, ReplaceModel
from keycairn.domain.ids import CredentialId
from keycairn.domain.limits import Limits
from keycairn.domain.secret import Secret

PLACE = "default"
Change = Callable[[House, CredentialId], Awaitable[object]]

LINKED = a_model(workspace=PLACE, name="m")


async def linked(house: House, account: CredentialId) -> None:
    await house.store.commit((AddModel(a_model(workspace=PLACE, name="n", credential=account)),))


async def unlinked(house: House, _: CredentialId) -> None:
    await house.store.commit((ReplaceModel(replace(LINKED, version=2), expected=1),))


CHANGES: dict[str, Change] = {
    "a name": lambda house, account: house.keycairn.credentials.update(account, CredentialPatch(name="New")),
    "a key": lambda house, account: house.keycairn.credentials.update(
        account, CredentialPatch(secrets={"api_key": Secret("sk-another-0123456789")})
    ),
    "a limit": lambda house, account: house.keycairn.credentials.update(
        account, CredentialPatch(limits=Limits(requests_per_minute=3))
    ),
    "a check": lambda house, account: house.store.commit((RecordCheck(PLACE, account, a_check()),)),
    "a secret that does not open": lambda house, account: house.store.commit(
        (MarkBroken(PLACE, account, {"api_key": "lost"}, 1),)
    ),
    "a model": linked,
    "a model less": unlinked,
}


async def list_of(house: House, fragments: Fragments | None = None) -> list[bytes]:
    """The list as JSON, by fragments of before where they are given."""
    made = fragments or Fragments(lambda: house.keycairn)
    page = await made.page(PLACE, provider=None, after=None, limit=100)
    return [made.json(counted) for counted in page]


@pytest.fixture
async def accounts(house: House) -> list[CredentialId]:
    await house.open()
    made = [
        await house.keycairn.credentials.create(
            "openai", name=f"A{number}", secrets={"api_key": Secret(f"sk-number-{number}-0123456789")}
        )
        for number in range(3)
    ]
    ids = [one.credential.id for one in made]
    await house.store.commit((AddModel(replace(LINKED, credential=ids[1])),))
    return ids


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_only_what_changed_is_made_anew(house: House, accounts: list[CredentialId], change: Change) -> None:
    fragments = Fragments(lambda: house.keycairn)
    before = await list_of(house, fragments)
    await change(house, accounts[1])
    after = await list_of(house, fragments)
    assert after == await list_of(house)
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, False, True]


async def test_another_keyset_is_another_list() -> None:
    house = House(keysets=AesGcmKeysets())
    await house.open()
    await house.keycairn.credentials.create("openai", name="A", secrets={"api_key": Secret("sk-number-0-0123456789")})
    fragments = Fragments(lambda: house.keycairn)
    before = await list_of(house, fragments)
    await house.keycairn.rotation.rotate()
    after = await list_of(house, fragments)
    assert before == after == await list_of(house)
    assert not any(one is other for one, other in zip(before, after, strict=True))


async def test_what_is_gone_or_new_is_not_in_the_list_or_is(house: House, accounts: list[CredentialId]) -> None:
    fragments = Fragments(lambda: house.keycairn)
    await list_of(house, fragments)
    await house.keycairn.credentials.delete(accounts[0])
    await house.keycairn.credentials.create("anthropic", name="B", secrets={"api_key": Secret("sk-ant-0123456789")})
    shown = [json.decode(one)["name"] for one in await list_of(house, fragments)]
    assert shown == ["B", "A1", "A2"]


async def test_there_is_a_bound_to_what_is_kept(house: House, accounts: list[CredentialId]) -> None:
    one = await list_of(house)
    fragments = Fragments(lambda: house.keycairn, most=len(one[0]) + len(one[1]) + 1)
    first, second = await list_of(house, fragments), await list_of(house, fragments)
    assert first == second == one
    assert [a is b for a, b in zip(first, second, strict=True)] != [True] * len(accounts)
