"""An import knows an account by its key: never by its position, or by the name of a variable alone."""

from typing import Any

import pytest
from tests.house import House
from tests.samples import a_credential

from keycairn.adapters.imports.legacy import LegacyConfig
from keycairn.adapters.imports.litellm import LiteLlmConfig
from keycairn.adapters.imports.table import Table, json_lines
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.change import AddCredential
from keycairn.domain.ids import CredentialId
from keycairn.domain.incoming import ImportReport, IncomingCredential, IncomingModel
from keycairn.domain.secret import Secret
from keycairn.ports.source import ImportSource
from keycairn.ports.store import MOST

A, B, C = "sk-a-0123456789abcdef", "sk-b-0123456789abcdef", "sk-c-0123456789abcdef"


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


def litellm(*keys: str, variables: dict[str, str] | None = None) -> LiteLlmConfig:
    entries = [{"litellm_params": {"model": f"openai/gpt-{key[3:4]}", "api_key": key}} for key in keys]
    return LiteLlmConfig({"model_list": entries}, {name: Secret(value) for name, value in (variables or {}).items()})


def table(*keys: str) -> Table:
    rows = [{"provider": "openai", "api_key": key, "models": [f"gpt-{key[3:4]}"]} for key in keys]
    return Table(json_lines(rows))


def rows_without_names(*keys: str) -> ImportSource:
    class Rows:
        label = "rows"

        async def rows(self) -> Any:
            for key in keys:
                yield IncomingCredential(
                    where="a row",
                    provider="openai",
                    name="Default",
                    secrets={"api_key": Secret(key)},
                    models=(IncomingModel(name=f"gpt-{key[3:4]}"),),
                )

    return Rows()


FORMS = [litellm, table, rows_without_names]


async def keys(house: House) -> dict[str, list[str]]:
    """The keys that are stored, each with the models that are called with it."""
    stored = await house.store.credentials("default")
    return {
        await house.key_of(one.id): sorted(
            model.name for model in await house.store.models("default", credential=one.id, limit=None)
        )
        for one in stored
    }


def accounts(report: ImportReport) -> int:
    return len(report.created)


@pytest.mark.parametrize("form", FORMS)
async def test_another_file_with_another_key_is_another_account_with_its_own_models(
    house: House, kc: Keycairn, form: Any
) -> None:
    await kc.importer.run(form(A))
    second = await kc.importer.run(form(B))
    assert (accounts(second), second.refused) == (1, ())
    assert await keys(house) == {A: ["gpt-a"], B: ["gpt-b"]}
    names = [one.name for one in await house.store.credentials("default")]
    assert len(set(names)) == 2


@pytest.mark.parametrize("form", FORMS)
async def test_an_entry_on_top_of_the_same_file_comes_in_alone(house: House, kc: Keycairn, form: Any) -> None:
    await kc.importer.run(form(A, B))
    again = await kc.importer.run(form(C, A, B))
    assert ([one.models for one in again.created], len(again.skipped)) == ([("gpt-c",)], 2)
    assert await keys(house) == {A: ["gpt-a"], B: ["gpt-b"], C: ["gpt-c"]}


@pytest.mark.parametrize("form", FORMS)
async def test_the_second_run_changes_nothing_in_whatever_order(house: House, kc: Keycairn, form: Any) -> None:
    await kc.importer.run(form(A, B, C))
    before = await house.store.revision()
    for order in ((A, B, C), (C, A, B), (B,), (C, C)):
        again = await kc.importer.run(form(*order))
        assert (again.created, again.models, again.refused) == ((), (), ())
        assert again.skipped
    assert await house.store.revision() == before


@pytest.mark.parametrize("form", FORMS)
async def test_a_dry_run_says_the_same_as_the_run(kc: Keycairn, form: Any) -> None:
    await kc.importer.run(form(A))
    planned = await kc.importer.run(form(B, C, B), dry_run=True)
    done = await kc.importer.run(form(B, C, B))
    assert [(one.id, one.name) for one in planned.created] == [(one.id, one.name) for one in done.created]


