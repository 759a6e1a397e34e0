import pytest
from tests.house import LANGUAGE, House

from keycairn.app.keycairn import Keycairn
from keycairn.domain.audit import Action
from keycairn.domain.errors import CredentialNotFoundError, ModelNotFoundError, UnlinkedModelError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.secret import Secret

KEY = "sk-lent-canary-0123456789"
URL = "https://proxy.example/v1"


@pytest.fixture
async def kc() -> Keycairn:
    return await House().open()


async def made(kc: Keycairn) -> CredentialId:
    secrets = {"api_key": Secret(KEY)}
    listed = await kc.credentials.create("openai", name="a", settings={"base_url": URL}, secrets=secrets)
    return listed.credential.id


async def test_the_variables_are_those_of_the_provider_and_the_use_is_audited_without_values(kc: Keycairn) -> None:
    id = await made(kc)

    lent = await kc.env_export.to_program(id, "app.py")
    shown = await kc.env_export.to_reader(id)

    assert {name: value.reveal() for name, value in lent.items()} == {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": URL}
    assert lent == shown
    used, revealed = (await kc.store.events("default"))[-2:]
    assert (used.action, used.target, used.details["program"]) == (Action.SECRET_USED, id, "app.py")
    assert (revealed.action, revealed.target) == (Action.SECRET_REVEALED, id)
    assert KEY not in repr((used, revealed, lent))


async def test_a_model_lends_the_account_it_is_linked_to(kc: Keycairn) -> None:
    id = await made(kc)
    linked = await kc.models.create("gpt-4o", provider="openai", type=LANGUAGE, credential=id)
    unlinked = await kc.models.create("gpt-4o", provider="openai", type=LANGUAGE)
    loose = await kc.models.create("claude", provider="anthropic", type=LANGUAGE)

    assert await kc.env_export.credential_of(linked.id) == id
    assert await kc.env_export.credential_of(unlinked.id) == id
    with pytest.raises(UnlinkedModelError):
        await kc.env_export.credential_of(loose.id)
    with pytest.raises(ModelNotFoundError):
        await kc.env_export.credential_of(ModelId("model:none"))
    with pytest.raises(CredentialNotFoundError):
        await kc.env_export.to_program(CredentialId("credential:none"), "app.py")


async def test_the_variables_of_all_providers_are_known(kc: Keycairn) -> None:
    assert {"OPENAI_API_KEY", "ANTHROPIC_API_KEY"} <= kc.env_export.provider_variables()
