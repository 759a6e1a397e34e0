import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("domain", "ports", "adapters", "app", "plugins")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.night
def test_the_same_sources_give_the_same_wheel_and_the_archive_has_tests_and_documents(tmp_path: Path) -> None:
    kept = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S607
    sums = set()
    for number in range(2):
        checkout, out = tmp_path / f"checkout{number}", tmp_path / f"out{number}"
        for name in kept.stdout.strip("\0").split("\0"):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name, follow_symlinks=False)
        build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(checkout)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
        subprocess.run(build, check=True, capture_output=True, env=environment)  # noqa: S603  # our own words
        sums.add(sha256(next(out.glob("*.whl")).read_bytes()).hexdigest())
        with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        assert {"tests/house.py", "docs/tutorial.md", "mkdocs.yml", "Makefile", "requirements.lock"} <= names
    assert len(sums) == 1


def test_the_built_wheel_holds_every_file_of_the_layers_and_nothing_else(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"  # a copy: what an earlier build left behind would get in
    for name in (*LAYERS, "src"):
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(checkout)]
    subprocess.run(build, check=True, capture_output=True)  # noqa: S603  # our own words
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()

    own = f"keycairn-{VERSION}.dist-info/"
    files = {
        f"keycairn/{file.relative_to(checkout)}"
        for layer in LAYERS
        for file in (checkout / layer).rglob("*")
        if file.is_file()
    }
    own_folder = checkout / "src/keycairn"
    files |= {f"keycairn/{file.relative_to(own_folder)}" for file in own_folder.glob("testing/**/*.py")}
    files |= {"keycairn/__init__.py", "keycairn/__main__.py", "keycairn/py.typed"}
    assert {name for name in names if not name.startswith(own)} == files, "templates and the like need package-data"
    assert f"{own}licenses/LICENSE" in names
    assert f"{own}entry_points.txt" in names
