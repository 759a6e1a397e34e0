"""What docs/security.md promises names the tests that hold it, and those are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
NO_PROMISES = {"Who holds what, and what he can then do", "What is not defended"}
PROMISES = [
    block
    for title, text in SECTIONS.items()
    if title not in NO_PROMISES
    for block in re.split(r"\n\n|\n(?=- )", text.strip())
]
ROWS = re.findall(r"^\|(.*)\|$", SECTIONS["Who holds what, and what he can then do"], re.MULTILINE)[2:]


def named(text: str) -> list[Path]:
    """The files of tests and measurements in a text; one named without its folder lies beside the one before."""
    found: list[Path] = []
    for path in re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py|\w+\.py)`", text):
        found.append(ROOT / path if "/" in path else found[-1].parent / path)
    return found


@pytest.mark.parametrize("path", sorted(set(named(PAGE))), ids=lambda path: path.name)
def test_what_the_page_names_is_there(path: Path) -> None:
    assert path.is_file()
    assert path.parts[-2] == "benchmarks" or "def test_" in path.read_text()


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[:50])
def test_every_promise_names_what_holds_it(promise: str) -> None:
    assert named(promise)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[:50])
def test_whatever_somebody_cannot_do_names_what_keeps_him_from_it(row: str) -> None:
    _, _, cannot, held = (cell.strip() for cell in row.split("|"))
    assert named(held) or not cannot or held.startswith("not defended")
