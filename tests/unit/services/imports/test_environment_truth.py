"""What a migration of the environment says: where keys go, what is removable, and what did not come in."""

import pytest
from tests.house import FakeProvider, House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.imports.environment import MigrationEntry, Source, Step
from keycairn.domain.audit import IN_PROCESS, Action
from keycairn.domain.change import MarkBroken
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry

K = "sk-canary-4f9A7c2E81b6D05x"
OTHER = "sk-other-1f9A7c2E81b6D05y"
PROXY = "https://proxy.example/v1"
SPECS = [provider.spec for provider in PluginRegistry(external=False).all()]


@pytest.fixture
def house() -> House:
    house = House()
    for spec in SPECS:
        house.registry.load(FakeProvider(spec))
    return house


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


def of(entries: tuple[MigrationEntry, ...], provider: str) -> MigrationEntry:
    [only] = [entry for entry in entries if entry.provider == provider]
    return only


async def test_another_key_than_the_stored_one_is_refused_by_name(house: House, kc: Keycairn) -> None:
    house.environment.values = {"GROQ_API_KEY": K}
    await kc.environment.migrate()
    house.environment.values = {"GROQ_API_KEY": OTHER}

    entry = of((await kc.environment.migrate()).entries, "groq")

    assert (entry.step, entry.refused, entry.removable) == (Step.SKIP, True, ())
    assert "another key" in entry.reason
    assert len(await kc.credentials.list()) == 1


async def test_a_stored_key_that_does_not_open_comes_from_the_environment_again(house: House, kc: Keycairn) -> None:
    house.environment.values = {"GROQ_API_KEY": K}
    made = of((await kc.environment.migrate()).entries, "groq")
    assert made.credential is not None
    before = await kc.credentials.get(made.credential)
    spoilt = MarkBroken("default", made.credential, {"api_key": "damaged"}, before.credential.version)
    await kc.journal.commit((spoilt, kc.journal.event(IN_PROCESS, Action.STORE_REPAIRED, "database")))

    entry = of((await kc.environment.migrate()).entries, "groq")

    assert (entry.step, entry.refused, entry.credential) == (Step.MIGRATE, False, made.credential)
    assert not (await kc.credentials.get(made.credential)).credential.broken


async def test_the_same_again_is_no_refusal_and_changes_nothing(house: House, kc: Keycairn) -> None:
    house.environment.values = {"GROQ_API_KEY": f'"{K}"', "GROQ_BASE_URL": "https://proxy.example"}
    first = of((await kc.environment.migrate()).entries, "groq")
    before = await house.store.revision()
    again = of((await kc.environment.migrate()).entries, "groq")
    assert first.goes_to == again.goes_to == ("https://proxy.example",)
    assert (again.step, again.refused) == (Step.SKIP, False)
    assert again.removable == first.removable == ("GROQ_API_KEY", "GROQ_BASE_URL")
    assert await house.store.revision() == before


@pytest.mark.parametrize("field", ["key", "address", "neither"])
async def test_a_variable_is_removable_only_while_the_database_has_the_same(
    house: House, kc: Keycairn, field: str
) -> None:
    house.environment.values = {"GROQ_API_KEY": K, "GROQ_BASE_URL": "https://proxy.example"}
    made = of((await kc.environment.migrate()).entries, "groq").credential
    assert made is not None
    patch = {
        "key": CredentialPatch(secrets={"api_key": Secret(OTHER)}),
        "address": CredentialPatch(
            settings={"base_url": "https://other.example/openai/v1"}, secrets={"api_key": Secret(K)}
        ),
        "neither": CredentialPatch(name="Renamed"),
    }[field]
    await kc.credentials.update(made, patch)
    removable = of((await kc.environment.migrate()).entries, "groq").removable
    assert removable == (("GROQ_API_KEY", "GROQ_BASE_URL") if field == "neither" else ())


async def test_nothing_is_removable_before_it_is_done(house: House, kc: Keycairn) -> None:
    house.environment.values = {"GROQ_API_KEY": K}
    planned = of((await kc.environment.migrate(dry_run=True)).entries, "groq")
    assert (planned.step, planned.removable, planned.goes_to) == (Step.MIGRATE, (), ("api.groq.com",))


