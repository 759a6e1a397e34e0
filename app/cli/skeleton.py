"""The files of a new plugin: a provider that works, and the suite it has to pass."""

import keyword
import sys
from collections.abc import Mapping
from string import Template

from keycairn.domain.provider import is_provider_name

SHORTEST_NAME = 2
"""Characters of a provider's name."""

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


GITIGNORE = """__pycache__/
*.egg-info/
.pytest_cache/
.venv/
build/
dist/
keycairn-data/
.env
"""

CI = """name: tests
on: [push, pull_request]
permissions:
  contents: read
jobs:
  tests:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        python: ["3.11", "3.12", "3.13", "3.14"]
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: ${{ matrix.python }}
      - run: pip install --editable '.[test]'
      - run: pytest
"""


def unusable(name: str) -> str | None:
    """Why no plugin can be made for a provider of that name, None where one can."""
    reasons = {
        "lower-case letters, digits and underscores, beginning with a letter": not is_provider_name(name),
        "keycairn is this project's own; choose the provider's name": name.partition("_")[0] == "keycairn",
        f"{name} is a word of Python's; choose another name": keyword.iskeyword(name) or keyword.issoftkeyword(name),
        f"{name} is a module of Python's; choose another name": name in sys.stdlib_module_names,
        "underscores stand between words, one at a time": name.endswith("_") or "__" in name,
        f"{SHORTEST_NAME} characters or more": len(name) < SHORTEST_NAME,
    }
    return next((why for why, applies in reasons.items() if applies), None)


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
    plain = {".gitignore": GITIGNORE, ".github/workflows/tests.yml": CI}
    return {**{path: Template(text).substitute(values) for path, text in files.items()}, **plain}
