"""Pages that are written from the code are as the code is, and every command on any page is one there is."""

import re
import runpy
import shlex
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import click
import pytest

from keycairn.app.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "adr")]
LINE = re.compile(r"^\$ (?:\w+=\S+ )*keycairn ((?:.*\\\n)*.*)$", re.MULTILINE)
SITE = (ROOT / "mkdocs.yml").read_text()


def commands() -> Iterator[tuple[str, str]]:
    """Every command that is shown, with its page; comments, pipes and what the shell does with output left out."""
    for page in PAGES:
        for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in LINE.findall(block):
                told = re.sub(r"\s(#|[|>&]).*", "", line.replace("\\\n", ""))
                yield str(page.relative_to(ROOT)), told.strip()


SHOWN = sorted(set(commands()))


def parsed(words: list[str]) -> None:
    """Raise click.UsageError for what is no command, or lacks an argument or an option; nothing runs."""
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"{words[0]} is no command")
        context, command, words = click.Context(found, parent=context, info_name=words[0]), found, words[1:]
    if not isinstance(command, click.Group):
        command = copy(command)  # the commands themselves stay as they are
        command.params = [copy(parameter) for parameter in command.params]
        for parameter in command.params:
            parameter.callback = None  # what a value means is for the command itself
            if isinstance(parameter.type, click.Path):
                parameter.type = click.STRING
        command.make_context(command.name, words, resilient_parsing=False)


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=[f"{page}: {line}" for page, line in SHOWN])
def test_every_command_on_a_page_is_understood(page: str, line: str) -> None:
    parsed(shlex.split(line))


def test_what_is_no_command_is_found() -> None:
    for words in (["nonsense"], ["credential", "add"], ["status", "--nonsense"]):
        with pytest.raises(click.UsageError):
            parsed(words)
    assert len(SHOWN) > 40


@pytest.mark.parametrize("name", ["settings", "hooks"])
def test_a_page_from_the_code_is_as_the_code_is(name: str) -> None:
    script = runpy.run_path(str(ROOT / f".ci/{name}_page.py"))
    assert script["page"]() == script["PAGE"].read_text(), "run: make docs"


async def test_the_page_of_routes_is_as_the_document_is() -> None:
    script = runpy.run_path(str(ROOT / ".ci/routes_page.py"))
    assert script["page"](await script["document"]()) == script["PAGE"].read_text(), "run: make docs"


def test_every_page_has_a_place_in_the_site() -> None:
    for page in PAGES[1:]:
        name = str(page.relative_to(ROOT / "docs"))
        assert f"- {name}\n" in SITE or name.startswith("plugins/example/"), name
    for name in re.findall(r"^ *- (?:\w+: )?([\w/-]+\.md)$", SITE, re.MULTILINE):
        assert (ROOT / "docs" / name).exists(), name
