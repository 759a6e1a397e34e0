"""A plugin of an earlier version of the plugin API works on with a later one."""

import runpy
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from keycairn.domain.errors import PluginError
from keycairn.plugins.declared import vetted
from keycairn.plugins.hookspecs import API_VERSION, ENTRY_POINTS, OLDEST_API_VERSION
from keycairn.plugins.registry import PluginRegistry

FIRST = Path(__file__).parents[1] / "data/plugin_of_api_1.py"


def test_one_of_the_first_version_loads_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FIRST.parent))
    registry = PluginRegistry(found=[EntryPoint("first", FIRST.stem, ENTRY_POINTS)])
    assert [status.failure for status in registry.plugins()] == [None, None]
    assert registry.get("first").spec.api_version == 1


def test_one_of_the_first_version_loads_with_a_second_and_one_of_a_third_does_not() -> None:
    provider = runpy.run_path(str(FIRST))["PROVIDER"]
    spec, _ = vetted(provider, versions=range(1, 3))
    assert spec.name == "first"
    with pytest.raises(PluginError, match="version 1; this Keycairn takes 2 to 3"):
        vetted(provider, versions=range(2, 4))


def test_the_versions_that_are_taken_begin_with_the_first() -> None:
    assert OLDEST_API_VERSION == 1
    assert API_VERSION >= OLDEST_API_VERSION
