import pytest
from tests.house import LANGUAGE, House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.imports.environment import Source, Step
from keycairn.domain.env_accounts import LEADS_HERE
from keycairn.domain.errors import SealedError
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

KEY = "sk-canary-0123456789"


@pytest.fixture
def house() -> House:
    house = House()
    house.environment.values = {"OPENAI_API_KEY": f" {KEY}\n", "ANTHROPIC_API_KEY": "  ", "HOME": "/root"}
    return house


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


async def test_a_configured_provider_becomes_a_credential_and_twice_changes_nothing(house: House, kc: Keycairn) -> None:
    first = await kc.environment.migrate()
    assert {entry.provider: entry.step for entry in first.entries} == {
        "openai": Step.MIGRATE,
        "anthropic": Step.NOT_CONFIGURED,
    }
    listed = await kc.credentials.list()
    assert [item.credential.name for item in listed] == ["openai"]
    await kc.probing.test(listed[0].credential.id)
    assert house.openai.keys == [KEY]

    before = await house.store.revision()
    again = await kc.environment.migrate()
    assert again.of(Step.MIGRATE) == []
    assert await house.store.revision() == before


async def test_a_dry_run_says_all_and_does_nothing(house: House, kc: Keycairn) -> None:
    await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    before = await house.store.revision()

    planned = await kc.environment.migrate(dry_run=True)

    entry = planned.of(Step.MIGRATE)[0]
    assert (entry.provider, entry.linked_models, entry.credential) == ("openai", ("gpt",), None)
    assert entry.variables == {"api_key": "OPENAI_API_KEY"}
    assert KEY not in repr(planned)
    assert await house.store.revision() == before


async def test_models_without_a_credential_are_linked_to_the_new_one(kc: Keycairn) -> None:
    loose = await kc.models.create("gpt", provider="openai", type=LANGUAGE)
    done = await kc.environment.migrate()
    assert (await kc.models.get(loose.id)).credential == done.of(Step.MIGRATE)[0].credential


async def test_a_provider_with_any_credential_is_skipped(kc: Keycairn) -> None:
    await kc.credentials.create("openai", name="mine", secrets={"api_key": Secret("sk-mine")})
    assert (await kc.environment.migrate()).of(Step.SKIP)[0].provider == "openai"


async def test_one_bad_value_is_reported_without_it_and_stops_nobody(house: House, kc: Keycairn) -> None:
    house.environment.values |= {"OPENAI_BASE_URL": "not a url", "ANTHROPIC_API_KEY": KEY}

    done = await kc.environment.migrate()

    assert [entry.provider for entry in done.of(Step.MIGRATE)] == ["anthropic"]
    error = done.of(Step.ERROR)[0]
    assert error.provider == "openai"
    assert "not a url" not in error.reason


async def test_the_database_wins_over_the_environment(house: House, kc: Keycairn) -> None:
    assert await kc.environment.sources() == {"openai": Source.ENVIRONMENT, "anthropic": Source.NONE}
    await kc.environment.migrate()
    assert (await kc.environment.sources())["openai"] is Source.DATABASE


async def test_a_sealed_vault_migrates_nothing(house: House) -> None:
    kc = await house.open(root_key=None)
    with pytest.raises(SealedError):
        await kc.environment.migrate()
    assert await kc.credentials.list() == []


async def test_accounts_of_one_provider_are_told_apart_by_their_names(house: House, kc: Keycairn) -> None:
    house.environment.values |= {
        "OPENAI_API_KEYS": "sk-one-0123456789;sk-two-0123456789",
        "OPENAI_BASE_URLS": "https://one.example.com/v1;https://two.example.com/v1",
        "OPENAI_API_KEY": "",
    }
    await kc.environment.migrate()
    names = [item.credential.name for item in await kc.credentials.list(provider="openai")]
    assert len(names) == len(set(names)) == 2
    assert all(name == name.split()[0] for name in names)  # none needs quotes in a shell


async def test_variables_that_lead_an_application_here_are_no_account(house: House, kc: Keycairn) -> None:
    _, text = await kc.tokens.create("app", [Scope.INVOKE])
    house.environment.values = {"OPENAI_API_KEY": text.reveal()}
    [found] = [account for account in kc.environment.found() if account.variables]
    assert found.refused == LEADS_HERE
    assert (await kc.environment.migrate()).of(Step.MIGRATE) == []
