"""`keycairn plugins new` refuses a name that makes no good plugin, and writes a whole package for others."""

import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from keycairn.app.cli import main
from keycairn.app.cli.skeleton import skeleton, unusable

BAD = [
    "keycairn",
    "keycairn_x",
    "class",
    "match",
    "json",
    "asyncio",
    "a",
    "acme_",
    "a__b",
    "_acme",
    "9acme",
    "Ac me",
    "",
]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_is_refused_with_the_reason(name: str) -> None:
    assert unusable(name)


@pytest.mark.parametrize("name", ["keycairn", "class", "json", "openai", "Open-AI_"])
def test_the_command_refuses_it_and_writes_nothing(tmp_path: Path, name: str) -> None:
    refused = CliRunner().invoke(main, ["plugins", "new", name, "--into", str(tmp_path)])
    assert refused.exit_code == 2
    assert "NAME" in refused.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["acme", "acme_cloud", "x2"])
def test_a_package_has_all_that_a_repository_needs(name: str) -> None:
    assert unusable(name) is None
    files = skeleton(name)
    assert {".gitignore", "README.md", "pyproject.toml", ".github/workflows/tests.yml"} <= set(files)
    assert tomllib.loads(files["pyproject.toml"])["project"]["readme"] == "README.md"
    job = yaml.safe_load(files[".github/workflows/tests.yml"])["jobs"]["tests"]
    assert "3.11" in job["strategy"]["matrix"]["python"]
    assert ".env" in files[".gitignore"].splitlines()