@pytest.mark.parametrize("form", FORMS)
async def test_a_key_that_was_rotated_here_does_not_come_back_by_the_old_file(
    house: House, kc: Keycairn, form: Any
) -> None:
    await kc.importer.run(form(A))
    [one] = await house.store.credentials("default")
    await kc.credentials.update(one.id, CredentialPatch(secrets={"api_key": Secret(C)}))
    again = await kc.importer.run(form(B, A))
    assert [created.models for created in again.created] == [("gpt-b",)]
    assert "another key here since" in again.skipped[0].reason
    assert sorted(await keys(house)) == [B, C]


@pytest.mark.parametrize("form", FORMS)
async def test_a_key_that_stands_here_under_another_name_is_that_account_and_gains_the_models(
    house: House, kc: Keycairn, form: Any
) -> None:
    mine = await kc.credentials.create("openai", name="Mine", secrets={"api_key": Secret(A)})
    report = await kc.importer.run(form(A))
    assert (report.created, [one.id for one in report.skipped]) == ((), [mine.credential.id])
    assert await keys(house) == {A: ["gpt-a"]}


async def test_one_key_in_two_rows_is_one_account_with_the_models_of_both(house: House, kc: Keycairn) -> None:
    rows = [
        {"provider": "openai", "api_key": A, "models": ["gpt-1", "gpt-2"]},
        {"provider": "openai", "api_key": A, "models": ["gpt-2", "gpt-3"]},
    ]
    report = await kc.importer.run(Table(json_lines(rows)))
    assert (accounts(report), len(report.models)) == (1, 3)
    assert await keys(house) == {A: ["gpt-1", "gpt-2", "gpt-3"]}


async def test_one_key_at_two_addresses_is_two_accounts_at_every_run(house: House, kc: Keycairn) -> None:
    rows = [{"provider": "openai", "api_key": A, "base_url": f"https://{at}.example/v1"} for at in ("one", "two")]
    assert accounts(await kc.importer.run(Table(json_lines(rows)))) == 2
    assert accounts(await kc.importer.run(Table(json_lines(rows[::-1])))) == 0


async def test_a_variable_with_a_new_value_is_another_account(house: House, kc: Keycairn) -> None:
    name = "os.environ/OPENAI_API_KEY"
    for key in (A, B):
        source = LiteLlmConfig(
            {"model_list": [{"litellm_params": {"model": f"openai/gpt-{key[3:4]}", "api_key": name}}]},
            {"OPENAI_API_KEY": Secret(key)},
            [provider.spec for provider in house.registry.all()],
        )
        assert accounts(await kc.importer.run(source)) == 1
    assert await keys(house) == {A: ["gpt-a"], B: ["gpt-b"]}
    assert len({one.name for one in await house.store.credentials("default")}) == 2


async def test_an_account_that_waits_for_its_key_gets_it_and_waits_no_second_time(house: House, kc: Keycairn) -> None:
    document = {"model_list": [{"litellm_params": {"model": "openai/gpt-a", "api_key": "os.environ/OPENAI_API_KEY"}}]}
    specs = [provider.spec for provider in house.registry.all()]
    waiting = await kc.importer.run(LiteLlmConfig(document, {}, specs))
    healed = await kc.importer.run(LiteLlmConfig(document, {"OPENAI_API_KEY": Secret(A)}, specs))
    unset = await kc.importer.run(LiteLlmConfig(document, {}, specs))
    assert (accounts(waiting), len(healed.repaired), unset.created) == (1, 1, ())
    assert await keys(house) == {A: ["gpt-a"]}


async def test_a_name_beyond_the_first_page_is_known_to_be_taken(house: House, kc: Keycairn) -> None:
    many = [a_credential(name=f"T{number}") for number in range(MOST + 5)]
    await house.store.commit(tuple(map(AddCredential, many)))
    last = {"provider": "openai", "name": f"T{MOST + 4}", "api_key": A}
    assert len((await kc.importer.run(Table(json_lines([last])))).refused) == 1


NAMED = {"provider": "openai", "name": "Team A"}


async def test_a_name_that_a_person_gave_is_refused_with_another_key(house: House, kc: Keycairn) -> None:
    await kc.importer.run(Table(json_lines([{**NAMED, "api_key": A}])))
    other = await kc.importer.run(Table(json_lines([{**NAMED, "api_key": B, "models": ["gpt-b"]}])))
    assert (other.created, len(other.refused)) == ((), 1)
    assert "another key" in other.refused[0].reason
    assert B not in other.refused[0].reason
    assert await keys(house) == {A: []}
    twice = await kc.importer.run(Table(json_lines([{**NAMED, "name": "T", "api_key": key} for key in (B, C)])))
    assert (accounts(twice), len(twice.refused)) == (1, 1)


