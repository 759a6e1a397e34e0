"""Every command that a page shows, in a block or within a sentence, is one that the command line takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from keycairn.app.cli import main

ROOT = Path(__file__).parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
HISTORY = {"CHANGELOG.md"}
"""Tells of commands that were."""


def commands(text: str) -> Iterator[str]:
    """What follows `keycairn` in blocks of a console, and in inline code."""
    for block in re.findall(r"^```(?:console|sh|bash)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            if found := re.match(r"\$ (?:\w+=\S+ )*keycairn (?P<words>[^#|>&;]*)", line):
                yield found["words"]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", prose):
        if found := re.fullmatch(r"(?:\w+=\S+ )*keycairn (?P<words>[a-z][^|>&;]*)", " ".join(code.split())):
            yield found["words"]


def why_not(words: list[str]) -> str:
    """Why the command line refuses the words, whatever files there are; "" where it takes them."""
    command: click.Command = main
    context = None
    name = "keycairn"
    try:
        while True:
            context = command.make_context(name, words, parent=context)
            if not isinstance(command, click.Group) or not (left := [*context._protected_args, *context.args]):
                return ""
            found, next_command, words = command.resolve_command(context, left)
            if found is None or next_command is None:
                return "no such command"
            name, command = found, next_command
    except (click.MissingParameter, click.BadParameter, click.BadOptionUsage):
        return ""  # a page leaves out what the reader fills in, and names files the reader has
    except click.exceptions.NoArgsIsHelpError:
        return ""  # a group, spoken of as a whole
    except click.UsageError as error:
        return error.format_message()
    except (click.exceptions.Exit, SystemExit):
        return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_is_taken(page: Path) -> None:
    if page.name in HISTORY:
        return
    for text in commands(page.read_text()):
        words = [word for word in shlex.split(text.replace("...", "")) if word != "\\"]
        assert why_not(words) == "", text


def test_the_walk_finds_commands_and_refuses_wrong_ones() -> None:
    found = [text for page in PAGES for text in commands(page.read_text())]
    assert len(found) > 150
    assert why_not(["credential", "rename", "x"]) != ""
    assert why_not(["status", "--colour"]) != ""
    assert why_not(["doctor", "too", "many"]) != ""
    assert why_not(["credential", "add", "openai", "--name", "Work"]) == ""
