"""A plugin whose hooks are no hooks, or fail, says so with the cause, and quotes nothing of a stranger."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

import pytest
from tests.plugin_points import Installed, failure, installing, provider, supplying

from keycairn.domain.provider import ProviderSpec
from keycairn.plugins.base import ListedProvider
from keycairn.plugins.hookspecs import hookimpl
from keycairn.plugins.openai_base import OpenAICompatible
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports.provider import Provider


@pytest.fixture
def installed() -> Iterator[Installed]:
    yield from installing()


@pytest.mark.parametrize("given", [None, 7, "acme", {"acme": 1}, provider()], ids=lambda one: type(one).__name__)
def test_a_hook_that_gives_no_providers_says_what_it_gave(given: object, installed: Installed) -> None:
    class Plugin:
        @hookimpl
        def keycairn_providers(self) -> object:
            return given

    told = failure(PluginRegistry(found=[installed("broken", Plugin())]), "broken")
    assert told == f"Its hook keycairn_providers gave no tuple or list of providers, but: {type(given).__name__}."


def test_a_hook_is_no_coroutine(installed: Installed) -> None:
    class Providers:
        @hookimpl
        async def keycairn_providers(self) -> Iterable[Provider]:
            return ()

    class Streams:
        @hookimpl
        async def keycairn_providers(self) -> AsyncIterator[Provider]:
            yield provider()

    class Variables:
        @hookimpl
        async def keycairn_env_aliases(self, provider: str) -> Mapping[str, Sequence[str]]:
            return {}

    plugins = {"providers": Providers(), "streams": Streams(), "variables": Variables()}
    registry = PluginRegistry(found=[installed(name, plugin) for name, plugin in plugins.items()])
    for name in plugins:
        told = failure(registry, name)
        assert told.startswith("Its hook keycairn_")
        assert "(test_hook_functions.py:" in told
        assert told.endswith("is async; a hook is not awaited.")


def test_a_class_that_lacks_a_method_says_which_and_where_it_is_made(installed: Installed) -> None:
    class Bare(ListedProvider):
        pass

    class Plugin:
        @hookimpl
        def keycairn_providers(self) -> Iterable[Provider]:
            return [Bare(provider().spec)]  # type: ignore[abstract]  # that is the fault

    told = failure(PluginRegistry(found=[installed("broken", Plugin())]), "broken")
    assert "TypeError: Bare lacks base_url, headers, list_models at test_hook_functions.py:" in told


def test_a_mistake_that_shows_in_our_code_is_placed_in_the_plugins(installed: Installed) -> None:
    class Plugin:
        @hookimpl
        def keycairn_providers(self) -> Iterable[Provider]:
            return [OpenAICompatible(7)]  # type: ignore[arg-type]  # that is the fault

    told = failure(PluginRegistry(found=[installed("broken", Plugin())]), "broken")
    assert "AttributeError at base.py:" in told
    assert "called at test_hook_functions.py:" in told


def test_a_declaration_that_raises_is_reported_without_its_text(installed: Installed) -> None:
    class Raising:
        client_name = "acme"

        @property
        def spec(self) -> ProviderSpec:
            raise SystemExit("sk-from-the-environment")

    told = failure(PluginRegistry(found=[installed("broken", supplying(Raising()))]), "broken")
    assert "SystemExit at test_hook_functions.py:" in told
    assert "sk-from" not in told


def test_what_does_not_fit_is_told_without_quoting_the_plugin(installed: Installed) -> None:
    class Unknown:
        def __repr__(self) -> str:
            return "sk-from-the-environment"

        @hookimpl
        def keycairn_provider(self) -> Iterable[Provider]:
            return ()

    class Asking(Unknown):
        keycairn_provider = None  # type: ignore[assignment]

        @hookimpl
        def keycairn_providers(self, settings: object, more: object = "sk-from-the-environment") -> Iterable[Provider]:
            return ()

    registry = PluginRegistry(found=[installed("unknown", Unknown()), installed("asking", Asking())])
    told = failure(registry, "unknown"), failure(registry, "asking")
    assert told[0] == "It has an unknown hook: 'keycairn_provider'."
    assert "takes what nobody passes: settings." in told[1]
    assert "sk-from" not in "".join(told)


def test_variables_that_are_no_text_anybody_can_read_are_reported(installed: Installed) -> None:
    class Plugin:
        @hookimpl
        def keycairn_env_aliases(self, provider: str) -> Mapping[str, Sequence[str]]:
            return {"api_key": ["\ud800"]} if provider == "openai" else {}

    told = failure(PluginRegistry(found=[installed("corp", Plugin())]), "corp")
    assert told == "The provider 'openai' with its variables is declared wrongly: a text of its spec is no Unicode."
