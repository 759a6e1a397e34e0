"""LiteLLM configs as people have them: whose account an entry is, where its key goes, and what is left behind."""

from typing import Any

import pytest

from keycairn.adapters.imports.litellm import LiteLlmConfig, parse_yaml
from keycairn.domain.incoming import IncomingCredential, Refused
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry

SPECS = [provider.spec for provider in PluginRegistry(external=False).all()]
K = "sk-canary-4f9A7c2E81b6D05x"
OTHER = "sk-other-1f9A7c2E81b6D05y"
Row = IncomingCredential | Refused


async def rows(text: str | dict[str, Any], *, anyway: bool = False, **variables: str) -> list[Row]:
    document = parse_yaml(text.encode()) if isinstance(text, str) else text
    values = {name: Secret(value) for name, value in variables.items()}
    found = [one async for one in LiteLlmConfig(document, values, SPECS, anyway=anyway).rows()]
    assert K not in repr(found)
    return [one for one in found if isinstance(one, IncomingCredential | Refused)]


async def entry(*, anyway: bool = False, variables: dict[str, str] | None = None, **params: Any) -> Row:
    [only] = await rows({"model_list": [{"litellm_params": params}]}, anyway=anyway, **(variables or {}))
    return only


def account(row: Row) -> IncomingCredential:
    assert isinstance(row, IncomingCredential), row
    return row


def refused(row: Row) -> str:
    assert isinstance(row, Refused), row
    return row.reason


ADDRESSES = [
    "os.environ/OPENAI_API_BASE",
    "os.environ/UNSET",
    "os.environ/",
    "os.environ/KEYCAIRN_HOST",
    "",
    "  ",
    "${OPENAI_API_BASE}",
    "$OPENAI_API_BASE",
    "https://<resource>.example",
    "https://your-proxy.example",
    7,
    ["https://proxy.example"],
]


@pytest.mark.parametrize("address", ADDRESSES, ids=[str(number) for number in range(12)])
@pytest.mark.parametrize("name", ["api_base", "base_url"])
async def test_a_key_whose_address_cannot_be_read_stays_out(name: str, address: Any) -> None:
    row = await entry(**{"model": "openai/gpt-4o", "api_key": K, name: address})
    assert "address" in refused(row)


async def test_an_address_that_can_be_read_the_next_time_comes_in_then() -> None:
    params: dict[str, Any] = {"model": "openai/gpt-4o", "api_key": K, "api_base": "os.environ/OPENAI_API_BASE"}
    assert refused(await entry(**params))
    row = account(await entry(**params, variables={"OPENAI_API_BASE": "https://proxy.example/v1"}))
    assert row.settings == {"base_url": "https://proxy.example/v1"}


IMPLICIT = [
    ("openai/gpt-4o", "OPENAI_API_KEY", "openai"),
    ("gpt-4o", "OPENAI_API_KEY", "openai"),
    ("anthropic/claude-4", "ANTHROPIC_API_KEY", "anthropic"),
    ("claude-4", "ANTHROPIC_API_KEY", "anthropic"),
    ("gemini/gemini-2.5-flash", "GEMINI_API_KEY", "google"),
    ("gemini/gemini-2.5-flash", "GOOGLE_API_KEY", "google"),
    ("groq/llama-3.3", "GROQ_API_KEY", "groq"),
    ("mistral/mistral-small", "MISTRAL_API_KEY", "mistral"),
    ("cohere/command-r", "COHERE_API_KEY", "cohere"),
    ("cohere_chat/command-r", "CO_API_KEY", "cohere"),
    ("deepseek/deepseek-chat", "DEEPSEEK_API_KEY", "deepseek"),
    ("xai/grok-4", "XAI_API_KEY", "xai"),
    ("openrouter/openai/gpt-4o", "OPENROUTER_API_KEY", "openrouter"),
    ("openrouter/openai/gpt-4o", "OR_API_KEY", "openrouter"),
    ("voyage/voyage-3", "VOYAGE_API_KEY", "voyage"),
]


@pytest.mark.parametrize(("model", "variable", "provider"), IMPLICIT)
async def test_an_entry_without_a_key_has_that_of_its_provider_s_variable(
    model: str, variable: str, provider: str
) -> None:
    row = account(await entry(model=model, variables={variable: K, "UNRELATED_API_KEY": OTHER}))
    assert (row.provider, row.secrets["api_key"]) == (provider, Secret(K))
    assert row.name == f"{variable} (LiteLLM)"
    assert any(variable in note for note in row.notes)


async def test_the_key_of_another_provider_s_variable_is_nobody_s() -> None:
    row = account(await entry(model="groq/llama-3.3", variables={"OPENAI_API_KEY": K}))
    assert row.secrets == {}, "the door refuses it for the key that it lacks"


