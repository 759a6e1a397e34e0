"""What is imported is declared, what is declared is imported, and each declaration says what it is for."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)["project"]
EXTRAS = PROJECT["optional-dependencies"]
SHIPPED = ("domain", "ports", "adapters", "app", "plugins", "src/keycairn/testing")
BENCHMARKS = {file.stem for file in (ROOT / "benchmarks").glob("*.py")}
OURS = {"keycairn", "tests", "nimbus_server", "keycairn_nimbus", *BENCHMARKS}
RUN_NOT_IMPORTED = {
    *("pytest-xdist", "pytest-timeout", "import-linter", "mypy", "types-pyyaml", "ruff", "build"),
    "setuptools",
}
"""Tools that are run, plugins of pytest, and types."""
ELSEWHERE = {ROOT / "tests/clients/calls.py", ROOT / "tests/clients/generated/story.py"}
"""What runs in an environment of its own, with what is installed there."""
SHARED = {"opentelemetry.sdk": "opentelemetry-sdk", "opentelemetry": "opentelemetry-api"}
"""Distributions whose import name begins as another's does, the longer names first."""


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def imported(*folders: str) -> dict[str, set[str]]:
    """The distributions that are imported there, and by what."""
    owners = packages_distributions()
    found: dict[str, set[str]] = defaultdict(set)
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            if file in ELSEWHERE:
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                    modules = [node.module]
                for module in modules:
                    top = module.partition(".")[0]
                    if top not in sys.stdlib_module_names | OURS:
                        shared = next((SHARED[name] for name in SHARED if module.startswith(name)), None)
                        owner = shared or owners.get(top, [top])[0]
                        found[canonicalize_name(owner)].add(str(file.relative_to(ROOT)))
    return found


def test_what_the_package_imports_it_declares() -> None:
    declared = names([*PROJECT["dependencies"], *EXTRAS["otel"], *EXTRAS["testing"]])
    undeclared = {name: by for name, by in imported(*SHIPPED).items() if name not in declared}
    assert not undeclared


def test_what_tests_and_scripts_import_is_declared() -> None:
    declared = names([*PROJECT["dependencies"], *EXTRAS["otel"], *EXTRAS["testing"], *EXTRAS["dev"]])
    assert set(imported("tests", "benchmarks", "demo", ".ci")) <= declared


def test_what_is_declared_for_the_package_is_imported_by_it() -> None:
    assert names([*PROJECT["dependencies"], *EXTRAS["otel"], *EXTRAS["testing"]]) <= set(imported(*SHIPPED))


def test_what_is_declared_for_development_is_imported_or_run() -> None:
    unused = names(EXTRAS["dev"]) - set(imported("tests", "benchmarks", "demo", ".ci")) - {"keycairn"}
    assert unused == RUN_NOT_IMPORTED


@pytest.mark.parametrize("line", re.findall(r'^(?:    # .*\n)?    "[\w\[\]-]+[=<>].*$', TEXT, re.MULTILINE))
def test_each_declaration_says_what_it_is_for(line: str) -> None:
    assert "# " in line
