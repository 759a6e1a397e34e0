import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LAYERS = ("domain", "ports", "adapters", "app", "plugins")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def folders_of_packages() -> dict[str, str]:
    """Package names and their folders, by the `__init__.py` files that are there."""
    found = {"keycairn": "src/keycairn"}
    for top in (*LAYERS, "src/keycairn"):
        for file in (ROOT / top).glob("**/__init__.py"):
            folder = file.parent.relative_to(ROOT)
            name = ".".join(folder.parts if folder.parts[0] != "src" else folder.parts[2:])
            layer_by_link = folder.parts[0] == "src" and len(folder.parts) > 2 and folder.parts[2] in LAYERS
            if name and not layer_by_link:
                found[f"keycairn.{name}"] = str(folder)
    return found


def test_the_wheel_maps_every_package_and_no_other() -> None:
    expected = folders_of_packages()
    assert sorted(SETUPTOOLS["packages"]) == sorted(expected)
    assert SETUPTOOLS["package-dir"] == expected


@pytest.mark.parametrize("layer", LAYERS)
def test_the_links_for_editors_are_relative_and_lead_to_the_layers(layer: str) -> None:
    link = ROOT / "src/keycairn" / layer
    assert link.is_symlink()
    assert link.readlink() == Path("../..") / layer


def test_every_line_of_the_lock_is_an_exact_version_from_wherever_packages_come() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[\w.+!]+(; .+)?", line) for line in lines)


def test_the_lock_holds_everything_the_package_needs_at_a_version_it_allows() -> None:
    lines = map(Requirement, (ROOT / "requirements.lock").read_text().splitlines())
    locked = {canonicalize_name(line.name): next(iter(line.specifier)).version for line in lines}
    extras = PROJECT["project"]["optional-dependencies"]
    waiting = [
        Requirement(text)
        for text in (*PROJECT["project"]["dependencies"], *extras["testing"], *extras["otel"], *extras["dev"])
    ]
    seen: set[str] = set()
    while waiting:
        needed = waiting.pop()
        name = canonicalize_name(needed.name)
        if str(needed) in seen or name == "keycairn":
            continue
        seen.add(str(needed))
        assert name in locked, f"{needed} is missing: make lock"
        assert needed.specifier.contains(locked[name], prereleases=True), f"{needed} is not in the lock: make lock"
        for text in requires(name) or ():
            further = Requirement(text)
            chosen = ({"extra": extra} for extra in ("", *needed.extras))
            if further.marker is None or any(further.marker.evaluate(extra) for extra in chosen):
                waiting.append(further)