async def test_a_foreign_host_makes_an_account_of_the_compatible_provider(house: House, kc: Keycairn) -> None:
    house.environment.values = {"OPENAI_API_KEY": K, "OPENAI_API_BASE": PROXY}
    assert (await kc.environment.sources())["openai"] is Source.NONE
    done = await kc.environment.migrate()
    entry = of(done.entries, "openai_compatible")
    assert (entry.step, entry.removable) == (Step.MIGRATE, ("OPENAI_API_BASE", "OPENAI_API_KEY"))
    assert "openai_compatible" in of(done.entries, "openai").reason
    [listed] = await kc.credentials.list()
    assert (listed.credential.provider, listed.credential.settings) == ("openai_compatible", {"base_url": PROXY})
    assert (await kc.environment.sources())["openai_compatible"] is Source.DATABASE


async def test_an_account_of_a_compatible_server_comes_in_beside_others(house: House, kc: Keycairn) -> None:
    mine = {"base_url": "http://localhost:1234/v1"}
    await kc.credentials.create(
        "openai_compatible", name="Mine", settings=mine, secrets={"api_key": Secret("lm-studio")}
    )
    house.environment.values = {"OPENAI_API_KEY": K, "OPENAI_API_BASE": PROXY}
    assert of((await kc.environment.migrate()).entries, "openai_compatible").step is Step.MIGRATE
    assert of((await kc.environment.migrate()).entries, "openai_compatible").step is Step.SKIP
    assert len(await kc.credentials.list()) == 2


async def test_what_is_not_understood_holds_back_until_it_is_said(house: House, kc: Keycairn) -> None:
    house.environment.values = {"GROQ_API_KEY": K, "GROQ_HOSTNAME": "x", "DEEPSEEK_API_KEY": K}
    done = await kc.environment.migrate()
    assert [entry.provider for entry in done.of(Step.MIGRATE)] == ["deepseek"]
    held = of(done.entries, "groq")
    assert (held.step, held.refused, "GROQ_HOSTNAME" in held.reason) == (Step.ERROR, True, True)
    assert (await kc.environment.sources())["groq"] is Source.NONE
    assert of((await kc.environment.migrate(anyway=True)).entries, "groq").step is Step.MIGRATE


async def test_two_accounts_of_one_provider_come_in_together_and_once(house: House, kc: Keycairn) -> None:
    house.environment.values = {
        "OPENAI_API_KEYS": f"{K};{OTHER}",
        "OPENAI_API_BASE_URLS": "https://one.example/v1;https://two.example/v1",
    }
    done = await kc.environment.migrate()
    assert [entry.provider for entry in done.of(Step.MIGRATE)] == ["openai_compatible"] * 2
    names = [one.credential.name for one in await kc.credentials.list()]
    assert len(set(names)) == 2
    again = await kc.environment.migrate()
    assert (again.of(Step.MIGRATE), [entry for entry in again.entries if entry.refused]) == ([], [])


async def test_a_key_of_the_file_goes_to_no_address_of_the_process(house: House, kc: Keycairn) -> None:
    house.environment.file = {"GROQ_API_KEY": K}
    house.environment.values = {"GROQ_BASE_URL": "https://proxy.example"}
    entry = of((await kc.environment.migrate()).entries, "groq")
    assert (entry.step, "GROQ_BASE_URL" in entry.reason) == (Step.ERROR, True)
    house.environment.values = {}
    assert of((await kc.environment.migrate()).entries, "groq").step is Step.MIGRATE


async def test_a_value_that_another_place_has_differently_is_never_removable(house: House, kc: Keycairn) -> None:
    house.environment.values, house.environment.file = {"GROQ_API_KEY": K}, {"GROQ_API_KEY": OTHER}
    assert of((await kc.environment.migrate()).entries, "groq").removable == ()
    house.environment.file = {"GROQ_API_KEY": K}
    assert of((await kc.environment.migrate()).entries, "groq").removable == ("GROQ_API_KEY",)


async def test_a_placeholder_configures_nothing(house: House, kc: Keycairn) -> None:
    house.environment.values = {"GROQ_API_KEY": "user_provided"}
    assert (await kc.environment.sources())["groq"] is Source.NONE
    entry = of((await kc.environment.migrate()).entries, "groq")
    assert (entry.step, entry.refused) == (Step.ERROR, True)
    assert await kc.credentials.list() == []
