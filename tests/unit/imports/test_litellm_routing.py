"""What a LiteLLM config says of names that stand for others comes in, and what does not is named."""

from collections.abc import Mapping
from typing import Any

import pytest

from keycairn.adapters.imports.litellm import LiteLlmConfig
from keycairn.domain.incoming import IncomingCredential, LeftBehind, Refused

ENTRIES = [
    ("smart", "openai/gpt-4o", "one", {"weight": 3}),
    ("smart", "openai/gpt-4o", "two", {"weight": 1, "order": 2}),
    ("cheap", "groq/llama-3.3", "three", {}),
    ("gemini/flash", "gemini/flash", "four", {}),
    ("embed", "openai/text-embedding-3-small", "one", {}),
    ("anthropic/*", "anthropic/*", "five", {}),
]
Served = set[tuple[str, str, int, int]]


def document(**sections: Any) -> dict[str, Any]:
    models = [
        {"model_name": name, "litellm_params": {"model": model, "api_key": f"sk-{key}-0123456789abc", **params}}
        for name, model, key, params in ENTRIES
    ]
    return {"model_list": models, **sections}


async def read(config: Mapping[str, Any]) -> tuple[dict[str, Served], dict[str, str], dict[str, str]]:
    """Who serves each name: provider, its model, priority and weight; what was refused, and what left behind."""
    served: dict[str, Served] = {}
    refused: dict[str, str] = {}
    left: dict[str, str] = {}
    async for row in LiteLlmConfig(config, {}).rows():
        if isinstance(row, IncomingCredential):
            for model in row.models:
                own = model.provider_model or model.name
                served.setdefault(model.name, set()).add((row.provider, own, model.priority, model.weight))
        elif isinstance(row, Refused):
            refused[row.where] = row.reason
        elif isinstance(row, LeftBehind):
            left[row.where] = row.reason
    return served, refused, left


SMART = {("openai", "gpt-4o", 0, 3), ("openai", "gpt-4o", 2, 1)}
CHEAP = ("groq", "llama-3.3")


@pytest.mark.parametrize("section", ["router_settings", "litellm_settings"])
@pytest.mark.parametrize("target", ["smart", {"model": "smart"}])
async def test_an_alias_of_a_group_has_its_members(section: str, target: object) -> None:
    served, refused, _ = await read(document(**{section: {"model_group_alias": {"gpt-4": target}}}))
    assert (served["gpt-4"], served["smart"], refused) == (SMART, SMART, {})


async def test_a_hidden_alias_can_be_called_and_the_report_says_that_it_shows() -> None:
    alias = {"gpt-4": {"model": "smart", "hidden": True}}
    served, _, left = await read(document(router_settings={"model_group_alias": alias}))
    assert served["gpt-4"] == SMART
    assert "hidden" in left["model_group_alias/gpt-4"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("anthropic/claude-haiku", ("anthropic", "claude-haiku", 0, 1)),
        ("gemini/flash", ("google", "flash", 0, 1)),
    ],
)
async def test_an_alias_may_stand_for_one_model_of_a_provider(target: str, expected: object) -> None:
    served, refused, _ = await read(document(router_settings={"model_group_alias": {"mine": target}}))
    assert (served["mine"], refused) == ({expected}, {})


@pytest.mark.parametrize(
    ("alias", "target", "why"),
    [
        ("gpt-4", "nobody", "no model_name"),
        ("gpt-4", "groq/other", "no model_name"),
        ("gpt-4", "anthropic/", "no model_name"),
        ("gpt-4", 7, "names no group"),
        ("gpt-4", {"hidden": True}, "names no group"),
        ("default:chat", "smart", "no name of a model"),
        (" ", "smart", "no name of a model"),
        (5, "smart", "no name of a model"),
        ("cheap", "smart", "called so too"),
    ],
)
async def test_an_alias_that_cannot_be_is_refused_with_the_reason(alias: object, target: object, why: str) -> None:
    served, refused, _ = await read(document(router_settings={"model_group_alias": {alias: target}}))
    assert why in refused[f"model_group_alias/{alias}"]
    assert served["cheap"] == {(*CHEAP, 0, 1)}


