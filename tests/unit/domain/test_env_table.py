"""What variables that real software reads mean: which account they make, at which host, or why none is made."""

from typing import Any

import pytest

from keycairn.domain.env_accounts import incoming, read_accounts
from keycairn.domain.environment import EnvironmentAccount, Place
from keycairn.domain.incoming import IncomingCredential, Refused
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry

SPECS = [provider.spec for provider in PluginRegistry(external=False).all()]
K = "sk-canary-4f9A7c2E81b6D05x"
OTHER = "sk-other-1f9A7c2E81b6D05y"
AZURE = {"AZURE_OPENAI_API_KEY": K, "AZURE_OPENAI_API_VERSION": "2024-10-21"}


def accounts(variables: dict[str, str], *others: dict[str, str], anyway: bool = False) -> list[EnvironmentAccount]:
    places = [
        Place(name, {key: Secret(text) for key, text in values.items()})
        for name, values in zip("abc", (variables, *others), strict=False)
    ]
    found = [one for one in read_accounts(SPECS, places, anyway=anyway) if one.variables]
    assert K not in repr(found)
    return found


def only(variables: dict[str, str], *others: dict[str, str], anyway: bool = False) -> EnvironmentAccount:
    found = accounts(variables, *others, anyway=anyway)
    assert len(found) == 1, [(one.provider, one.variables) for one in found]
    return found[0]


def refusal(variables: dict[str, str], *others: dict[str, str], anyway: bool = False) -> str:
    found = [one for one in accounts(variables, *others, anyway=anyway) if not one.usable]
    assert found, "it is not refused"
    row = incoming(found[0])
    assert isinstance(row, Refused)
    assert row.reason
    assert K not in row.reason
    assert OTHER not in row.reason
    return row.reason


KEYS = [
    ("openai", "OPENAI_API_KEY"),
    ("anthropic", "ANTHROPIC_API_KEY"),
    ("google", "GOOGLE_API_KEY"),
    ("google", "GEMINI_API_KEY"),
    ("google", "GOOGLE_GENERATIVE_AI_API_KEY"),
    ("google", "GOOGLE_KEY"),
    ("google", "LLM_GEMINI_KEY"),
    ("groq", "GROQ_API_KEY"),
    ("mistral", "MISTRAL_API_KEY"),
    ("deepseek", "DEEPSEEK_API_KEY"),
    ("xai", "XAI_API_KEY"),
    ("openrouter", "OPENROUTER_API_KEY"),
    ("openrouter", "OR_API_KEY"),
    ("openrouter", "OPENROUTER_KEY"),
    ("dashscope", "DASHSCOPE_API_KEY"),
    ("dashscope", "QWEN_API_KEY"),
    ("minimax", "MINIMAX_API_KEY"),
    ("novita", "NOVITA_API_KEY"),
    ("ppq", "PPQ_API_KEY"),
    ("cohere", "CO_API_KEY"),
    ("cohere", "COHERE_API_KEY"),
    ("voyage", "VOYAGE_API_KEY"),
    ("elevenlabs", "ELEVENLABS_API_KEY"),
    ("elevenlabs", "ELEVEN_API_KEY"),
    ("deepgram", "DEEPGRAM_API_KEY"),
    ("huggingface", "HF_TOKEN"),
    ("huggingface", "HUGGING_FACE_HUB_TOKEN"),
    ("huggingface", "HUGGINGFACEHUB_API_TOKEN"),
    ("huggingface", "HUGGINGFACE_API_KEY"),
]


@pytest.mark.parametrize(("provider", "name"), KEYS)
def test_a_key_alone_is_the_provider_s_own_and_goes_to_its_own_host(provider: str, name: str) -> None:
    found = only({name: f" {K}\n"})
    assert (found.provider, found.usable, dict(found.settings)) == (provider, True, {})
    assert found.secrets["api_key"] == Secret(K)
    assert found.agreeing == {"api_key": (name,)}


