"""LiteLLM's model groups come in as names of ours, and as pools."""

from typing import Any

import pytest
from tests.house import LANGUAGE, FakeProvider, House, plain_spec

from keycairn.adapters.imports.litellm import LiteLlmConfig
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.models import ModelPatch
from keycairn.domain.incoming import ImportReport
from keycairn.domain.options import Options
from keycairn.domain.provider import FieldKind, FieldSpec
from keycairn.domain.routing import ordered
from keycairn.domain.secret import Secret
from keycairn.plugins.providers.bedrock import PROVIDER as BEDROCK

AZURE = plain_spec(
    "azure",
    fields=(
        FieldSpec(name="api_key", label="API key", secret=True, env=("AZURE_API_KEY",)),
        FieldSpec(name="endpoint", label="Endpoint", kind=FieldKind.URL, env=("AZURE_ENDPOINT",)),
    ),
)
KEYS = {name: f"sk-{name}-canary-0123456789" for name in ("one", "two", "azure")}


@pytest.fixture
async def kc() -> Keycairn:
    house = House()
    for spec in (AZURE, plain_spec("groq")):
        house.registry.load(FakeProvider(spec))
    return await house.open()


def entry(name: str, model: str, key: str = "one", **params: Any) -> dict[str, Any]:
    base = {"api_base": "https://prod.example"} if model.startswith("azure/") else {}
    return {"model_name": name, "litellm_params": {"model": model, "api_key": KEYS[key], **base, **params}}


async def take(kc: Keycairn, *entries: dict[str, Any]) -> ImportReport:
    return await kc.importer.run(LiteLlmConfig({"model_list": list(entries)}, {}))


async def serving(kc: Keycairn, name: str) -> list[tuple[str, str]]:
    rows = await kc.store.models("default", name=name, limit=None)
    return [(row.provider, row.own_name) for row in ordered(rows, None)]


async def shares(kc: Keycairn, name: str) -> list[tuple[str, int, int]]:
    rows = await kc.store.models("default", name=name, limit=None)
    return sorted((row.own_name, row.priority, row.weight) for row in rows)


async def test_an_alias_is_a_name_of_ours(kc: Keycairn) -> None:
    await take(kc, entry("house-chat", "openai/gpt-4o"))
    assert await serving(kc, "house-chat") == [("openai", "gpt-4o")]
    assert await serving(kc, "gpt-4o") == []


async def test_a_group_is_a_pool_across_providers(kc: Keycairn) -> None:
    await take(kc, entry("gpt-4o", "azure/prod-4o", "azure"), entry("gpt-4o", "openai/gpt-4o"))
    assert sorted(await serving(kc, "gpt-4o")) == [("azure", "prod-4o"), ("openai", "gpt-4o")]


async def test_a_group_of_two_keys_of_one_model_has_both(kc: Keycairn) -> None:
    await take(kc, entry("gpt-4o", "openai/gpt-4o", "one"), entry("gpt-4o", "openai/gpt-4o", "two"))
    assert await serving(kc, "gpt-4o") == [("openai", "gpt-4o")] * 2


@pytest.mark.parametrize("name", ["gpt-4o", "openai/gpt-4o"])
async def test_a_model_under_its_providers_own_name_has_no_other(kc: Keycairn, name: str) -> None:
    await take(kc, entry(name, "openai/gpt-4o"))
    (model,) = await kc.models.list()
    assert (model.name, model.provider_model) == ("gpt-4o", None)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (({"weight": 3}, {"weight": 1}), (3, 1)),
        (({"weight": 0.7}, {"weight": 0.3}), (1000, 429)),
        (({"weight": 2}, {}), (2, 0)),
        (({}, {"weight": 9}), (1, 1)),
        (({"rpm": 900}, {"rpm": 100}), (900, 100)),
        (({"tpm": 10_000_000}, {"tpm": 5_000_000}), (1000, 500)),
        (({"weight": True}, {"weight": "5"}), (1, 1)),
        (({"weight": float("inf")}, {}), (1, 1)),
        (({"weight": -1}, {}), (1, 1)),
        (({"weight": 0}, {"weight": 0}), (0, 0)),
    ],
)
async def test_a_groups_weights_come_in(kc: Keycairn, given: tuple[dict[str, Any], ...], kept: tuple[int, ...]) -> None:
    await take(kc, entry("g", "openai/a", **given[0]), entry("g", "openai/b", **given[1]))
    assert await shares(kc, "g") == [("a", 0, kept[0]), ("b", 0, kept[1])]


async def test_the_order_of_a_group_comes_in_as_priorities(kc: Keycairn) -> None:
    await take(kc, entry("g", "openai/a", order=2), entry("g", "openai/b", order=1), entry("g", "openai/c", order="x"))
    assert await shares(kc, "g") == [("a", 2, 1), ("b", 1, 1), ("c", 0, 1)]


