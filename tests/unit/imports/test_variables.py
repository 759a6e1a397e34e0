"""Whose variables a file to import may name."""

from typing import Any

import pytest

from keycairn.adapters.imports.litellm import LiteLlmConfig
from keycairn.domain.incoming import IncomingCredential, Refused
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry

SPECS = [provider.spec for provider in PluginRegistry(external=False).all()]
Row = IncomingCredential | Refused
CANARY = "canary-4f9A7c2E81b6D05x"
OURS = ("KEYCAIRN_ROOT_KEY", "KEYCAIRN_ADMIN_TOKEN", "KEYCAIRN_DATABASE_PASSWORD", "keycairn_root_key", "Keycairn_X")
OTHERS = ("AWS_SECRET_ACCESS_KEY", "HOME", "OPEN_NOTEBOOK_ENCRYPTION_KEY", "SURREAL_PASSWORD", "GITHUB_TOKEN", "MY_KEY")
LITELLM_OF = {"openai": "openai", "anthropic": "anthropic", "azure": "azure", "google": "gemini", "groq": "groq"}


async def rows(params: dict[str, Any], allowed: tuple[str, ...] = (), **variables: Any) -> list[Row]:
    values = {name: Secret(value) for name, value in variables.items()}
    document = {"model_list": [{"model_name": "m", "litellm_params": params}]}
    found = [one async for one in LiteLlmConfig(document, values, SPECS, allowed).rows()]
    return [one for one in found if isinstance(one, IncomingCredential | Refused)]


async def row(params: dict[str, Any], allowed: tuple[str, ...] = (), **variables: Any) -> IncomingCredential:
    (only,) = [one for one in await rows(params, allowed, **variables) if isinstance(one, IncomingCredential)]
    return only


def told(one: Row) -> str:
    secrets = one.secrets if isinstance(one, IncomingCredential) else {}
    return repr((one, {name: secret.reveal() for name, secret in secrets.items()}))


@pytest.mark.parametrize("name", [*OURS, *OTHERS, "ANTHROPIC_API_KEY", "OPENAI_COMPATIBLE_API_KEY"])
@pytest.mark.parametrize("place", ["api_key", "api_base", "base_url", "api_version", "vertex_project", "num_ctx"])
async def test_a_variable_of_nobody_s_or_another_s_is_not_read(name: str, place: str) -> None:
    params = {"model": "openai/gpt-4o", "api_base": "http://attacker.example", "api_key": "sk-x-0123456789"}
    held: dict[str, Any] = {name: CANARY}
    [one] = await rows({**params, place: f"os.environ/{name}"}, **held)
    assert CANARY not in told(one)
    said = one.reason if isinstance(one, Refused) else " ".join((*one.unopened.values(), *one.notes))
    assert isinstance(one, Refused) is (place in {"api_base", "base_url"})
    if name.upper().startswith("KEYCAIRN_"):
        assert "Keycairn's own" in said
    else:
        assert f"--allow-variable {name}" in said


@pytest.mark.parametrize("name", OURS)
async def test_keycairns_own_are_not_read_even_where_they_are_allowed(name: str) -> None:
    one = await row({"model": "openai/gpt-4o", "api_key": f"os.environ/{name}"}, (name,), **{name: CANARY})
    assert CANARY not in told(one)


@pytest.mark.parametrize("name", OTHERS)
async def test_another_is_read_where_it_is_allowed(name: str) -> None:
    one = await row({"model": "openai/gpt-4o", "api_key": f"os.environ/{name}"}, (name,), **{name: CANARY})
    assert one.secrets["api_key"].reveal() == CANARY
    assert not one.unopened