P = "https://proxy.example"
BASES = [
    ("openai", "OPENAI_BASE_URL", f"{P}/v1", f"{P}/v1"),
    ("openai", "OPENAI_API_BASE", f"{P}/v1", f"{P}/v1"),
    ("openai", "OPENAI_API_BASE_URL", f"{P}/v1", f"{P}/v1"),
    ("openai", "OPENAI_PROXY_URL", f"{P}/v1", f"{P}/v1"),
    ("openai", "OPENAI_REVERSE_PROXY", f"{P}/v1/chat/completions", f"{P}/v1"),
    ("anthropic", "ANTHROPIC_BASE_URL", P, P),
    ("anthropic", "ANTHROPIC_API_BASE", f"{P}/v1", f"{P}/v1"),
    ("anthropic", "ANTHROPIC_API_URL", P, P),
    ("anthropic", "ANTHROPIC_REVERSE_PROXY", P, P),
    ("google", "GOOGLE_GEMINI_BASE_URL", P, f"{P}/v1beta"),
    ("google", "GEMINI_API_BASE_URL", f"{P}/v1beta", f"{P}/v1beta"),
    ("google", "GEMINI_API_BASE", f"{P}/v1beta", f"{P}/v1beta"),
    ("groq", "GROQ_BASE_URL", P, f"{P}/openai/v1"),
    ("groq", "GROQ_BASE_URL", f"{P}/team/", f"{P}/team/openai/v1"),
    ("groq", "GROQ_BASE_URL", f"{P}/openai/v1/chat/completions", f"{P}/openai/v1"),
    ("groq", "GROQ_API_BASE", f"{P}/openai/v1", f"{P}/openai/v1"),
    ("groq", "GROQ_API_BASE", P, f"{P}/openai/v1"),
    ("mistral", "MISTRAL_BASE_URL", f"{P}/v1", f"{P}/v1"),
    ("mistral", "MISTRAL_API_BASE", f"{P}/v1", f"{P}/v1"),
    ("mistral", "MISTRAL_ENDPOINT", P, f"{P}/v1"),
    ("mistral", "MISTRAL_API_BASE", f"{P}/v1/chat/completions", f"{P}/v1"),
    ("mistral", "MISTRAL_ENDPOINT", f"{P}/v1/embeddings", f"{P}/v1"),
    ("mistral", "MISTRAL_ENDPOINT", f"{P}/v1", f"{P}/v1"),
    ("deepseek", "DEEPSEEK_API_BASE", f"{P}/beta", f"{P}/beta"),
    ("deepseek", "DEEPSEEK_BASE_URL", f"{P}/v1", f"{P}/v1"),
    ("deepseek", "DEEPSEEK_PROXY_URL", f"{P}/v1", f"{P}/v1"),
    ("xai", "XAI_API_BASE", f"{P}/v1", f"{P}/v1"),
    ("xai", "XAI_BASE_URL", f"{P}/v1", f"{P}/v1"),
    ("openrouter", "OPENROUTER_BASE_URL", f"{P}/api/v1", f"{P}/api/v1"),
    ("openrouter", "OPENROUTER_API_BASE", f"{P}/api/v1", f"{P}/api/v1"),
    ("dashscope", "DASHSCOPE_COMPATIBLE_BASE_URL", f"{P}/compatible-mode/v1", f"{P}/compatible-mode/v1"),
    ("dashscope", "DASHSCOPE_HTTP_BASE_URL", f"{P}/api/v1", f"{P}/compatible-mode/v1"),
    ("minimax", "MINIMAX_BASE_URL", f"{P}/v1", f"{P}/v1"),
    ("minimax", "MINIMAX_API_HOST", f"{P}/v1/text/chatcompletion_v2", f"{P}/v1"),
    ("minimax", "MINIMAX_API_HOST", P, f"{P}/v1"),
    ("novita", "NOVITA_API_BASE", f"{P}/v3/openai", f"{P}/v3/openai"),
    ("ppq", "PPQ_BASE_URL", f"{P}/v1", f"{P}/v1"),
    ("cohere", "CO_API_URL", P, P),
    ("cohere", "COHERE_API_BASE", f"{P}/v1/chat", f"{P}/v1"),
    ("voyage", "VOYAGE_API_BASE", f"{P}/v1", f"{P}/v1"),
    ("elevenlabs", "ELEVENLABS_API_BASE_URL", P, P),
    ("elevenlabs", "ELEVEN_BASE_URL", f"{P}/v1", f"{P}/v1"),
    ("deepgram", "DEEPGRAM_API_BASE", f"{P}/v1", f"{P}/v1"),
    ("deepgram", "DEEPGRAM_HOST", "proxy.example", P),
]
OWN_COMPATIBLE = {"openai": "openai_compatible", "anthropic": "anthropic_compatible"}


@pytest.mark.parametrize(("provider", "name", "value", "base"), BASES)
def test_the_address_beside_a_key_is_read_by_its_reader_s_habit(
    provider: str, name: str, value: str, base: str
) -> None:
    found = only({f"{provider.upper()}_API_KEY": K, name: value})
    assert found.refused == ""
    assert found.provider == OWN_COMPATIBLE.get(provider, provider)
    assert found.settings["base_url"] == base
    assert set(found.variables.values()) == {f"{provider.upper()}_API_KEY", name}


