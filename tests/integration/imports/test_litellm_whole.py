"""A LiteLLM config as somebody has it who has used it for long: forty entries come in whole, and once."""

from typing import Any

import pytest
from tests.house import FakeProvider, House

from keycairn.adapters.imports.litellm import LiteLlmConfig
from keycairn.app.keycairn import Keycairn
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry

SPECS = [provider.spec for provider in PluginRegistry(external=False).all()]
VARIABLES = {
    "OPENAI_API_KEY": "sk-env-openai-0123456789",
    "OPENAI_API_KEY_EU": "sk-env-openai-eu-0123456789",
    "ANTHROPIC_API_KEY": "sk-ant-env-0123456789abcd",
    "GROQ_API_KEY": "gsk_env0123456789abcdef",
    "GEMINI_API_KEY": "AIzaEnv0123456789abcdefghij",
    "AZURE_API_KEY": "az-env-0123456789abcdef",
    "AZURE_API_BASE": "https://team.openai.azure.com",
    "AZURE_API_VERSION": "2024-10-21",
    "OLLAMA_API_BASE": "http://gpu:11434",
}


def entry(name: str, model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, **params}}


ENTRIES = [
    # one name at three accounts of one provider, with weights
    entry("gpt-4o", "openai/gpt-4o", api_key="os.environ/OPENAI_API_KEY", weight=3),
    entry("gpt-4o", "openai/gpt-4o", api_key="os.environ/OPENAI_API_KEY_EU", weight=2),
    entry("gpt-4o", "openai/gpt-4o", api_key="sk-literal-one-0123456789", rpm=10),
    # one name over providers, in order
    entry("fast", "groq/llama-3.3-70b", order=1),
    entry("fast", "openai/gpt-4o-mini", order=2),
    entry("fast", "gemini/gemini-2.5-flash", api_key="os.environ/GEMINI_API_KEY", order=3),
    entry("smart", "anthropic/claude-sonnet-4-5"),
    entry("smart", "azure/gpt-5-deployment", api_key="os.environ/AZURE_API_KEY", api_base="os.environ/AZURE_API_BASE"),
    entry("azure-named", "azure/other", litellm_credential_name="eu-azure"),
    entry("local", "ollama/llama3.2"),
    entry("local-embed", "ollama/nomic-embed-text"),
    entry("lm", "openai/qwen", api_base="http://localhost:1234/v1", api_key="lm-studio"),
    entry("vllm", "hosted_vllm/mistral", api_base="http://vllm:8000/v1", api_key="EMPTY"),
    entry("proxy", "openai/gpt-4o", api_base="https://proxy.example/v1", api_key="sk-literal-two-0123456789"),
    entry("openai/*", "openai/*", api_key="os.environ/OPENAI_API_KEY"),
    entry("anthropic/claude-*", "anthropic/claude-*"),
    entry("embed", "openai/text-embedding-3-small"),
    entry("embed", "openai/text-embedding-3-large", api_key="sk-literal-one-0123456789"),
    entry("whisper", "whisper-1"),
    entry("speech", "openai/tts-1", api_key="os.environ/OPENAI_API_KEY"),
    *(entry(f"team-{n}", "openai/gpt-4o-mini", api_key=f"sk-team-{n}-0123456789abcd") for n in range(12)),
    *(entry(f"groq-{n}", f"groq/model-{n}", api_key="os.environ/GROQ_API_KEY") for n in range(4)),
    *(entry(f"claude-{n}", f"anthropic/claude-{n}", max_tokens=100) for n in range(4)),
]
DOCUMENT = {
    "model_list": ENTRIES,
    "credential_list": [
        {
            "credential_name": "eu-azure",
            "credential_values": {
                "api_key": "az-eu-0123456789abcdef",
                "api_base": "https://eu.openai.azure.com/openai/deployments/other/chat/completions?api-version=2024-10-21",
            },
            "credential_info": {"custom_llm_provider": "azure"},
        }
    ],
    "litellm_settings": {"drop_params": True},
}


@pytest.fixture
async def kc() -> Keycairn:
    house = House()
    for spec in SPECS:
        house.registry.load(FakeProvider(spec))
    return await house.open()


def source(entries: list[dict[str, Any]] | None = None) -> LiteLlmConfig:
    document = DOCUMENT if entries is None else {**DOCUMENT, "model_list": entries}
    return LiteLlmConfig(document, {name: Secret(value) for name, value in VARIABLES.items()}, SPECS)


async def test_forty_entries_come_in_whole_and_the_second_time_there_is_nothing_to_do(kc: Keycairn) -> None:
    assert len(ENTRIES) == 40
    planned = await kc.importer.run(source(), dry_run=True)
    done = await kc.importer.run(source())

    assert done.refused == ()
    assert [(one.id, one.name, one.models) for one in planned.created] == [
        (one.id, one.name, one.models) for one in done.created
    ]
    stored = [one.credential for one in await kc.credentials.list()]
    assert len(stored) == len(done.created) == 24
    assert len({(one.provider, one.name) for one in stored}) == len(stored)
    models = [model for one in stored for model in await kc.credentials.linked_models(one.id)]
    assert len(models) == 38, "all but the two wildcards"
    assert sorted(model.weight for model in models if model.name == "gpt-4o") == [0, 2, 3]
    assert [one.provider for one in stored if one.options.any_model] == ["anthropic", "openai"]

    before = await kc.store.revision()
    again = await kc.importer.run(source())
    assert (again.created, again.repaired, again.models, again.relinked, again.refused) == ((), (), (), (), ())
    assert len(again.skipped) >= len(done.created)
    assert await kc.store.revision() == before


async def test_the_same_file_in_another_order_with_one_more_entry_brings_that_one(kc: Keycairn) -> None:
    await kc.importer.run(source())
    more = entry("new", "groq/new", api_key="gsk_new0123456789abcdef")
    again = await kc.importer.run(source([more, *ENTRIES[::-1]]))
    assert ([one.models for one in again.created], again.refused) == ([("new",)], ())
