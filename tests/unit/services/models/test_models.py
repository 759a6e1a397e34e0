import asyncio

import pytest
from tests.house import EMBEDDING, LANGUAGE, House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.models import NewModel
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    CredentialNotFoundError,
    InvalidDefaultError,
    InvalidInputError,
    ModelExistsError,
    ModelNotFoundError,
    NoDefaultError,
    UnknownProviderError,
    UnlinkedModelError,
)
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.secret import Secret

KEY = "sk-canary-0123456789"


@pytest.fixture
async def kc() -> Keycairn:
    return await House().open()


@pytest.fixture
async def credential(kc: Keycairn) -> Credential:
    created = await kc.credentials.create(
        "openai", name="Work", settings={"base_url": "https://one.example/v1"}, secrets={"api_key": Secret(KEY)}
    )
    return created.credential


async def test_a_model_of_the_same_name_type_and_credential_exists_once(kc: Keycairn, credential: Credential) -> None:
    await kc.models.create("gpt", provider="openai", type=LANGUAGE, credential=credential.id)
    with pytest.raises(ModelExistsError):
        await kc.models.create("gpt", provider="OpenAI", type=LANGUAGE, credential=credential.id)
    await kc.models.create("gpt", provider="openai", type=EMBEDDING, credential=credential.id)
    assert len(await kc.models.list(provider="openai")) == 2
    assert [m.type for m in await kc.models.list(type=EMBEDDING)] == [EMBEDDING]


async def test_a_model_is_not_linked_to_nobody_or_to_another_provider(kc: Keycairn, credential: Credential) -> None:
    with pytest.raises(CredentialNotFoundError):
        await kc.models.create("x", provider="openai", type=LANGUAGE, credential=CredentialId("credential:NOBODY"))
    with pytest.raises(InvalidInputError):
        await kc.models.create("x", provider="anthropic", type=LANGUAGE, credential=credential.id)
    with pytest.raises(UnknownProviderError):
        await kc.models.create("x", provider="nobody", type=LANGUAGE)
    assert await kc.models.list() == []


@pytest.mark.usefixtures("credential")
async def test_deleting_a_model_clears_its_slots(kc: Keycairn) -> None:
    model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    await kc.models.set_defaults({Slot.CHAT: model.id, Slot.TOOLS: model.id})

    assert set(await kc.models.delete(model.id)) == {Slot.CHAT, Slot.TOOLS}
    assert (await kc.models.defaults()).slots == {}
    with pytest.raises(ModelNotFoundError):
        await kc.models.delete(model.id)


async def test_defaults_take_registered_models_of_the_right_type_only(kc: Keycairn) -> None:
    model = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    for wish in ({Slot.EMBEDDING: model.id}, {Slot.CHAT: ModelId("model:NOBODY")}, {Slot.CHAT: None}):
        with pytest.raises(InvalidDefaultError):
            await kc.models.set_defaults({Slot.TOOLS: model.id, **wish})
    assert (await kc.models.defaults()).slots == {}


@pytest.mark.usefixtures("credential")
async def test_tasks_of_language_fall_back_to_chat(kc: Keycairn) -> None:
    chat = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    defaults = await kc.models.set_defaults({Slot.CHAT: chat.id})
    for slot in (Slot.CHAT, Slot.TRANSFORMATION, Slot.TOOLS, Slot.LARGE_CONTEXT):
        assert defaults.model_for(slot) == chat.id
    assert defaults.model_for(Slot.EMBEDDING) is None
    assert Slot.TOOLS not in defaults.slots


@pytest.mark.usefixtures("credential")
async def test_two_clients_setting_different_slots_lose_nothing(kc: Keycairn) -> None:
    one = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    two = await kc.models.create("ada", provider="openai", type=EMBEDDING)
    await asyncio.gather(
        kc.models.set_defaults({Slot.CHAT: one.id}),
        kc.models.set_defaults({Slot.EMBEDDING: two.id}),
        kc.models.set_defaults({Slot.TOOLS: one.id}),
    )
    assert (await kc.models.defaults()).slots == {Slot.CHAT: one.id, Slot.EMBEDDING: two.id, Slot.TOOLS: one.id}


class TestAutoAssign:
    async def test_prefers_the_favoured_provider_and_its_favoured_model(
        self, kc: Keycairn, credential: Credential
    ) -> None:
        other = (await kc.credentials.create("anthropic", name="A", secrets={"api_key": Secret(KEY)})).credential
        await kc.probing.register(other.id, [NewModel("claude", LANGUAGE)])
        models = await kc.probing.register(
            credential.id, [NewModel("ada", LANGUAGE), NewModel("gpt-4o-mini", LANGUAGE)]
        )
        done = await kc.models.auto_assign()
        assert done.assigned == {Slot.CHAT: models.created[1].id}
        assert (done.skipped, done.missing) == ((), (Slot.EMBEDDING,))

    async def test_leaves_a_filled_slot_alone(self, kc: Keycairn, credential: Credential) -> None:
        first = (await kc.probing.register(credential.id, [NewModel("ada", LANGUAGE)])).created[0]
        await kc.models.set_defaults({Slot.CHAT: first.id})
        await kc.probing.register(credential.id, [NewModel("gpt-4o", LANGUAGE)])
        done = await kc.models.auto_assign()
        assert (done.assigned, done.skipped) == ({}, (Slot.CHAT,))

    async def test_fills_speech_too_where_it_is_asked_to(self, kc: Keycairn, credential: Credential) -> None:
        offered = [
            NewModel("gpt-4o", LANGUAGE),
            NewModel("tts-1", Modality.TEXT_TO_SPEECH),
            NewModel("w", Modality.SPEECH_TO_TEXT),
        ]
        await kc.probing.register(credential.id, offered)
        assert (await kc.models.auto_assign()).missing == (Slot.EMBEDDING,)
        done = await kc.models.auto_assign(every=True)
        assert done.assigned.keys() == {Slot.TEXT_TO_SPEECH, Slot.SPEECH_TO_TEXT}
        assert (done.skipped, done.missing) == ((Slot.CHAT,), (Slot.EMBEDDING,))  # chat stands in for all others

    async def test_passes_over_models_nobody_pays_for(self, kc: Keycairn) -> None:
        await kc.models.create("gpt-4o", provider="openai", type=LANGUAGE)
        assert (await kc.models.auto_assign()).missing == (Slot.CHAT, Slot.EMBEDDING)


async def test_counts_name_every_type(kc: Keycairn) -> None:
    await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    assert await kc.models.count("openai") == {type: int(type is LANGUAGE) for type in Modality}


class TestProvisioning:
    async def test_gives_the_config_with_the_key_and_hides_it_in_the_repr(
        self, kc: Keycairn, credential: Credential
    ) -> None:
        model = (await kc.probing.register(credential.id, [NewModel("gpt", LANGUAGE)])).created[0]
        await kc.models.set_defaults({Slot.CHAT: model.id})

        provisioned = await kc.provisioning.provision(Slot.TOOLS)

        assert provisioned.config == {"base_url": "https://one.example/v1", "api_key": KEY}
        assert KEY not in repr(provisioned)

    async def test_says_what_is_missing(self, kc: Keycairn) -> None:
        loose = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
        with pytest.raises(UnlinkedModelError):
            await kc.provisioning.provision(loose.id)
        with pytest.raises(NoDefaultError, match="default:chat"):
            await kc.provisioning.provision(Slot.CHAT)
        with pytest.raises(ModelNotFoundError):
            await kc.provisioning.provision(ModelId("model:NOBODY"))
