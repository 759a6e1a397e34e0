"""What a model is called: by applications, by its provider, and what becomes of both."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.house import EMBEDDING, LANGUAGE, FakeProvider, House, plain_spec
from tests.samples import a_model

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.models import ModelPatch, NewModel
from keycairn.app.services.models.naming import patched
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError, ModelExistsError
from keycairn.domain.model import Slot
from keycairn.domain.outcome import DiscoveredModel
from keycairn.domain.secret import Secret


@pytest.fixture
def house() -> House:
    house = House()
    house.registry.load(FakeProvider(plain_spec("groq")))
    return house


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


async def account(kc: Keycairn, provider: str = "openai", name: str = "Work") -> Credential:
    secrets = {"api_key": Secret(f"sk-{name}-canary-0123456789")}
    return (await kc.credentials.create(provider, name=name, settings={}, secrets=secrets)).credential


async def names(kc: Keycairn) -> list[tuple[str, str | None]]:
    return sorted((row.name, row.provider_model) for row in await kc.models.list())


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        (("gpt", None), {"name": "chat"}, ("chat", "gpt")),
        (("gpt", None), {"name": "gpt"}, ("gpt", None)),
        (("gpt", None), {"name": " gpt "}, ("gpt", None)),
        (("gpt", None), {"provider_model": "gpt"}, ("gpt", "gpt")),
        (("gpt", None), {"provider_model": "prod"}, ("gpt", "prod")),
        (("gpt", None), {"provider_model": None}, ("gpt", None)),
        (("gpt", None), {"weight": 2}, ("gpt", None)),
        (("chat", "gpt"), {"name": "talk"}, ("talk", "gpt")),
        (("chat", "gpt"), {"name": "gpt"}, ("gpt", "gpt")),
        (("chat", "gpt"), {"provider_model": "gpt-2"}, ("chat", "gpt-2")),
        (("chat", "gpt"), {"provider_model": None}, ("gpt", None)),
        (("chat", "gpt"), {"name": "gpt-2", "provider_model": None}, ("gpt-2", None)),
        (("chat", "gpt"), {"name": "chat", "provider_model": "gpt"}, ("chat", "gpt")),
        (("chat", "gpt"), {"priority": 1}, ("chat", "gpt")),
    ],
)
async def test_a_change_leaves_the_provider_its_name_unless_it_says_otherwise(
    kc: Keycairn, before: tuple[str, str | None], patch: dict[str, Any], after: tuple[str, str | None]
) -> None:
    made = await kc.models.create(before[0], provider="openai", provider_model=before[1], type=LANGUAGE)

    changed = await kc.models.update(made.id, ModelPatch(**patch))

    assert (changed.name, changed.provider_model) == after
    stored = await kc.models.get(made.id)
    assert replace(stored, proof="") == replace(changed, proof="")
    assert await kc.models.update(made.id, ModelPatch(**patch)) is stored, "again it changes nothing"


@pytest.mark.parametrize("patch", [{"name": ""}, {"provider_model": " "}, {"name": "default:chat"}, {"name": "a\tb"}])
async def test_a_change_to_no_name_is_refused_and_changes_nothing(kc: Keycairn, patch: dict[str, Any]) -> None:
    made = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    stored = await kc.models.get(made.id)
    with pytest.raises(InvalidInputError):
        await kc.models.update(made.id, ModelPatch(**patch))
    assert await kc.models.get(made.id) is stored


async def test_the_same_model_has_one_name_once_and_several_names(kc: Keycairn) -> None:
    credential = await account(kc)

    async def create(name: str, own: str | None) -> None:
        await kc.models.create(name, provider="openai", provider_model=own, type=LANGUAGE, credential=credential.id)

    for name, own in (("gpt", None), ("chat", "gpt"), ("talk", "gpt"), ("chat", "gpt-mini")):
        await create(name, own)
    for name, own in (("gpt", None), ("gpt", "gpt"), ("chat", "gpt"), ("chat", "gpt-mini")):
        with pytest.raises(ModelExistsError):
            await create(name, own)
    talk = next(row for row in await kc.models.list() if row.name == "talk")
    with pytest.raises(ModelExistsError):
        await kc.models.update(talk.id, ModelPatch(name="chat"))


async def test_synchronising_goes_by_the_providers_names(house: House, kc: Keycairn) -> None:
    credential = await account(kc)
    house.openai.models = tuple(DiscoveredModel(name=name, type=LANGUAGE) for name in ("gpt", "chat", "other"))
    gone = await kc.models.create(
        "kept", provider="openai", provider_model="vanished", type=LANGUAGE, credential=credential.id
    )
    await kc.models.create("talk", provider="openai", provider_model="gpt", type=LANGUAGE, credential=credential.id)

    _, drift = await kc.probing.drift(credential.id)
    synced = await kc.probing.sync("openai")

    assert sorted(one.name for one in drift.new) == ["chat", "other"]
    assert [model.id for model in drift.vanished] == [gone.id]
    assert (synced.new, synced.existing, synced.missing) == (2, 1, 1)
    assert await names(kc) == [("chat", None), ("kept", "vanished"), ("other", None), ("talk", "gpt")]


async def test_what_is_registered_from_a_list_joins_no_pool(kc: Keycairn) -> None:
    groq, openai = await account(kc, "groq"), await account(kc)
    await kc.models.create("gpt", provider="groq", provider_model="llama", type=LANGUAGE, credential=groq.id)

    registered = await kc.probing.register(openai.id, [NewModel("gpt", LANGUAGE)])

    assert [model.provider_model for model in registered.created] == [None]


async def test_a_model_is_tried_and_handed_out_by_its_providers_name(kc: Keycairn) -> None:
    credential = await account(kc)
    model = await kc.models.create(
        "chat", provider="openai", provider_model="gpt", type=LANGUAGE, credential=credential.id
    )
    assert (await kc.provisioning.provision(model.id)).model == "gpt"
    assert (await kc.probing.try_model(model.id)).message == "gpt answered."


async def test_a_favoured_model_is_found_under_any_name(kc: Keycairn) -> None:
    credential = await account(kc)
    for name, own in (("a", "other"), ("b", "gpt-4o")):
        await kc.models.create(name, provider="openai", provider_model=own, type=LANGUAGE, credential=credential.id)
    assigned = (await kc.models.auto_assign()).assigned
    assert (await kc.models.get(assigned[Slot.CHAT])).own_name == "gpt-4o"


async def test_a_model_that_moves_keeps_its_names_and_its_pool(kc: Keycairn) -> None:
    old, new = await account(kc), await account(kc, name="New")
    moved = await kc.models.create("chat", provider="openai", provider_model="gpt", type=LANGUAGE, credential=old.id)
    merged = await kc.models.create("gpt", provider="openai", provider_model="gpt", type=LANGUAGE, credential=old.id)
    there = (await kc.probing.register(new.id, [NewModel("gpt", LANGUAGE)])).created[0]

    await kc.credentials.delete(old.id, migrate_to=new.id)

    rows = {row.id: row for row in await kc.models.list()}
    assert set(rows) == {moved.id, there.id}, merged.id
    assert (rows[moved.id].name, rows[moved.id].provider_model, rows[moved.id].credential) == ("chat", "gpt", new.id)
    assert rows[there.id].provider_model == "gpt", "it takes the place that the merged one had in the pool"


async def test_a_pool_has_one_type(kc: Keycairn) -> None:
    groq, openai = await account(kc, "groq"), await account(kc)
    await kc.models.create("m", provider="groq", provider_model="x", type=EMBEDDING, credential=groq.id)
    made = await kc.models.create("m", provider="openai", type=LANGUAGE, credential=openai.id)
    assert made.provider_model is None


async def test_a_name_given_on_purpose_stands_in_the_audit_log(kc: Keycairn) -> None:
    made = await kc.models.create("chat", provider="openai", provider_model="gpt", type=LANGUAGE)
    await kc.models.update(made.id, ModelPatch(provider_model="prod"))
    events = [event for event in await kc.store.events("default") if event.target == made.id]
    assert {event.details["provider_model"] for event in events} == {"gpt", "prod"}
    assert {event.details["name"] for event in events} == {"chat"}


def test_a_patch_of_nothing_is_nothing() -> None:
    model = a_model()
    assert patched(model, ModelPatch()) == model


async def test_what_a_provider_tells_of_a_context_is_kept_unless_somebody_said_it(house: House, kc: Keycairn) -> None:
    credential = await account(kc)
    said = await kc.models.create("said", provider="openai", type=LANGUAGE, credential=credential.id, context_length=9)
    house.openai.models = tuple(DiscoveredModel(name=name, type=LANGUAGE) for name in ("gpt", "said"))
    await kc.probing.sync("openai")
    house.openai.models = tuple(
        DiscoveredModel(name=name, type=LANGUAGE, context_length=128_000) for name in ("gpt", "said", "new")
    )

    await kc.probing.sync("openai")
    before = [row.version for row in await kc.models.list()]
    await kc.probing.sync("openai")

    rows = {row.name: row.context_length for row in await kc.models.list()}
    assert rows == {"gpt": 128_000, "said": 9, "new": 128_000}
    assert [row.version for row in await kc.models.list()] == before, "again it changes nothing"
    await kc.models.update(said.id, ModelPatch(context_length=None))
    assert (await kc.models.get(said.id)).context_length is None


@pytest.mark.parametrize("length", [0, -1, 2**41])
async def test_a_context_that_is_none_is_refused(kc: Keycairn, length: int) -> None:
    with pytest.raises(InvalidInputError):
        await kc.models.create("m", provider="openai", type=LANGUAGE, context_length=length)
