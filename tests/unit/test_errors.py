"""One tree of errors in one place, each with a code, a status and a remedy; docs/errors.md says what they say."""

import ast
import inspect
import re
import runpy
from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from keycairn.app.statuses import api_status, gateway_status
from keycairn.domain import errors
from keycairn.domain.errors import KeycairnError

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / ".ci/errors_page.py"))
PAGE = (ROOT / "docs/errors.md").read_text()
SIGNALS = {
    "_PerhapsOlderError",
    "BrokenOffError",
    "ClientGoneError",
    "EarlyEnd",
    "NotDataError",
    "NotStartedError",
    "RefusedAccountError",
    "RefusedVariableError",
    "RpcError",
    "UnreadableKeyError",
    "UnfitAnswerError",
}
"""What two functions of one room tell each other, and what the kit for suites tells a suite; no caller sees them."""
TREE = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, KeycairnError)]


def elsewhere() -> Iterator[tuple[str, str]]:
    """The exceptions that are defined outside of domain/errors, with their bases."""
    for layer in ("domain", "ports", "adapters", "app", "plugins", "src/keycairn/testing"):
        for file in (ROOT / layer).rglob("*.py"):
            if file.parent == ROOT / "domain/errors":
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                    yield from ((node.name, base) for base in bases if base.endswith(("Error", "Exception")))


def test_the_page_is_what_the_classes_say() -> None:
    assert SCRIPT["page"]() == PAGE, "run: make docs"


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_each_error_is_on_the_page(error: type[KeycairnError]) -> None:
    [line] = [line for line in PAGE.splitlines() if line.endswith(f"| `{error.__name__}` |")]
    assert line.startswith(f"| `{error.code}` |")
    assert error.remedy in line


@pytest.mark.parametrize("error", TREE, ids=lambda error: error.__name__)
def test_each_error_has_statuses_that_http_knows(error: type[KeycairnError]) -> None:
    for status in (api_status(error), gateway_status(error)):
        assert HTTPStatus(status) >= HTTPStatus.BAD_REQUEST


def test_the_tree_stands_in_one_place() -> None:
    assert {name for name, _ in elsewhere()} == SIGNALS
    assert {base for _, base in elsewhere()} == {"Exception", "ClickException"}
    assert set(errors.__all__) == {error.__name__ for error in TREE}
    assert {subject for error in TREE for subject in [error.__module__.rpartition(".")[2]]} == set(SCRIPT["SUBJECTS"])


def test_the_page_of_the_gateway_gives_the_statuses_of_the_table() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| ([\d, ]+) \|", (ROOT / "docs/gateway.md").read_text(), re.MULTILINE)
    statuses: dict[str, set[int]] = defaultdict(set)
    for error in TREE:
        statuses[error.code].add(gateway_status(error))
    assert len(rows) > 5
    for codes, numbers in rows:
        told = [int(number) for number in numbers.split(",")]
        named = re.findall(r"\w+", codes)
        for code, number in zip(named, told * len(named) if len(told) == 1 else told, strict=len(told) > 1):
            assert statuses[code] == {number}, code


def test_an_error_that_does_not_say_what_to_do_is_found() -> None:
    class SilentError(KeycairnError):
        """Says nothing."""

    with pytest.raises(ValueError, match="SilentError"):
        SCRIPT["row"](SilentError)


def test_a_class_that_decides_nothing_has_the_status_of_the_one_above() -> None:
    class NewInputError(errors.UrlRefusedError):
        """An input of a kind nobody has thought of."""

    assert (api_status(NewInputError), gateway_status(NewInputError)) == (400, 400)
    assert (api_status(NewInputError("why")), gateway_status(NewInputError("why"))) == (400, 400)
