import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from tests.plugin_points import BUILT_INS, Installed, failure, installing, provider, supplying

from keycairn.domain.environment import read_account
from keycairn.domain.errors import UnknownProviderError
from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account, FieldSpec, ProviderSpec
from keycairn.domain.secret import Secret
from keycairn.plugins import hookspecs
from keycairn.plugins.hookspecs import hookimpl
from keycairn.plugins.openai_base import OpenAICompatible
from keycairn.plugins.registry import BUILT_IN, PluginRegistry
from keycairn.ports.provider import LoadedProvider, Provider


@pytest.fixture
def installed() -> Iterator[Installed]:
    yield from installing()


def test_the_built_in_providers_come_from_a_plugin_like_any_other() -> None:
    registry = PluginRegistry(external=False)
    (status,) = registry.plugins()
    assert (status.origin, status.failure, list(status.providers)) == (BUILT_IN, None, BUILT_INS)
    assert BUILT_INS[:3] == ["openai", "anthropic", "google"]
    registry.check_pending()


@pytest.mark.parametrize("name", ["openai_compatible", "OpenAI-Compatible", " OPENAI_COMPATIBLE "])
def test_a_provider_is_found_in_any_spelling(name: str) -> None:
    assert PluginRegistry(external=False).get(name).spec.name == "openai_compatible"


def test_an_unknown_provider_is_an_error() -> None:
    with pytest.raises(UnknownProviderError):
        PluginRegistry(external=False).get("acme")


def test_an_installed_plugin_adds_its_providers_after_the_built_in_ones(installed: Installed) -> None:
    registry = PluginRegistry(found=[installed("acme", supplying(provider()))])
    assert [one.spec.name for one in registry.all()] == [*BUILT_INS, "acme"]
    assert registry.plugins()[1].providers == ("acme",)
    assert registry.plugins()[1].api_version == hookspecs.API_VERSION


def test_external_plugins_can_be_turned_off(installed: Installed) -> None:
    registry = PluginRegistry(external=False, found=[installed("acme", supplying(provider()))])
    assert len(registry.plugins()) == 1


def test_a_plugin_that_cannot_be_imported_is_reported() -> None:
    point = EntryPoint("broken", "kc_no_such_module:plugin", hookspecs.ENTRY_POINTS)
    assert "kc_no_such_module" in failure(PluginRegistry(found=[point]), "broken")


def test_a_failing_hook_is_reported_without_its_text(installed: Installed) -> None:
    class Plugin:
        @hookimpl
        def keycairn_providers(self) -> Iterable[Provider]:
            raise RuntimeError("sk-from-the-environment")

    told = failure(PluginRegistry(found=[installed("broken", Plugin())]), "broken")
    assert "RuntimeError at test_registry.py" in told
    assert "sk-from" not in told


@pytest.mark.parametrize(
    "error",
    [
        ImportError("no sk-canary-0123456789"),
        ModuleNotFoundError("No module named", name="sk-canary-0123456789"),
        type("sk-canary-0123456789", (Exception,), {})("sk-canary-0123456789"),
    ],
)
def test_what_a_plugin_says_when_it_fails_is_not_repeated(installed: Installed, error: Exception) -> None:
    class Plugin:
        @hookimpl
        def keycairn_providers(self) -> Iterable[Provider]:
            raise error

    told = failure(PluginRegistry(found=[installed("broken", Plugin())]), "broken")
    assert "canary" not in told
    assert "keycairn_providers failed" in told


def test_a_plugin_that_ends_the_process_only_ends_itself(installed: Installed) -> None:
    class Plugin:
        @hookimpl
        def keycairn_providers(self) -> Iterable[Provider]:
            sys.exit(3)

    assert "SystemExit" in failure(PluginRegistry(found=[installed("broken", Plugin())]), "broken")


def test_a_misspelt_hook_is_reported(installed: Installed) -> None:
    class Plugin:
        @hookimpl
        def keycairn_provider(self) -> Iterable[Provider]:
            return ()

    registry = PluginRegistry(found=[installed("broken", Plugin()), installed("good", supplying(provider()))])
    assert "keycairn_provider" in failure(registry, "broken")
    assert registry.get("acme")
    registry.check_pending()


def test_a_hook_with_a_parameter_nobody_passes_is_reported(installed: Installed) -> None:
    class Plugin:
        @hookimpl
        def keycairn_providers(self, settings: object) -> Iterable[Provider]:  # that is the fault
            return ()

    assert "settings" in failure(PluginRegistry(found=[installed("broken", Plugin())]), "broken")


def test_a_hook_that_hangs_is_left_behind(installed: Installed) -> None:
    class Plugin:
        @hookimpl
        def keycairn_providers(self) -> Iterable[Provider]:
            time.sleep(5)
            return ()

    started = time.monotonic()
    registry = PluginRegistry(found=[installed("slow", Plugin())], time_limit=0.5)
    assert "longer than 0.5 seconds" in failure(registry, "slow")
    assert time.monotonic() - started < 2


def faulty(**changes: object) -> object:
    good = provider()
    return OpenAICompatible(replace(good.spec, **changes), url="https://api.acme.example")


UNNAMED_SECRET = FieldSpec(name="token", label="Token", secret=True)


