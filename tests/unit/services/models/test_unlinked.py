"""A model that is linked to no credential is served by the oldest one of its provider, and can be linked later."""

import pytest
from tests.house import EMBEDDING, LANGUAGE, House

from keycairn.app.gateway.directory import Directory
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.models import ModelPatch, NewModel
from keycairn.domain.errors import (
    CredentialNotFoundError,
    InvalidDefaultError,
    InvalidInputError,
    ModelExistsError,
    ModelNotFoundError,
    UnlinkedModelError,
)
from keycairn.domain.ids import CredentialId
from keycairn.domain.model import Slot
from keycairn.domain.reach import Reach
from keycairn.domain.secret import Secret

FIRST, SECOND = "sk-first-0123456789", "sk-second-0123456789"


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


async def account(kc: Keycairn, key: str = FIRST, provider: str = "openai") -> CredentialId:
    return (await kc.credentials.create(provider, name="Account", secrets={"api_key": Secret(key)})).credential.id


async def test_it_is_tried_and_provisioned_with_the_oldest_credential(house: House, kc: Keycairn) -> None:
    model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    await account(kc)
    await account(kc, SECOND)

    assert (await kc.probing.try_model(model.id)).success
    assert house.openai.keys == [FIRST]
    assert (await kc.provisioning.provision(model.id)).config["api_key"] == FIRST
    assert (await kc.models.get(model.id)).credential is None


async def test_it_is_served_by_the_gateway_under_each_of_its_names(kc: Keycairn) -> None:
    model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    first = await account(kc)
    await account(kc, SECOND)
    await kc.models.set_defaults({Slot.CHAT: model.id})
    directory = Directory(kc.store, kc.tokens, kc.clock)

    for name in ("gpt", "openai/gpt", model.id, "default:chat"):
        (serving,) = await directory.serving("default", name, LANGUAGE)
        assert serving.credential.id == first


async def test_it_stands_beside_linked_ones_of_its_name_and_never_twice_for_one_account(kc: Keycairn) -> None:
    first, second = await account(kc), await account(kc, SECOND)
    for link in (None, first, second):
        await kc.models.create("gpt", provider="openai", type=LANGUAGE, credential=link)

    served = await Directory(kc.store, kc.tokens, kc.clock).serving("default", "gpt", LANGUAGE)

    assert sorted(one.credential.id for one in served) == [first, second]


async def test_a_token_that_does_not_reach_the_credential_does_not_reach_it(kc: Keycairn) -> None:
    await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    first, second = await account(kc), await account(kc, SECOND)
    directory = Directory(kc.store, kc.tokens, kc.clock)

    assert await directory.serving("default", "gpt", LANGUAGE, None, Reach(credentials=(first,)))
    with pytest.raises(ModelNotFoundError):
        await directory.serving("default", "gpt", LANGUAGE, None, Reach(credentials=(second,)))


async def test_without_any_credential_of_its_provider_it_says_so(kc: Keycairn) -> None:
    model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    await account(kc, provider="anthropic")

    with pytest.raises(UnlinkedModelError):
        await Directory(kc.store, kc.tokens, kc.clock).serving("default", "gpt", LANGUAGE)
    with pytest.raises(UnlinkedModelError):
        await kc.provisioning.provision(model.id)
    assert "openai has none" in (await kc.probing.try_model(model.id)).message


class TestDefaults:
    async def test_refuse_what_cannot_run(self, kc: Keycairn) -> None:
        model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
        with pytest.raises(InvalidDefaultError, match="no credential"):
            await kc.models.set_defaults({Slot.CHAT: model.id})
        await account(kc)
        assert (await kc.models.set_defaults({Slot.CHAT: model.id})).slots == {Slot.CHAT: model.id}

    async def test_are_assigned_by_themselves_where_it_can_run(self, kc: Keycairn) -> None:
        model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
        assert (await kc.models.auto_assign()).assigned == {}
        await account(kc)
        assert (await kc.models.auto_assign()).assigned == {Slot.CHAT: model.id}


class TestLinking:
    async def test_by_a_patch(self, kc: Keycairn) -> None:
        model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
        first, second = await account(kc), await account(kc, SECOND)

        for link in (first, second, None):
            after = await kc.models.update(model.id, ModelPatch(credential=link))
            assert after.credential == (await kc.models.get(model.id)).credential == link

    async def test_leaves_everything_else_alone(self, kc: Keycairn) -> None:
        model = await kc.models.create("gpt", provider="openai", type=LANGUAGE, priority=3, weight=2)
        after = await kc.models.update(model.id, ModelPatch(credential=await account(kc)))
        assert (after.name, after.priority, after.weight, after.version) == ("gpt", 3, 2, 2)

    async def test_asks_for_a_credential_of_its_provider(self, kc: Keycairn) -> None:
        model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
        with pytest.raises(InvalidInputError):
            await kc.models.update(model.id, ModelPatch(credential=await account(kc, provider="anthropic")))
        with pytest.raises(CredentialNotFoundError):
            await kc.models.update(model.id, ModelPatch(credential=CredentialId("credential:NOBODY")))

    async def test_gives_no_account_the_same_model_twice(self, kc: Keycairn) -> None:
        first = await account(kc)
        await kc.models.create("gpt", provider="openai", type=LANGUAGE, credential=first)
        loose = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
        with pytest.raises(ModelExistsError):
            await kc.models.update(loose.id, ModelPatch(credential=first))

    async def test_by_registering_its_name_with_a_credential(self, kc: Keycairn) -> None:
        model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
        other = await kc.models.create("gpt", provider="openai", type=EMBEDDING)
        first = await account(kc)

        registered = await kc.probing.register(first, [NewModel("GPT", LANGUAGE), NewModel("more", LANGUAGE)])

        assert [one.name for one in registered.created] == ["gpt", "more"]
        assert (await kc.models.get(model.id)).credential == first
        assert (await kc.models.get(other.id)).credential is None

    async def test_by_a_migration_of_the_environment(self, house: House, kc: Keycairn) -> None:
        model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
        house.environment.values["OPENAI_API_KEY"] = FIRST
        await kc.environment.migrate()
        assert (await kc.models.get(model.id)).credential is not None
