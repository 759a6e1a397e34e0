"""The files of a new plugin: a provider that works, and the suite it has to pass."""

from collections.abc import Mapping
from string import Template

MODULE = '''"""$label for Keycairn."""

from keycairn.plugins import Modality, OpenAICompatible, Provider, hookimpl, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "$name",
        "$label",
        Modality.LANGUAGE,
        Modality.EMBEDDING,
        docs_url="https://$host/keys",
    ),
    url="https://api.$host/v1",
    client_name="openai-compatible",
)


@hookimpl
def keycairn_providers() -> tuple[Provider, ...]:
    """The providers of this plugin."""
    return (PROVIDER,)
'''

TESTS = '''"""$label passes the suite of every Keycairn provider."""

import pytest
from $module import PROVIDER

from keycairn.plugins.registry import PluginRegistry
from keycairn.testing import ProviderCase, ProviderConformance, openai_case


class Test$camel(ProviderConformance):
    @pytest.fixture
    def case(self) -> ProviderCase:
        return openai_case(PROVIDER)


def test_keycairn_finds_it() -> None:
    (status,) = (one for one in PluginRegistry().plugins() if one.name == "$name")
    assert status.failure is None
    assert status.providers == ("$name",)
'''

PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$distribution"
version = "0.1.0"
description = "$label for Keycairn"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["keycairn>=0.1"]

[project.optional-dependencies]
test = ["keycairn[testing]"]

[project.entry-points."keycairn.providers"]
$name = "$module"

[tool.setuptools]
py-modules = ["$module"]

[tool.pytest.ini_options]
addopts = "--import-mode=importlib"
testpaths = ["tests"]
"""

README = """# $distribution

$label as a provider of Keycairn.

    pip install --editable '.[test]'
    pytest
    keycairn plugins

The provider is in `$module.py`. The key comes from the variable `${upper}_API_KEY`. Put in the real address of the API,
the modalities it has, and the page where people make keys; the suite in `tests/` says what is not right.
"""


def skeleton(name: str) -> Mapping[str, str]:
    """The files of a plugin for the provider `name`, by path."""
    words = name.split("_")
    dashed = "-".join(filter(None, words))
    values = {
        "name": name,
        "upper": name.upper(),
        "label": " ".join(words).title(),
        "camel": "".join(word.title() for word in words),
        "module": f"keycairn_{name}",
        "distribution": f"keycairn-{dashed}",
        "host": f"{dashed}.example",
    }
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"keycairn_{name}.py": MODULE,
        f"tests/test_{name}.py": TESTS,
    }
    return {path: Template(text).substitute(values) for path, text in files.items()}
