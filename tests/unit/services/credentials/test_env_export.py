import pytest
from tests.house import LANGUAGE, House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials.env_export import variables
from keycairn.domain.audit import Action
from keycairn.domain.environment import read_account
from keycairn.domain.errors import CredentialNotFoundError, ModelNotFoundError, UnlinkedModelError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry

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


@pytest.mark.parametrize(
    ("provider", "settings", "shown"),
    [
        (
            "groq",
            {"base_url": "https://proxy.example/openai/v1"},
            {"GROQ_BASE_URL": "https://proxy.example", "GROQ_API_BASE": "https://proxy.example"},
        ),
        ("mistral", {"base_url": URL}, {"MISTRAL_BASE_URL": URL, "MISTRAL_ENDPOINT": "https://proxy.example"}),
        (
            "dashscope",
            {"base_url": "https://proxy.example/compatible-mode/v1"},
            {"DASHSCOPE_HTTP_BASE_URL": "https://proxy.example/api/v1"},
        ),
        ("cohere", {"base_url": URL}, {"CO_API_URL": URL, "COHERE_API_BASE": f"{URL}/chat"}),
    ],
)
def test_an_address_is_written_as_those_who_read_it_have_it_and_reads_back_the_same(
    provider: str, settings: dict[str, str], shown: dict[str, str]
) -> None:
    spec = PluginRegistry(external=False).get(provider).spec
    given = variables(spec, Account(provider=provider, settings=settings, secrets={"api_key": Secret(KEY)}))
    assert {name: given[name].reveal() for name in shown} == shown
    assert read_account(spec, given).settings == settings


def test_a_name_of_a_resource_is_not_made_of_an_address() -> None:
    spec = PluginRegistry(external=False).get("azure").spec
    settings = {"endpoint": "https://x.openai.azure.com", "api_version": "2024-10-21"}
    given = variables(spec, Account(provider="azure", settings=settings, secrets={}))
    assert "AZURE_RESOURCE_NAME" not in given
    assert given["AZURE_OPENAI_ENDPOINT"].reveal() == "https://x.openai.azure.com"