async def test_what_served_a_name_before_comes_into_its_pool(kc: Keycairn) -> None:
    made = await kc.credentials.create(
        "openai", name="w", settings={}, secrets={"api_key": Secret("sk-before-0123456789")}
    )
    plain = await kc.models.create("gpt-4o", provider="openai", type=LANGUAGE, credential=made.credential.id)
    await take(kc, entry("gpt-4o", "azure/prod-4o", "azure"), entry("gpt-4o", "azure/spare-4o", "azure"))
    assert sorted(await serving(kc, "gpt-4o")) == [
        ("azure", "prod-4o"),
        ("azure", "spare-4o"),
        ("openai", "gpt-4o"),
    ]
    assert (await kc.models.get(plain.id)).provider_model == "gpt-4o"


async def test_an_account_that_is_here_gets_the_groups_it_lacks(kc: Keycairn) -> None:
    await take(kc, entry("gpt-4o", "openai/gpt-4o"))
    again = await take(kc, entry("gpt-4o", "openai/gpt-4o"), entry("gpt-4o", "azure/prod-4o", "azure"))
    assert sorted(await serving(kc, "gpt-4o")) == [("azure", "prod-4o"), ("openai", "gpt-4o")]
    assert [one.provider for one in again.created] == ["azure"]


async def test_forty_entries_come_in_whole_and_once(kc: Keycairn) -> None:
    entries = [
        entry(f"group-{number % 8}", f"{'openai' if number % 3 else 'groq'}/m-{number}", ("one", "two")[number % 2])
        for number in range(40)
    ]
    report = await take(kc, *entries)
    assert (len(report.models), report.refused) == (40, ())
    before = [(row.id, row.version) for row in await kc.models.list()]

    again = await take(kc, *entries)

    assert (again.created, again.models, again.refused) == ((), (), ())
    assert [(row.id, row.version) for row in await kc.models.list()] == before
    assert {len(await serving(kc, f"group-{number}")) for number in range(8)} == {5}


async def test_a_name_that_was_changed_here_stays(kc: Keycairn) -> None:
    await take(kc, entry("g", "openai/a"))
    (model,) = await kc.models.list()
    await kc.models.update(model.id, ModelPatch(name="ours"))
    await take(kc, entry("g", "openai/a"))
    names = sorted(row.name for row in await kc.models.list())
    assert names == ["ours"]


@pytest.mark.parametrize("name", ["default:chat", "model:1", "x" * 301, "a\nb"])
async def test_a_name_no_call_can_mean_is_refused_with_its_place(kc: Keycairn, name: str) -> None:
    report = await take(kc, entry(name, "openai/a"), entry("good", "openai/b"))
    assert [row.name for row in await kc.models.list()] == ["good"]
    (refused,) = report.refused
    assert "model_list[1]" in refused.where


@pytest.mark.parametrize(
    ("name", "model", "where"),
    [
        ("openai/*", "openai/*", "openai"),
        ("*", "groq/*", "groq"),
        ("gpt-*", "openai/gpt-*", "openai"),
        ("claude-x", "groq/*", "groq"),
    ],
)
async def test_a_wildcard_opens_its_account_for_any_model(kc: Keycairn, name: str, model: str, where: str) -> None:
    report = await take(kc, entry(name, model), entry("good", "azure/prod", "azure"))
    made = {listed.credential.provider: listed.credential.options for listed in await kc.credentials.list()}
    assert made == {where: Options(any_model=True), "azure": Options()}
    assert [row.name for row in await kc.models.list()] == ["good"]
    assert f"any model of it can be called, as {where}/NAME" in report.created[0].notes
    again = await take(kc, entry(name, model), entry("good", "azure/prod", "azure"))
    assert (again.created, again.models, again.refused) == ((), (), ())


async def test_a_wildcard_for_every_provider_is_refused_with_what_to_do(kc: Keycairn) -> None:
    report = await take(kc, entry("*", "*"))
    assert [one.reason for one in report.refused] == [
        "it stands for models of every provider; name each, as provider/*"
    ]


async def test_accounts_of_amazon_are_told_apart_by_their_keys() -> None:
    house = House()
    house.registry.load(BEDROCK)
    kc = await house.open()
    aws = {"aws_region_name": "us-east-1", "aws_secret_access_key": "secret-canary-0123456789"}
    entries = [
        {"model_name": name, "litellm_params": {"model": "bedrock/amazon.nova", "aws_access_key_id": key, **aws}}
        for name, key in (("a", "AKIAIOSFODNN7EXAMPL1"), ("b", "AKIAIOSFODNN7EXAMPL2"), ("c", "AKIAIOSFODNN7EXAMPL1"))
    ]
    report = await take(kc, *entries)
    assert [(one.provider, one.models) for one in report.created] == [("bedrock", ("a", "c")), ("bedrock", ("b",))]
    assert {listed.credential.settings["region"] for listed in await kc.credentials.list()} == {"us-east-1"}


async def test_the_context_that_a_file_tells_comes_in(kc: Keycairn) -> None:
    told = {**entry("a", "openai/a"), "model_info": {"max_input_tokens": 128_000}}
    odd = {**entry("b", "openai/b"), "model_info": {"max_input_tokens": "many"}}
    await take(kc, told, odd)
    assert {row.name: row.context_length for row in await kc.models.list()} == {"a": 128_000, "b": None}