@pytest.mark.parametrize(
    ("offered", "told"),
    [
        (faulty(api_version=2), "API version 2"),
        (faulty(name="Acme!"), "lower-case"),
        (faulty(modalities=()), "no modality"),
        (faulty(fields=(UNNAMED_SECRET,)), "names no environment variable"),
        (faulty(fields=7), "fields: expected `array`"),
        (provider("openai"), "'openai' already"),
        (SimpleNamespace(spec=provider().spec), "lacks: discover"),
        ("acme", "no spec"),
    ],
)
def test_a_faulty_provider_puts_its_plugin_out_of_use(offered: object, told: str, installed: Installed) -> None:
    registry = PluginRegistry(found=[installed("broken", supplying(provider("fine"), offered))])
    assert told in failure(registry, "broken")
    with pytest.raises(UnknownProviderError):
        registry.get("fine")


def test_of_two_plugins_with_one_providers_name_the_first_wins_and_both_are_named(installed: Installed) -> None:
    points = [installed("b", supplying(provider())), installed("a", supplying(provider()))]
    registry = PluginRegistry(found=points)
    assert [(one.name, one.failure is None) for one in registry.plugins()[1:]] == [("a", True), ("b", False)]
    assert failure(registry, "b") == (
        "Another provider is named 'acme' already. The plugin 'a' (kc_test_plugin_a:plugin) supplies it."
    )


def test_a_plugin_with_two_providers_of_one_name_is_told_so(installed: Installed) -> None:
    registry = PluginRegistry(found=[installed("twins", supplying(provider(), provider()))])
    assert failure(registry, "twins") == "It supplies two providers named 'acme'."


def test_an_object_that_is_two_plugins_names_the_other_one(installed: Installed) -> None:
    plugin = supplying(provider())
    registry = PluginRegistry(found=[installed("one", plugin), installed("two", plugin)])
    assert "the same object as the plugin 'one' (kc_test_plugin_one:plugin)" in failure(registry, "two")


def test_two_plugins_of_one_name_are_both_listed(installed: Installed) -> None:
    first = installed("acme", supplying(provider()))
    second = EntryPoint("acme", "kc_no_such_module", hookspecs.ENTRY_POINTS)
    names = [status.name for status in PluginRegistry(found=[first, second, second]).plugins()]
    assert len(names) == len(set(names)) == 4


class Aliases:
    def __init__(self, answer: Mapping[str, Sequence[str]]) -> None:
        self.answer = answer

    @hookimpl
    def keycairn_env_aliases(self, provider: str) -> Mapping[str, Sequence[str]]:
        return self.answer if provider == "openai" else {}


def test_more_environment_variables_join_a_field_behind_its_own(installed: Installed) -> None:
    plugin = Aliases({"api_key": ["CORP_OPENAI_KEY", "OPENAI_API_KEY"]})
    found = PluginRegistry(found=[installed("corp", plugin)]).get("openai")
    key = found.spec.field("api_key")
    assert key is not None
    assert key.env == ("OPENAI_API_KEY", "CORP_OPENAI_KEY")
    account = read_account(found.spec, {"CORP_OPENAI_KEY": Secret("sk-corp")})
    assert account.secrets["api_key"].reveal() == "sk-corp"
    assert found.client_name == "openai"


def test_more_variables_take_nothing_from_what_a_provider_can_besides(installed: Installed) -> None:
    class Everywhere:
        @hookimpl
        def keycairn_env_aliases(self, provider: str) -> Mapping[str, Sequence[str]]:
            return {} if provider == "ollama" else {"base_url": ["CORP_URL"]}

    def told(provider: LoadedProvider) -> tuple[object, ...]:
        needed = {"azure_resource": "mine", "region": "eu", "location": "eu", "project": "mine"}
        settings = provider.spec.effective({"base_url": "https://a.example", **needed})
        account = Account(provider=provider.spec.name, settings=settings, secrets={})
        return (
            provider.openai_base_url(account, Modality.LANGUAGE),
            provider.openai_model_name("m"),
            provider.anthropic_base_url(account) if provider.speaks_anthropic else None,
            provider.refuses_key(400, b'{"error": {"code": "invalid_api_key"}}'),
            provider.client_name,
        )

    plain = PluginRegistry(external=False)
    aliased = PluginRegistry(found=[installed("corp", Everywhere())])
    for one in plain.all():
        other = aliased.get(one.spec.name)
        assert told(other) == told(one)
        assert (other.spec == one.spec) is (one.spec.name == "ollama")


@pytest.mark.parametrize(
    "answer",
    [{"no_such_field": ["X"]}, {"api_key": "CORP_KEY"}, {"api_key": [7]}, {"api_key": 7}, ["api_key"], 7, {7: ["X"]}],
)
def test_aliases_that_make_no_sense_are_reported(answer: Mapping[str, Sequence[str]], installed: Installed) -> None:
    registry = PluginRegistry(found=[installed("corp", Aliases(answer))])
    assert failure(registry, "corp")
    key = registry.get("openai").spec.field("api_key")
    assert key is not None
    assert key.env == ("OPENAI_API_KEY",)


@pytest.mark.parametrize("name", BUILT_INS)
def test_every_built_in_spec_is_sound(name: str) -> None:
    spec: ProviderSpec = PluginRegistry(external=False).get(name).spec
    assert spec.label
    assert all(one.label for one in spec.fields)