async def test_a_name_of_the_credential_list_is_refused_with_another_key(house: House, kc: Keycairn) -> None:
    for key, made, refused in ((A, 1, 0), (A, 0, 0), (B, 0, 1)):
        entry = {
            "credential_name": "shared",
            "credential_values": {"api_key": key},
            "credential_info": {"custom_llm_provider": "openai"},
        }
        report = await kc.importer.run(LiteLlmConfig({"credential_list": [entry]}, {}))
        assert (accounts(report), len(report.refused)) == (made, refused)
    assert list(await keys(house)) == [A]


async def test_an_entry_of_the_former_singleton_with_another_key_is_refused(house: House, kc: Keycairn) -> None:
    def record(key: str, **more: str) -> LegacyConfig:
        entry = {"name": "Work", "provider": "openai", "api_key": key, **more}
        return LegacyConfig({"credentials": {"openai": [entry]}}, None)

    assert accounts(await kc.importer.run(record(A, id="e1"))) == 1
    assert (await kc.importer.run(record(A, id="e1"))).skipped
    for other in (record(B, id="e1"), record(B, id="e2"), record(B)):
        report = await kc.importer.run(other)
        assert (report.created, len(report.refused)) == ((), 1)
    assert list(await keys(house)) == [A]


async def test_an_entry_of_the_former_singleton_may_be_put_on_top_of_one_of_its_name(
    house: House, kc: Keycairn
) -> None:
    def record(*keys: str) -> LegacyConfig:
        entries = [{"name": "Work", "provider": "openai", "api_key": key} for key in keys]
        return LegacyConfig({"credentials": {"openai": entries}}, None)

    await kc.importer.run(record(A, B))
    again = await kc.importer.run(record(C, A, B))
    assert (accounts(again), len(again.skipped), again.refused) == (1, 2, ())
    names = [one.name for one in await house.store.credentials("default")]
    assert len(set(names)) == 3


async def test_a_row_for_a_provider_that_has_an_account_stays_out_where_it_comes_in_alone(
    house: House, kc: Keycairn
) -> None:
    def alone(key: str) -> IncomingCredential:
        return IncomingCredential(
            where="OPENAI_API_KEY", provider="openai", name="Env", alone=True, secrets={"api_key": Secret(key)}
        )

    assert accounts(await kc.importer.take([alone(A)])) == 1
    assert [one.reason for one in (await kc.importer.take([alone(A)])).skipped] == ["it is here already"]
    assert len((await kc.importer.take([alone(B)])).refused) == 1
    assert list(await keys(house)) == [A]


async def test_an_account_without_a_key_is_known_by_its_address(house: House, kc: Keycairn) -> None:
    house.openai.spec = house.openai.spec.__class__(
        **{
            **{name: getattr(house.openai.spec, name) for name in house.openai.spec.__struct_fields__},
            "fields": house.openai.spec.fields[1:],
        }
    )
    house.registry.load(house.openai)
    mine = await kc.credentials.create("openai", name="Mine", settings={"base_url": "http://gpu.example:1/v1"})
    rows = [{"provider": "openai", "base_url": f"http://gpu.example:{port}/v1"} for port in (1, 2)]
    report = await kc.importer.run(Table(json_lines(rows)))
    assert (accounts(report), [one.id for one in report.skipped]) == (1, [mine.credential.id])
    assert accounts(await kc.importer.run(Table(json_lines(rows)))) == 0


async def test_a_record_with_the_id_of_its_source_stays_as_it_is_here_and_that_is_said(
    house: House, kc: Keycairn
) -> None:
    def one(key: str) -> IncomingCredential:
        return IncomingCredential(
            where="w", provider="openai", name="N", id="credential:abc", secrets={"api_key": Secret(key)}
        )

    await kc.importer.take([one(A)])
    [skipped] = (await kc.importer.take([one(B)])).skipped
    assert skipped.reason == "it is here already, with another key, which stays"
    assert await house.key_of(CredentialId("credential:abc")) == A