@pytest.mark.parametrize("section", ["router_settings", "litellm_settings"])
@pytest.mark.parametrize("spares", [["cheap"], "cheap", [{"model": "cheap", "max_tokens": 5}], ["cheap", "cheap"]])
async def test_what_a_group_falls_back_to_comes_after_its_own_members(section: str, spares: object) -> None:
    served, refused, _ = await read(document(**{section: {"fallbacks": [{"smart": spares}]}}))
    assert (served["smart"], refused) == ({*SMART, (*CHEAP, 3, 1)}, {})
    assert served["cheap"] == {(*CHEAP, 0, 1)}


async def test_fallbacks_keep_their_order() -> None:
    served, refused, _ = await read(document(litellm_settings={"fallbacks": [{"cheap": ["smart", "gemini/flash"]}]}))
    others = {("openai", "gpt-4o", 1, 3), ("openai", "gpt-4o", 3, 1), ("google", "flash", 4, 1)}
    assert (served["cheap"], refused) == ({(*CHEAP, 0, 1), *others}, {})


async def test_groups_that_fall_back_to_each_other_do_so_once() -> None:
    wishes = [{"smart": ["cheap"]}, {"cheap": ["smart"]}]
    served, _, _ = await read(document(litellm_settings={"fallbacks": wishes}))
    assert served["smart"] == {*SMART, (*CHEAP, 3, 1)}
    assert served["cheap"] == {(*CHEAP, 0, 1), ("openai", "gpt-4o", 1, 3), ("openai", "gpt-4o", 3, 1)}


async def test_an_alias_has_the_fallbacks_of_its_group() -> None:
    config = document(router_settings={"model_group_alias": {"gpt-4": "smart"}, "fallbacks": [{"smart": ["cheap"]}]})
    served, _, _ = await read(config)
    assert served["gpt-4"] == {*SMART, (*CHEAP, 3, 1)}


async def test_a_fallback_for_all_is_for_those_that_have_none_of_their_own_and_never_of_another_kind() -> None:
    settings = {"default_fallbacks": ["cheap"], "fallbacks": [{"gemini/flash": ["anthropic/claude-haiku"]}]}
    served, refused, _ = await read(document(litellm_settings=settings))
    assert served["smart"] == {*SMART, (*CHEAP, 3, 1)}
    assert served["gemini/flash"] == {("google", "flash", 0, 1), ("anthropic", "claude-haiku", 1, 1)}
    assert served["embed"] == {("openai", "text-embedding-3-small", 0, 1)}
    assert refused == {}


async def test_a_fallback_to_nobody_is_refused_with_the_reason_and_the_rest_comes_in() -> None:
    served, refused, _ = await read(document(router_settings={"fallbacks": [{"smart": ["nobody", "cheap"]}]}))
    assert served["smart"] == {*SMART, (*CHEAP, 3, 1)}
    assert list(refused) == ["fallbacks/smart: nobody"]


@pytest.mark.parametrize("name", ["nobody", "anthropic/*", "groq/other"])
async def test_fallbacks_of_a_name_that_is_no_group_are_refused_with_the_reason(name: str) -> None:
    served, refused, _ = await read(document(router_settings={"fallbacks": [{name: ["cheap"]}]}))
    assert served["smart"] == SMART
    assert "no model_name" in refused[f"fallbacks/{name}"]


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, [5], [{"smart": 7}], [{5: ["cheap"]}], [[]]])
@pytest.mark.parametrize("setting", ["fallbacks", "default_fallbacks", "model_group_alias"])
async def test_settings_of_an_odd_shape_stop_nothing(setting: str, odd: object) -> None:
    served, _, _ = await read(document(router_settings={setting: odd}))
    assert served["smart"] == SMART


async def test_what_is_not_taken_over_is_named_and_never_quoted() -> None:
    config = document(
        router_settings={"routing_strategy": "least-busy", "model_group_alias": {}},
        litellm_settings={"drop_params": True, "sk-canary with words": 1},
        general_settings={"master_key": "sk-canary-0123456789"},
        callbacks=["langfuse"],
    )
    _, refused, left = await read(config)
    assert left == {
        "router_settings": "left behind: routing_strategy",
        "litellm_settings": "left behind: a name that is no plain word, drop_params",
        "general_settings": "left behind: master_key",
        "callbacks": "left behind",
    }
    assert refused == {}