async def test_a_key_of_the_environment_goes_to_no_address_of_the_file_unless_the_file_names_both() -> None:
    params: dict[str, Any] = {"model": "openai/gpt-4o", "api_base": "https://proxy.example/v1"}
    assert "api_key: os.environ/OPENAI_API_KEY" in refused(await entry(**params, variables={"OPENAI_API_KEY": K}))
    named = account(await entry(**params, api_key="os.environ/OPENAI_API_KEY", variables={"OPENAI_API_KEY": K}))
    assert (named.secrets["api_key"], named.settings) == (Secret(K), {"base_url": "https://proxy.example/v1"})


@pytest.mark.parametrize("params", [{}, {"api_key": "os.environ/OPENAI_API_KEY"}])
async def test_a_key_of_the_environment_goes_where_the_environment_says(params: dict[str, Any]) -> None:
    variables = {"OPENAI_API_KEY": K, "OPENAI_API_BASE": "https://proxy.example/v1"}
    row = account(await entry(model="openai/gpt-4o", **params, variables=variables))
    assert (row.provider, row.settings) == ("openai_compatible", {"base_url": "https://proxy.example/v1"})
    assert [model.provider for model in row.models] == ["openai_compatible"]


@pytest.mark.parametrize("params", [{}, {"api_key": "os.environ/GROQ_API_KEY"}])
async def test_what_the_environment_says_and_nobody_understands_holds_it_back(params: dict[str, Any]) -> None:
    variables = {"GROQ_API_KEY": K, "GROQ_HOSTNAME": "x"}
    assert "GROQ_HOSTNAME" in refused(await entry(model="groq/llama", **params, variables=variables))
    assert account(await entry(model="groq/llama", **params, variables=variables, anyway=True)).secrets


async def test_a_key_that_the_file_holds_is_not_the_environment_s_business() -> None:
    row = account(await entry(model="openai/gpt-4o", api_key=K, variables={"OPENAI_API_BASE": "https://p.example/v1"}))
    assert (row.provider, row.settings) == ("openai", {})


async def test_ollama_is_where_the_environment_says() -> None:
    row = account(await entry(model="ollama/llama3", variables={"OLLAMA_API_BASE": "http://gpu:11434"}))
    assert row.settings == {"base_url": "http://gpu:11434"}
    assert account(await entry(model="ollama/llama3")).settings == {}
    own = account(await entry(model="ollama/llama3", api_base="http://own:11434"))
    assert own.settings == {"base_url": "http://own:11434"}


async def test_the_file_s_own_variables_come_first_and_may_name_anything() -> None:
    text = f"""
      environment_variables: {{OPENAI_API_KEY: {K}, TEAM_KEY: {OTHER}, GROQ_API_KEY: os.environ/GROQ_API_KEY}}
      model_list:
        - litellm_params: {{model: openai/gpt-4o}}
        - litellm_params: {{model: openai/gpt-4o-mini, api_key: os.environ/TEAM_KEY}}
        - litellm_params: {{model: groq/llama, api_key: os.environ/GROQ_API_KEY}}
    """
    found = [
        account(row) for row in await rows(text, OPENAI_API_KEY="sk-of-the-process", GROQ_API_KEY="gsk_0123456789")
    ]
    assert [one.secrets["api_key"].reveal() for one in found] == [K, OTHER, "gsk_0123456789"]


@pytest.mark.parametrize("name", ["KEYCAIRN_ROOT_KEY", "AWS_SECRET_ACCESS_KEY", "ANTHROPIC_API_KEY"])
async def test_the_file_s_own_variables_open_no_way_to_others(name: str) -> None:
    text = f"""
      environment_variables: {{OPENAI_API_KEY: os.environ/{name}}}
      model_list: [{{litellm_params: {{model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}}}}]
    """
    held: dict[str, Any] = {name: K}
    [row] = await rows(text, **held)
    assert account(row).secrets == {}
    assert account(row).unopened


@pytest.mark.parametrize("model", ["anthropic/claude-*", "openai/*", "groq/*", "openai/gpt-4*"])
async def test_a_wildcard_is_any_model_of_its_account_and_no_model(model: str) -> None:
    row = account(await entry(model=model, api_key=K))
    assert (row.models, row.any_model) == ((), True)


async def test_a_wildcard_over_all_providers_is_refused_in_plain_words() -> None:
    assert "every provider" in refused(await entry(model="*", api_key=K))


async def test_a_parameter_that_is_left_behind_is_named() -> None:
    odd: dict[str, Any] = {K: 1, "Not A Name": 2, "aws_session_token": "x"}
    row = account(await entry(model="openai/gpt-4o", api_key=K, drop_params=True, rpm=5, **odd))
    assert "left behind: drop_params" in row.notes
    assert any(note.startswith("left behind: aws_session_token, a secret") for note in row.notes)
    assert not any("rpm" in note or "Not A Name" in note for note in row.notes)


async def test_vertex_s_service_account_is_taken_over() -> None:
    row = account(await entry(model="vertex_ai/gemini", vertex_project="p", vertex_credentials='{"type": "x"}'))
    assert list(row.secrets) == ["service_account"]
