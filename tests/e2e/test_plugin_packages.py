"""Plugins as strangers make them: packages that are built, installed beside Keycairn, found and used."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from sysconfig import get_path

import pytest
from click.testing import CliRunner

from keycairn.app.cli import main

pytestmark = pytest.mark.xdist_group("packages")

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/plugins/example"
LAYERS = ("domain", "ports", "adapters", "app", "plugins", "src")
QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:xdist")
IN_USE = """
import asyncio

from nimbus_server import NimbusServer

from keycairn.app import Secret, Settings, open_keycairn
from keycairn.testing import KEY


async def main() -> None:
    async with NimbusServer() as server, open_keycairn(Settings(database_url="mem://", env_file=None)) as keycairn:
        made = await keycairn.credentials.create(
            "nimbus", name="Mine", settings={"base_url": server.url}, secrets={"api_key": Secret(KEY)}
        )
        assert (await keycairn.probing.test(made.credential.id)).success
        found = await keycairn.probing.discover(made.credential.id)
        print(*(f"{model.name}={model.type or ''}" for model in found.models))


asyncio.run(main())
"""


class Machine:
    """A Python of its own, without Keycairn. What Keycairn depends on is shared with the one that runs the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.python = folder / "venv/bin/python"
        (site,) = folder.glob("venv/lib/python*/site-packages")
        (site / "shared.pth").write_text(get_path("purelib"))  # read as a folder: editable installs in it stay behind

    def install(self, source: Path, *names: str) -> None:
        """Build a wheel of a copy of `source`, so that no earlier build gets in, and install that."""
        copy = self.folder / "sources" / source.name
        copy.mkdir(parents=True)
        for name in names:
            if (source / name).is_dir():
                shutil.copytree(
                    source / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".*cache")
                )
            else:
                shutil.copy(source / name, copy)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(self.python)]
        done = subprocess.run(  # noqa: S603  # our own words
            [*pip, "install", "--no-deps", "--no-index", "--no-build-isolation", "--no-compile", str(copy)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def run(self, *words: str, folder: Path | None = None, **variables: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(  # noqa: S603  # our own words
            [self.python, *words],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder or self.folder,
            env={**environment, "KEYCAIRN_DATABASE_URL": "mem://", **variables},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    made = Machine(tmp_path_factory.mktemp("machine"))
    made.install(ROOT, "pyproject.toml", "README.md", "LICENSE", *LAYERS)
    made.install(EXAMPLE, "pyproject.toml", "README.md", "keycairn_nimbus.py")
    return made


def test_keycairn_is_the_wheels(machine: Machine) -> None:
    where = machine.run(
        "-c", "import keycairn.testing, keycairn_nimbus; print(keycairn.__file__, keycairn_nimbus.__file__)"
    )
    assert all(path.startswith(str(machine.folder)) for path in where.split())


def test_the_command_tells_where_each_plugin_is_from(machine: Machine) -> None:
    told = json.loads(machine.run(str(machine.python.with_name("keycairn")), "plugins", "list", "--json"))
    (nimbus,) = (one for one in told if one["name"] == "nimbus")
    assert (nimbus["origin"], nimbus["api_version"]) == ("keycairn-nimbus 0.1.0", 1)
    assert (nimbus["providers"], nimbus["failure"]) == (["nimbus"], None)


def test_an_account_of_the_new_provider_is_proven_and_its_models_found(machine: Machine, tmp_path: Path) -> None:
    told = machine.run("-c", IN_USE, PYTHONPATH=str(EXAMPLE / "tests"), KEYCAIRN_DATA_DIR=str(tmp_path / "data"))
    assert told.split() == ["quill-2=language", "quill-2-mini=language", "atlas-1=embedding", "brush-1="]


def test_the_example_passes_its_own_tests(machine: Machine) -> None:
    assert " passed" in machine.run("-m", "pytest", *QUIET, folder=EXAMPLE)


@pytest.mark.night
def test_a_new_plugin_works_as_it_is_written(machine: Machine, tmp_path: Path) -> None:
    made = CliRunner().invoke(main, ["plugins", "new", "Acme-Cloud", "--into", str(tmp_path)])
    assert made.exit_code == 0, made.output
    folder = tmp_path / "keycairn-acme-cloud"
    provider = (folder / "keycairn_acme_cloud.py").read_text().rstrip()
    assert len([line for line in provider.splitlines() if line]) <= 20
    machine.install(folder, "pyproject.toml", "README.md", "keycairn_acme_cloud.py")
    assert " passed" in machine.run("-m", "pytest", *QUIET, folder=folder)


@pytest.mark.night
def test_the_tutorial_leads_to_a_provider_that_works(machine: Machine, tmp_path: Path) -> None:
    """Its files in the place of those that were written, one after the other, as it says."""
    page = (ROOT / "docs/plugins/tutorial.md").read_text()
    assert "$ keycairn plugins new tide\n" in page
    assert CliRunner().invoke(main, ["plugins", "new", "tide", "--into", str(tmp_path)]).exit_code == 0
    folder = tmp_path / "keycairn-tide"
    steps = re.findall(r"^`(\S+\.py)`\n\n```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert [path for path, _ in steps] == ["keycairn_tide.py", "tests/test_tide.py"]
    for path, text in steps:
        assert (folder / path).exists()
        (folder / path).write_text(text)
    machine.install(folder, "pyproject.toml", "README.md", "keycairn_tide.py")
    assert " passed" in machine.run("-m", "pytest", *QUIET, folder=folder)
    told = json.loads(machine.run(str(machine.python.with_name("keycairn")), "plugins", "list", "--json"))
    assert {one["name"]: one["failure"] for one in told}["tide"] is None


@pytest.mark.parametrize("name", ["openai", "OpenAI-Compatible", "../acme", "9lives", ""])
def test_a_name_that_cannot_be_a_new_provider_is_wrong_use(name: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["plugins", "new", name, "--into", str(tmp_path)])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "keycairn-acme").mkdir()
    assert CliRunner().invoke(main, ["plugins", "new", "acme", "--into", str(tmp_path)]).exit_code == 2
    assert list((tmp_path / "keycairn-acme").iterdir()) == []