@pytest.mark.parametrize("provider", LITELLM_OF)
async def test_the_providers_own_are_read(provider: str) -> None:
    spec = next(spec for spec in SPECS if spec.name == provider)
    declared = [name for field in spec.fields if field.secret and field.name == "api_key" for name in field.env]
    litellms = f"{LITELLM_OF[provider].upper()}_API_KEY"
    for name in (*declared, litellms, f"{litellms}_EU", f"{litellms}_2"):
        params = {"model": f"{LITELLM_OF[provider]}/m-1", "api_key": f"os.environ/{name}"}
        held: dict[str, Any] = {name: CANARY}
        assert (await row(params, **held)).secrets["api_key"].reveal() == CANARY, name


async def test_a_key_is_read_where_a_key_is_wanted_and_not_where_it_would_be_shown() -> None:
    for place in ("api_base", "api_version", "vertex_project"):
        params = {"model": "azure/d", "api_key": "az-0123456789", place: "os.environ/AZURE_OPENAI_API_KEY"}
        [one] = await rows(params, AZURE_OPENAI_API_KEY=CANARY)
        assert CANARY not in told(one)
    params = {"model": "azure/d", "api_key": "az-0123456789", "api_base": "os.environ/AZURE_API_BASE"}
    one = await row(params, AZURE_API_BASE="https://x.example")
    assert one.settings == {"endpoint": "https://x.example"}


async def test_references_of_a_shared_credential_are_judged_by_the_provider_that_uses_it() -> None:
    document = {
        "model_list": [
            {"litellm_params": {"model": "openai/a", "litellm_credential_name": "c"}},
            {"litellm_params": {"model": "groq/b", "litellm_credential_name": "c"}},
        ],
        "credential_list": [{"credential_name": "c", "credential_values": {"api_key": "os.environ/OPENAI_API_KEY"}}],
    }
    rows = [one async for one in LiteLlmConfig(document, {"OPENAI_API_KEY": Secret(CANARY)}, SPECS).rows()]
    by = {one.provider: one for one in rows if isinstance(one, IncomingCredential)}
    assert by["openai"].secrets["api_key"].reveal() == CANARY
    assert CANARY not in told(by["groq"])


@pytest.mark.parametrize(
    "text",
    [
        "os.environ/sk-canary-4f9A7c2E81b6D05x",
        "os.environ/",
        "os.environ/A B",
        "os.environ/../X",
        "os.environ/" + "A" * 99,
        "os.environ/AIzaSyA1234567890abcdefghijkl",
    ],
)
async def test_what_is_no_name_of_a_variable_is_repeated_nowhere(text: str) -> None:
    one = await row({"model": "openai/gpt-4o", "api_key": text})
    assert text.removeprefix(
        "os.environ/"
    ) not in f"{one.name} {one.where} {one.notes} {one.unopened}" or text.endswith("/")


@pytest.mark.parametrize("text", ["${KEYCAIRN_ROOT_KEY}", "$OPENAI_API_KEY", "env:OPENAI_API_KEY", "OS.ENVIRON/HOME"])
async def test_no_other_form_of_a_reference_is_followed(text: str) -> None:
    one = await row({"model": "openai/gpt-4o", "api_key": text}, KEYCAIRN_ROOT_KEY=CANARY, OPENAI_API_KEY=CANARY)
    assert one.secrets["api_key"].reveal() == text


async def test_no_reference_is_followed_in_the_name_of_a_model_or_a_provider() -> None:
    for params in (
        {"model": "os.environ/OPENAI_API_KEY"},
        {"model": "gpt-4o", "custom_llm_provider": "os.environ/OPENAI_API_KEY"},
    ):
        one = await row({**params, "api_key": "sk-x-0123456789"}, OPENAI_API_KEY=CANARY)
        assert CANARY not in told(one)


async def test_a_key_of_the_environment_that_goes_where_the_file_says_is_told() -> None:
    params = {"model": "openai/m", "api_key": "os.environ/OPENAI_API_KEY", "api_base": "https://proxy.example/v1"}
    one = await row(params, OPENAI_API_KEY=CANARY)
    assert any("OPENAI_API_KEY" in note for note in one.notes)
