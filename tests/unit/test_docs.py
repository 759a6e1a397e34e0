"""What pages name is there: files, links, routes, decisions; what they take from the code is as the code is."""

import re
import runpy
from pathlib import Path

import pytest
from tests.permissions import GATEWAY_RULES, RULES

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md"))
    if page.name != "CHANGELOG.md"  # tells of files that were
)
TOPS = "domain|ports|adapters|app|plugins|src|tests|docs|benchmarks|demo|surreal|\\.ci|\\.github"
PATH = re.compile(rf"(?<![\w/.-])((?:{TOPS})/[\w./*{{}}-]*[\w*])")
GRAPH = runpy.run_path(str(ROOT / ".ci/import_graph.py"))
FILES = runpy.run_path(str(ROOT / ".ci/file_index.py"))
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
OF_OTHERS = {"docs/files.md", "docs/plugins/tutorial.md", "docs/plugins/example/README.md"}
"""Where paths may be those of a provider's documentation or of the reader's own package."""
DECISIONS = sorted((ROOT / "docs/adr").glob("0*.md"))
INDEX = (ROOT / "docs/adr/README.md").read_text()


def prose(page: Path) -> str:
    """The text of a page without blocks of code, which show the reader's files, without links and addresses."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\w+://\S+|\[[^\]]*\]\([^)]*\)", "", text)


def missing(text: str) -> list[str]:
    """The paths in a text that lead nowhere. NAME stands for a name of the reader's."""
    named = (match[1] for match in PATH.finditer(text) if "NAME" not in match[1])
    return [path for path in named if not any(ROOT.glob(path))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    if str(page.relative_to(ROOT)) not in OF_OTHERS:
        assert missing(prose(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!\w+:)([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_request_that_a_page_names_has_a_route(page: Path) -> None:
    for method, path in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/(?:api|health|v1)[\w/{}-]*)", page.read_text()):
        routes = {re.sub(r"{\w+}", "{}", route) for verb, route in (*RULES, *GATEWAY_RULES) if verb == method}
        assert re.sub(r"{\w+}", "{}", path.rstrip("/")) in routes, (method, path)


def test_the_look_finds_what_it_looks_for() -> None:
    assert missing(
        "`app/api/nothing.py`, app/api/credential_views.py, tests/contract/test_store*.py, plugins/providers/NAME.py"
    ) == ["app/api/nothing.py"]
    assert missing("It is in docs/nowhere.") == ["docs/nowhere"]
    assert len(PAGES) > 30


def test_the_picture_of_the_imports_is_drawn_from_them() -> None:
    assert GRAPH["drawn"](ARCHITECTURE) == ARCHITECTURE, "run: make docs"


def test_a_page_without_a_place_for_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="markers"):
        GRAPH["drawn"]("# A page")


def test_a_circle_of_imports_cannot_be_drawn() -> None:
    assert GRAPH["arrows"]({"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}) == [("a", "b"), ("b", "c")]
    with pytest.raises(ValueError, match="itself"):
        GRAPH["arrows"]({"a": frozenset("b"), "b": frozenset("a")})


def test_the_list_of_files_is_what_they_say_of_themselves() -> None:
    assert (ROOT / "docs/files.md").read_text() == FILES["page"](), "run: make docs"


def test_the_house_tells_of_every_room() -> None:
    rooms = [
        folder
        for top in ("app", "app/services")
        for folder in (ROOT / top).iterdir()
        if (folder / "__init__.py").is_file()
    ]
    assert len(rooms) > 10
    for room in rooms:
        assert f"`{room.relative_to(ROOT)}`" in ARCHITECTURE, room
    for layer in ("domain", "ports", "adapters", "plugins", "app"):
        assert f"| `{layer}` |" in ARCHITECTURE


def test_each_decision_has_a_number_of_its_own_and_is_in_the_index() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert len(numbers) == len(set(numbers))
    for path, number in zip(DECISIONS, numbers, strict=True):
        title = path.read_text().partition("\n")[0]
        assert title.startswith(f"# {number}. "), path
        assert f"| {number} | [{title.partition('. ')[2]}]({path.name}) |" in INDEX
    assert INDEX.count("\n| ") == len(DECISIONS) + 1
    unused = set(range(1, max(numbers))) - set(numbers)
    told = " ".join(INDEX.split()).partition("numbers ")[2].partition(" were not used")[0]
    assert unused == {int(number) for number in re.findall(r"\d+", told)}
    assert f"The next one is {max(numbers) + 1}." in INDEX