OWN_HOSTS = [
    ("openai", "OPENAI_BASE_URL", "https://api.openai.com/v1"),
    ("openai", "OPENAI_API_BASE", "https://eu.api.openai.com/v1"),
    ("anthropic", "ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
]


@pytest.mark.parametrize(("provider", "name", "value"), OWN_HOSTS)
def test_a_provider_s_own_host_stays_its_own_account(provider: str, name: str, value: str) -> None:
    assert only({f"{provider.upper()}_API_KEY": K, name: value}).provider == provider


def test_a_lookalike_of_a_provider_s_host_is_a_foreign_one() -> None:
    for host in ("api.openai.com.evil.example", "xapi.openai.com", "openai.com"):
        found = only({"OPENAI_API_KEY": K, "OPENAI_BASE_URL": f"https://{host}/v1"})
        assert found.provider == "openai_compatible"


def test_what_the_other_provider_does_not_have_is_left_behind_by_name() -> None:
    found = only({"OPENAI_API_KEY": K, "OPENAI_BASE_URL": f"{P}/v1", "OPENAI_ORG_ID": "org-1"})
    assert any("OPENAI_ORG_ID" in note for note in found.notes)


AZURE_WAYS: list[tuple[dict[str, str], str]] = [
    ({**AZURE, "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"}, "https://x.openai.azure.com"),
    ({**AZURE, "AZURE_RESOURCE_NAME": "x"}, "https://x.openai.azure.com"),
    (
        {"AZURE_API_KEY": K, "AZURE_API_BASE": "https://x.openai.azure.com", "AZURE_API_VERSION": "2024-10-21"},
        "https://x.openai.azure.com",
    ),
    (
        {"AZURE_API_KEY": K, "AZURE_ENDPOINT": "https://x.openai.azure.com/", "OPENAI_API_VERSION": "2024-10-21"},
        "https://x.openai.azure.com/",
    ),
    (
        {
            "AZURE_OPENAI_API_KEY": K,
            "OPENAI_API_VERSION": "2024-10-21",
            "AZURE_OPENAI_ENDPOINT": "https://x.cognitiveservices.azure.com",
        },
        "https://x.cognitiveservices.azure.com",
    ),
]


@pytest.mark.parametrize(("variables", "endpoint"), AZURE_WAYS, ids=[str(number) for number in range(5)])
def test_azure_s_names_in_every_way(variables: dict[str, str], endpoint: str) -> None:
    found = only(variables)
    assert (found.provider, found.usable) == ("azure", True), found.refused
    assert found.settings == {"endpoint": endpoint, "api_version": "2024-10-21"}


def test_an_openai_address_never_supplies_azure_s_endpoint() -> None:
    found = accounts({**AZURE, "OPENAI_BASE_URL": "https://x.openai.azure.com"})
    assert {one.provider: one.usable for one in found} == {"openai_compatible": False, "azure": False}
    assert all("incomplete" in one.why_not for one in found)


@pytest.mark.parametrize("host", ["https://api.openai.com/v1", "https://gateway.corp.example", "http://localhost:1"])
def test_an_endpoint_that_is_none_of_azure_s_is_asked_about(host: str) -> None:
    variables = {**AZURE, "AZURE_OPENAI_ENDPOINT": host}
    assert "AZURE_OPENAI_ENDPOINT" in refusal(variables)
    assert only(variables, anyway=True).usable


OLLAMA = [
    ({"OLLAMA_API_BASE": "http://gpu:11434"}, "http://gpu:11434"),
    ({"OLLAMA_BASE_URL": "http://gpu:11434"}, "http://gpu:11434"),
    ({"OLLAMA_HOST": "gpu"}, "http://gpu:11434"),
    ({"OLLAMA_HOST": "gpu:8000"}, "http://gpu:8000"),
    ({"OLLAMA_HOST": "https://gpu.example"}, "https://gpu.example"),
    ({"OLLAMA_HOST": "0.0.0.0", "OLLAMA_BASE_URL": "http://gpu:1"}, "http://gpu:1"),
    ({"OLLAMA_HOST": "0.0.0.0:11434", "OLLAMA_API_BASE": "http://gpu:1"}, "http://gpu:1"),
    ({"OLLAMA_HOST": ":11434", "OLLAMA_API_BASE": "http://gpu:1"}, "http://gpu:1"),
    ({"OLLAMA_HOST": "http://[::]:11434", "OLLAMA_API_BASE": "http://gpu:1"}, "http://gpu:1"),
]


@pytest.mark.parametrize(("variables", "base"), OLLAMA, ids=[str(number) for number in range(9)])
def test_ollama_s_server_is_where_it_is_called_and_not_where_it_listens(variables: dict[str, str], base: str) -> None:
    assert only(variables).settings == {"base_url": base}


def test_an_address_to_listen_at_alone_configures_nothing() -> None:
    assert accounts({"OLLAMA_HOST": "0.0.0.0"}) == []


UNREAD = [
    ("openai", "OPENAI_API_HOST"),
    ("openai", "OPENAI_PROXY"),
    ("openai", "OPENAI_BASEURL"),
    ("openai", "openai_base_url"),
    ("openai", "OPENAI_API_URL"),
    ("openai", "OPENAI_ENDPOINT"),
    ("openai", "OPENAI_RESOURCE"),
    ("openai", "OPENAI_INSTANCE_NAME"),
    ("groq", "GROQ_HOSTNAME"),
    ("mistral", "MISTRAL_GATEWAY"),
    ("google", "GOOGLE_API_ENDPOINT"),
    ("google", "GEMINI_HOST"),
    ("anthropic", "ANTHROPIC_ENDPOINT"),
    ("anthropic", "ANTHROPIC_BEDROCK_BASE_URL"),
    ("cohere", "CO_BASE_URL"),
    ("deepgram", "DEEPGRAM_URL"),
    ("dashscope", "DASHSCOPE_WEBSOCKET_BASE_URL"),
    ("dashscope", "DASHSCOPE_API_REGION"),
    ("dashscope", "DASHSCOPE_WORKSPACE_ID"),
    ("elevenlabs", "ELEVENLABS_HOST"),
    ("xai", "XAI_API_HOST"),
    ("openrouter", "OPENROUTER_URL"),
    ("huggingface", "HF_ENDPOINT"),
    ("huggingface", "HF_INFERENCE_ENDPOINT"),
    ("huggingface", "HUGGINGFACE_BASE_URL"),
]


@pytest.mark.parametrize(("provider", "name"), UNREAD)
def test_what_looks_like_an_address_and_is_not_understood_holds_the_account_back_by_name(
    provider: str, name: str
) -> None:
    variables = {f"{provider.upper()}_API_KEY": K, name: "somewhere.example"}
    reason = refusal(variables)
    assert name in reason
    assert "--anyway" in reason
    found = only(variables, anyway=True)
    assert (found.usable, found.provider) == (True, provider)


BESIDE = [
    ("openai", "OPENAI_LOG", "debug"),
    ("openai", "OPENAI_API_VERSION", "2024-10-21"),
    ("openai", "OPENAI_DATABASE", "x"),
    ("openai", "OPENAI_MODEL", "gpt-4o"),
    ("openai", "OPENAI_API_HOST", " "),
    ("openai", "MY_OPENAI_BASE_URL", P),
    ("openrouter", "OPENROUTER_APP_URL", P),
    ("google", "GOOGLE_CLOUD_QUOTA_HOST", "x"),
    ("anthropic", "ANTHROPIC_MODEL", "claude"),
]


@pytest.mark.parametrize(("provider", "name", "value"), BESIDE)
def test_what_says_nothing_about_the_host_holds_nothing_back(provider: str, name: str, value: str) -> None:
    found = accounts({f"{provider.upper()}_API_KEY": K, name: value})
    assert [one.usable for one in found if one.provider == provider] == [True]


DIFFERENT: list[tuple[dict[str, str], tuple[str, str]]] = [
    (
        {"OPENAI_API_KEY": K, "OPENAI_BASE_URL": f"{P}/v1", "OPENAI_API_BASE": "https://b.example/v1"},
        ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ),
    (
        {"OPENAI_API_KEY": K, "OPENAI_BASE_URL": f"{P}/v1", "OPENAI_API_BASE": "http://proxy.example/v1"},
        ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ),
    (
        {"OPENAI_API_KEY": K, "OPENAI_BASE_URL": f"{P}/v1", "OPENAI_API_BASE": f"{P}:8443/v1"},
        ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ),
    ({"GOOGLE_API_KEY": K, "GEMINI_API_KEY": OTHER}, ("GOOGLE_API_KEY", "GEMINI_API_KEY")),
    ({"CO_API_KEY": K, "COHERE_API_KEY": OTHER}, ("CO_API_KEY", "COHERE_API_KEY")),
    ({"ANTHROPIC_API_KEY": K, "ANTHROPIC_AUTH_TOKEN": OTHER}, ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")),
    (
        {**AZURE, "AZURE_API_KEY": OTHER, "AZURE_RESOURCE_NAME": "x"},
        ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
    ),
    (
        {**AZURE, "AZURE_RESOURCE_NAME": "x", "AZURE_API_BASE": "https://y.openai.azure.com"},
        ("AZURE_API_BASE", "AZURE_RESOURCE_NAME"),
    ),
    (
        {"OLLAMA_HOST": "one", "OLLAMA_BASE_URL": "http://two:11434"},
        ("OLLAMA_HOST", "OLLAMA_BASE_URL"),
    ),
    ({"OPENROUTER_API_KEY": K, "OR_API_KEY": OTHER}, ("OPENROUTER_API_KEY", "OR_API_KEY")),
]


@pytest.mark.parametrize(("variables", "names"), DIFFERENT, ids=[str(number) for number in range(10)])
def test_two_that_differ_are_refused_with_both_names_whatever_is_said(
    variables: dict[str, str], names: tuple[str, str]
) -> None:
    for anyway in (False, True):
        reason = refusal(variables, anyway=anyway)
        assert all(name in reason for name in names), reason


def test_variables_that_say_the_same_are_one_account_and_all_are_told() -> None:
    found = only(
        {
            "GROQ_API_KEY": K,
            "GROQ_BASE_URL": P,
            "GROQ_API_BASE": f"{P}/openai/v1/",
        }
    )
    assert found.agreeing == {"api_key": ("GROQ_API_KEY",), "base_url": ("GROQ_BASE_URL", "GROQ_API_BASE")}
    assert only({"GOOGLE_API_KEY": K, "GEMINI_API_KEY": K}).agreeing["api_key"] == ("GOOGLE_API_KEY", "GEMINI_API_KEY")


def test_one_host_with_two_paths_is_read_in_order_and_the_other_is_told() -> None:
    found = only({"DEEPSEEK_API_KEY": K, "DEEPSEEK_BASE_URL": f"{P}/v1", "DEEPSEEK_API_BASE": f"{P}/beta"})
    assert (found.usable, found.settings["base_url"]) == (True, f"{P}/v1")
    assert found.agreeing["base_url"] == ("DEEPSEEK_BASE_URL",)
    assert any("DEEPSEEK_API_BASE" in note for note in found.notes)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "${OPENAI_BASE}",
        "$OPENAI_BASE",
        "os.environ/OPENAI_BASE",
        "<your endpoint>",
        "https://<resource>.example",
        "https://your-proxy.example",
        "https://YOUR_RESOURCE.example/v1",
        "https://xxx.example/v1",
        "https://proxy.example/v1 # ours",
        "not a url",
        "proxy.example/v1",
        "ftp://proxy.example",
        "change-me",
        "https://user:pass@proxy.example/v1",
    ],
)
@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_an_address_that_says_nothing_is_refused_and_never_the_default(name: str, value: str) -> None:
    for anyway in (False, True):
        assert name in refusal({"OPENAI_API_KEY": K, name: value}, anyway=anyway)


