import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = ("domain", "ports", "adapters", "app", "plugins")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


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
    files |= {f"keycairn/{file.relative_to(own_folder)}" for file in own_folder.glob("testing/*.py")}
    files |= {"keycairn/__init__.py", "keycairn/__main__.py", "keycairn/py.typed"}
    assert {name for name in names if not name.startswith(own)} == files, "templates and the like need package-data"
    assert f"{own}licenses/LICENSE" in names
    assert f"{own}entry_points.txt" in names
