"""Plugins as entry points, made of objects."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from types import ModuleType

from keycairn.domain.modality import Modality
from keycairn.plugins import hookspecs
from keycairn.plugins.hookspecs import hookimpl
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec
from keycairn.plugins.registry import PluginRegistry

BUILT_INS = [provider.spec.name for provider in PluginRegistry(external=False).all()]


def provider(name: str = "acme") -> OpenAICompatible:
    spec = keyed_spec(name, name.title(), Modality.LANGUAGE, docs_url="https://acme.example/keys")
    return OpenAICompatible(spec, url="https://api.acme.example/v1")


def supplying(*providers: object) -> ModuleType:
    plugin = ModuleType("plugin")
    plugin.keycairn_providers = hookimpl(lambda: providers)  # type: ignore[attr-defined]  # what a module is for
    plugin.keycairn_providers.__name__ = "keycairn_providers"
    return plugin


class Installed:
    """Modules that entry points can name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, plugin: object) -> EntryPoint:
        module = f"kc_test_plugin_{name}"
        holder = ModuleType(module)
        holder.plugin = plugin  # type: ignore[attr-defined]
        sys.modules[module] = holder
        self.names.append(module)
        return EntryPoint(name, f"{module}:plugin", hookspecs.ENTRY_POINTS)


def failure(registry: PluginRegistry, name: str) -> str:
    status = next(status for status in registry.plugins() if status.name == name)
    assert status.providers == ()
    assert [one.spec.name for one in registry.all()][: len(BUILT_INS)] == BUILT_INS
    assert status.failure is not None
    return status.failure


def installing() -> Iterator[Installed]:
    """For a fixture: what is installed is gone after it."""
    modules = Installed()
    yield modules
    for name in modules.names:
        del sys.modules[name]