SWITCHES = [
    ({"OPENAI_API_KEY": K, "OPENAI_API_TYPE": "azure"}, "OPENAI_API_TYPE"),
    ({"OPENAI_API_KEY": K, "OPENAI_API_TYPE": "Azure", "OPENAI_API_BASE": "https://x.openai.azure.com"}, "AZURE"),
    ({"OPENAI_API_KEY": K, "OPENAI_API_TYPE": "azure_ad"}, "OPENAI_API_TYPE"),
    ({"GOOGLE_API_KEY": K, "GOOGLE_GENAI_USE_VERTEXAI": "true"}, "GOOGLE_GENAI_USE_VERTEXAI"),
    ({"GEMINI_API_KEY": K, "GOOGLE_GENAI_USE_VERTEXAI": "1"}, "GOOGLE_GENAI_USE_VERTEXAI"),
    ({"GOOGLE_API_KEY": K, "GOOGLE_CSE_ID": "a1"}, "GOOGLE_CSE_ID"),
    ({"MISTRAL_API_KEY": K, "MISTRAL_SA_TOKEN_PATH": "/token"}, "MISTRAL_SA_TOKEN_PATH"),
    ({"VOYAGE_API_KEY": K, "VOYAGE_API_KEY_PATH": "/key"}, "VOYAGE_API_KEY_PATH"),
]


