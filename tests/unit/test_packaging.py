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


LOCKS = ("requirements.lock", "requirements-runtime.lock", ".ci/tools.lock", ".ci/docs.lock")


def locked(name: str) -> dict[str, tuple[Requirement, frozenset[str]]]:
    """The requirements of a lock by name, each with the hashes of its files."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    found: dict[str, tuple[Requirement, frozenset[str]]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        words, *hashes = line.split(" --hash=")
        requirement = Requirement(words.strip())
        found[canonicalize_name(requirement.name)] = requirement, frozenset(hash.strip() for hash in hashes)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_an_exact_version_of_known_files_from_wherever_packages_come(name: str) -> None:
    there = locked(name)
    assert there
    for requirement, hashes in there.values():
        assert re.fullmatch(r"==[\w.+!]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert hashes, f"{requirement} has no hash: make lock"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", hash) for hash in hashes)


def test_what_runs_is_what_was_tested() -> None:
    tested = locked("requirements.lock")
    for name, (requirement, hashes) in locked("requirements-runtime.lock").items():
        assert (requirement.specifier, hashes) == (tested[name][0].specifier, tested[name][1]), name


def test_nothing_is_installed_but_by_hash_or_from_here() -> None:
    pip = re.compile(r"(?:\bpip|\$\(PIP_INSTALL\)) install (.*)|\$\(PIP_INSTALL\)(.*)")
    for name in ("Makefile", "Dockerfile", ".ci/run"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        installs = [
            options
            for line in re.split(r"\n|&&", text)
            if not line.startswith(("#", "PIP_INSTALL"))
            for match in pip.finditer(line)
            if (options := match[1] or match[2])
        ]
        assert installs or name == ".ci/run"
        for options in installs:
            if "--resolution" in options:  # what no lock holds is tried
                continue
            by_hash = "--require-hashes" in options and "--requirement" in options
            our_own = "--no-deps" in options and "--no-build-isolation" in options and options.strip().endswith(".")
            assert by_hash or our_own, options


@pytest.mark.parametrize(
    ("name", "groups"), [("requirements.lock", ("testing", "otel", "dev")), ("requirements-runtime.lock", ())]
)
def test_a_lock_holds_everything_that_is_needed_at_a_version_it_allows(name: str, groups: tuple[str, ...]) -> None:
    lock = {key: next(iter(requirement.specifier)).version for key, (requirement, _) in locked(name).items()}
    extras = PROJECT["project"]["optional-dependencies"]
    needs = (*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"])
    waiting = [Requirement(text) for text in (*needs, *(text for group in groups for text in extras[group]))]
    seen: set[str] = set()
    while waiting:
        needed = waiting.pop()
        name = canonicalize_name(needed.name)
        if str(needed) in seen or name == "keycairn":
            continue
        seen.add(str(needed))
        assert name in lock, f"{needed} is missing: make lock"
        assert needed.specifier.contains(lock[name], prereleases=True), f"{needed} is not in the lock: make lock"
        for text in requires(name) or ():
            further = Requirement(text)
            chosen = ({"extra": extra} for extra in ("", *needed.extras))
            if further.marker is None or any(further.marker.evaluate(extra) for extra in chosen):
                waiting.append(further)


def test_a_first_run_says_what_it_is_doing_before_each_long_step() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("$(READY): ")[2].partition("\n\n")[0]
    lines = [line.strip() for line in recipe.splitlines()]
    long = [
        number
        for number, line in enumerate(lines)
        if "-m venv" in line or "pip install" in line or "PIP_INSTALL" in line
    ]
    said = [number for number, line in enumerate(lines) if line.startswith("@echo")]
    assert len(said) == 3
    assert all(any(0 < number - told <= 4 for told in said) for number in long)