@pytest.mark.parametrize(("variables", "name"), SWITCHES, ids=[str(number) for number in range(8)])
def test_a_switch_under_which_a_key_is_another_s_is_read_first(variables: dict[str, str], name: str) -> None:
    for anyway in (False, True):
        assert name in refusal(variables, anyway=anyway)


@pytest.mark.parametrize("name", ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"])
def test_a_switch_of_one_program_is_asked_about(name: str) -> None:
    variables = {"ANTHROPIC_API_KEY": K, name: "1"}
    assert name in refusal(variables)
    assert only(variables, anyway=True).usable


def test_a_switch_that_is_off_changes_nothing() -> None:
    for name, value in (("GOOGLE_GENAI_USE_VERTEXAI", "false"), ("OPENAI_API_TYPE", "open_ai"), ("GOOGLE_CSE_ID", "")):
        key = "GOOGLE_API_KEY" if name.startswith("GOOGLE") else "OPENAI_API_KEY"
        assert only({key: K, name: value}).usable


def test_the_key_of_a_search_does_not_take_that_of_gemini_along() -> None:
    found = only({"GOOGLE_API_KEY": OTHER, "GEMINI_API_KEY": K, "GOOGLE_CSE_ID": "a1"})
    assert (found.usable, found.agreeing) == (True, {"api_key": ("GEMINI_API_KEY",)})


FOREIGN = [
    ("OPENAI_API_KEY", "sk-ant-api03-0123456789"),
    ("OPENAI_API_KEY", "sk-or-v1-0123456789"),
    ("OPENAI_API_KEY", "gsk_0123456789abcdef"),
    ("OPENAI_API_KEY", "AIzaSyA0123456789"),
    ("OPENAI_API_KEY", "xai-0123456789abcdef"),
    ("ANTHROPIC_API_KEY", "sk-or-v1-0123456789"),
    ("GROQ_API_KEY", "sk-ant-api03-0123456789"),
    ("VOYAGE_API_KEY", "al-0123456789abcdef"),
    ("DEEPSEEK_API_KEY", "gsk_0123456789abcdef"),
    ("MISTRAL_API_KEY", "sk-or-v1-0123456789"),
]


@pytest.mark.parametrize(("name", "key"), FOREIGN)
def test_a_key_that_begins_as_another_provider_s_goes_nowhere(name: str, key: str) -> None:
    for anyway in (False, True):
        assert name in refusal({name: key}, anyway=anyway)


def test_a_key_that_begins_as_another_provider_s_goes_to_that_provider_s_host() -> None:
    variables = {"OPENAI_API_KEY": "sk-or-v1-0123456789", "OPENAI_BASE_URL": "https://openrouter.ai/api/v1"}
    assert only(variables).provider == "openai_compatible"
    to_another = {**variables, "OPENAI_BASE_URL": "https://proxy.example/v1"}
    assert "OPENAI_API_KEY" in refusal(to_another)
    assert only(to_another, anyway=True).usable
    voyage = {"VOYAGE_API_KEY": "al-0123456789", "VOYAGE_API_BASE": "https://ai.mongodb.com/v1"}
    assert only(voyage).settings == {"base_url": "https://ai.mongodb.com/v1"}


def test_a_bearer_token_stays_one() -> None:
    for variables, provider in (
        ({"ANTHROPIC_AUTH_TOKEN": K}, "anthropic"),
        ({"ANTHROPIC_AUTH_TOKEN": K, "ANTHROPIC_BASE_URL": P}, "anthropic_compatible"),
        (
            {"ANTHROPIC_COMPATIBLE_AUTH_TOKEN": K, "ANTHROPIC_COMPATIBLE_BASE_URL": P},
            "anthropic_compatible",
        ),
    ):
        found = only(variables)
        assert (found.provider, found.usable, list(found.secrets)) == (provider, True, ["auth_token"])


PAIRS = {"OPENAI_API_KEYS": f"{K};{OTHER}", "OPENAI_API_BASE_URLS": "https://api.openai.com/v1;https://b.example/v1"}


def test_keys_with_as_many_addresses_are_paired_by_their_places() -> None:
    found = accounts(PAIRS)
    assert [(one.provider, one.usable, one.settings["base_url"]) for one in found] == [
        ("openai", True, "https://api.openai.com/v1"),
        ("openai_compatible", True, "https://b.example/v1"),
    ]
    assert [one.secrets["api_key"] for one in found] == [Secret(K), Secret(OTHER)]
    assert found[0].variables == {"api_key": "OPENAI_API_KEYS", "base_url": "OPENAI_API_BASE_URLS"}
    assert not any(one.agreeing for one in found), "a list is never said to be removable"


def test_an_empty_address_in_a_list_is_the_provider_s_own() -> None:
    found = accounts({**PAIRS, "OPENAI_API_BASE_URLS": ";https://b.example/v1"})
    assert [(one.provider, dict(one.settings)) for one in found] == [
        ("openai", {}),
        ("openai_compatible", {"base_url": "https://b.example/v1"}),
    ]


def test_a_single_key_beside_a_list_is_an_account_of_its_own() -> None:
    third = "sk-third-9f9A7c2E81b6D05z"
    found = accounts({**PAIRS, "OPENAI_API_KEY": third})
    assert [one.secrets["api_key"].reveal() for one in found] == [third, K, OTHER]


def test_several_servers_of_ollama_are_several_accounts() -> None:
    found = accounts({"OLLAMA_BASE_URLS": "http://one:11434;http://two:11434"})
    assert [one.settings["base_url"] for one in found] == ["http://one:11434", "http://two:11434"]


LISTS: list[dict[str, str]] = [
    {"OPENAI_API_KEYS": f"{K};{OTHER}"},
    {"OPENAI_API_KEYS": f"{K};{OTHER}", "OPENAI_API_BASE_URLS": "https://b.example/v1"},
    {"OPENAI_API_KEYS": K, "OPENAI_API_BASE_URLS": "https://a.example/v1;https://b.example/v1"},
    {"OPENAI_API_KEYS": f"{K};", "OPENAI_API_BASE_URLS": "https://a.example/v1;https://b.example/v1"},
    {"OPENAI_API_KEYS": f"{K},{OTHER}"},
    {"OPENAI_API_KEY": f"{K},{OTHER}"},
    {"OPENAI_API_KEY": f"{K};{OTHER}"},
    {"OPENAI_API_KEY": f"{K} {OTHER}"},
    {"OPENAI_API_KEY_1": K},
    {"GROQ_API_KEY_2": K},
    {"GROQ_API_KEYS": f"{K};{OTHER}"},
    {"OPENAI_API_KEY": K, "OPENAI_API_BASE_URLS": "https://a.example/v1;https://b.example/v1"},
]


@pytest.mark.parametrize("variables", LISTS, ids=[str(number) for number in range(12)])
def test_a_list_that_can_be_read_in_several_ways_is_refused(variables: dict[str, str]) -> None:
    assert next(iter(variables)).removesuffix("S") in refusal(variables)


@pytest.mark.parametrize(
    "value",
    [
        "user_provided",
        "sk-...",
        "# only if you use it",
        "your-api-key",
        "xxx",
        "change-me-1",
        "sk-1234",
        "EMPTY",
        "token-abc123",
        "fake-api-key",
        f"{K}#x",
        f"{K} # mine",
        f'{K}"x',
        f"{K}'",
        f"{K}\\n",
        f"{K}$x",
        "${KEY}",
        f"{K}\u200b",
        "sk-cän",
    ],
)
def test_a_key_that_is_none_or_is_read_in_different_ways_is_refused(value: str) -> None:
    for anyway in (False, True):
        assert "OPENAI_API_KEY" in refusal({"OPENAI_API_KEY": value}, anyway=anyway)


@pytest.mark.parametrize("value", [f'"{K}"', f"'{K}'", f"Bearer {K}", f"OPENAI_API_KEY={K}"])
def test_what_stands_around_a_key_is_taken_off_and_that_is_said(value: str) -> None:
    found = only({"OPENAI_API_KEY": value})
    assert (found.usable, found.secrets["api_key"]) == (True, Secret(K))
    assert any("OPENAI_API_KEY" in note for note in found.notes)


def test_a_short_word_is_the_key_of_ones_own_server() -> None:
    found = only({"OPENAI_API_KEY": "ollama", "OPENAI_BASE_URL": "http://localhost:11434/v1"})
    assert (found.provider, found.usable) == ("openai_compatible", True)


PLACES: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"OPENAI_API_KEY": K}, {"OPENAI_BASE_URL": f"{P}/v1"}),
    ({"OPENAI_BASE_URL": f"{P}/v1"}, {"OPENAI_API_KEY": K}),
    ({"OPENAI_API_BASE": f"{P}/v1"}, {"OPENAI_API_KEY": K}),
    ({"GROQ_API_KEY": K}, {"GROQ_HOSTNAME": "x"}),
    ({**AZURE}, {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"}),
]


@pytest.mark.parametrize(("first", "second"), PLACES, ids=[str(number) for number in range(5)])
def test_a_key_goes_to_no_address_of_another_place_and_not_past_it_either(
    first: dict[str, str], second: dict[str, str]
) -> None:
    reason = refusal(first, second)
    assert "another place" in reason or "incomplete" in reason


def test_the_first_place_with_a_key_is_read_and_what_says_no_host_may_stand_elsewhere() -> None:
    found = only({"OPENAI_API_KEY": K}, {"OPENAI_API_KEY": OTHER, "OPENAI_ORG_ID": "org-1"})
    assert (found.usable, found.secrets["api_key"]) == (True, Secret(K))
    assert found.settings == {"organization": "org-1"}
    assert found.agreeing["api_key"] == (), "another value of it stands elsewhere"


def test_a_switch_of_another_place_counts_too() -> None:
    assert "OPENAI_API_TYPE" in refusal({"OPENAI_API_KEY": K}, {"OPENAI_API_TYPE": "azure"})


def test_the_same_address_by_another_name_elsewhere_is_no_contradiction() -> None:
    mine = {"GROQ_API_KEY": K, "GROQ_BASE_URL": P}
    assert only(mine, {"GROQ_API_BASE": f"{P}/openai/v1"}).usable
    assert "GROQ_API_BASE" in refusal(mine, {"GROQ_API_BASE": "https://other.example/openai/v1"})


def test_the_same_in_both_places_is_one_account() -> None:
    both = {"OPENAI_API_KEY": K, "OPENAI_BASE_URL": f"{P}/v1"}
    found = only(both, both)
    assert (found.usable, found.agreeing["base_url"]) == (True, ("OPENAI_BASE_URL",))


BEDROCK = {"AWS_BEARER_TOKEN_BEDROCK": K, "AWS_REGION": "us-east-1"}


def test_an_address_of_all_of_amazon_s_services_holds_bedrock_back_and_those_of_others_do_not() -> None:
    assert only(BEDROCK).usable
    assert only({**BEDROCK, "AWS_ENDPOINT_URL_S3": "https://s3.example"}).usable
    assert "AWS_ENDPOINT_URL" in refusal({**BEDROCK, "AWS_ENDPOINT_URL": "https://all.example"})
    found = only({**BEDROCK, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://vpce.example"})
    assert found.settings["base_url"] == "https://vpce.example"
    assert "AWS_DEFAULT_REGION" in refusal({**BEDROCK, "AWS_DEFAULT_REGION": "eu-west-1"})


VERTEX = {"VERTEX_PROJECT": "p", "VERTEX_LOCATION": "us-central1"}


def test_vertex_by_its_names() -> None:
    assert only({**VERTEX, "GOOGLE_APPLICATION_CREDENTIALS": "/sa.json"}).settings["credentials_path"] == "/sa.json"
    found = only({"VERTEXAI_PROJECT": "p", "VERTEXAI_LOCATION": "eu", "GOOGLE_VERTEX_BASE_URL": P})
    assert (found.provider, found.settings["base_url"]) == ("vertex", P)
    assert "VERTEX_LOCATION" in refusal({**VERTEX, "VERTEXAI_LOCATION": "europe-west4"})


COMPATIBLE: list[dict[str, Any]] = [
    {"OPENAI_COMPATIBLE_BASE_URL": f"{P}/v1", "OPENAI_COMPATIBLE_API_KEY": K},
    {"OPENAI_LIKE_API_BASE": f"{P}/v1", "OPENAI_LIKE_API_KEY": K},
]


@pytest.mark.parametrize("variables", COMPATIBLE, ids=["ours", "litellm"])
def test_compatible_servers_by_their_names(variables: dict[str, str]) -> None:
    assert only(variables).provider == "openai_compatible"


def test_the_addresses_of_one_family_are_not_those_of_another() -> None:
    found = {one.provider: one for one in accounts({"OPENAI_API_KEY": K, **COMPATIBLE[0]})}
    assert found["openai"].settings == {}
    assert found["openai_compatible"].settings == {"base_url": f"{P}/v1"}


def test_the_row_says_where_it_comes_from_and_what_was_read() -> None:
    row = incoming(only({"GROQ_API_KEY": K, "GROQ_BASE_URL": P}), migrated=True)
    assert isinstance(row, IncomingCredential)
    assert row.where == "groq: GROQ_API_KEY, GROQ_BASE_URL"
    assert row.variables == {"api_key": "GROQ_API_KEY", "base_url": "GROQ_BASE_URL"}
