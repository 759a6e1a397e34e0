import re
import runpy
import subprocess
import sys
from pathlib import Path

import click
import pytest
from tests.loading import COMMAND, SERVICE, loaded_by
from tests.permissions import RULES

from keycairn import __version__, app
from keycairn.app.cli import main
from keycairn.app.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
PAGE = runpy.run_path(str(ROOT / ".ci/commands_page.py"))
LOAD_ALL = """
import click
from keycairn.app.cli import main
for name in main.list_commands(click.Context(main)):
    main.get_command(click.Context(main), name)
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_it_says_of_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert COMMANDS[name].short_help == command.get_short_help_str(sys.maxsize)


def test_the_list_is_in_order_and_each_command_stands_in_it_once() -> None:
    assert [*COMMANDS] == sorted(COMMANDS)
    assert len({entry.place for entry in COMMANDS.values()}) == len(COMMANDS)


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
async def test_help_and_version_load_neither_the_service_nor_what_a_command_needs(option: str) -> None:
    loaded = await loaded_by(COMMAND, option)
    assert "click" in loaded
    assert loaded & (SERVICE | {"httpx", "asyncio", "msgspec", "structlog", "rich"}) == set()


async def test_no_command_loads_the_service_or_the_client_before_it_runs() -> None:
    loaded = await loaded_by(LOAD_ALL)
    assert "msgspec" in loaded
    assert loaded & (SERVICE | {"httpx"}) == set()


@pytest.mark.parametrize("command", [("settings",), ("plugins", "new", "acme", "--into", "{folder}")])
async def test_what_asks_no_service_loads_none(command: tuple[str, ...], tmp_path: Path) -> None:
    loaded = await loaded_by(COMMAND, *(word.format(folder=tmp_path) for word in command))
    assert loaded & (SERVICE | {"httpx"}) == set()


async def test_the_package_itself_loads_nothing_until_it_is_asked() -> None:
    assert await loaded_by("import keycairn.app") & (SERVICE | {"msgspec", "asyncio"}) == set()
    assert await loaded_by("from keycairn.app import Settings, Secret, read_settings") & SERVICE == set()


async def test_the_package_gives_what_it_names() -> None:
    await loaded_by(
        "import keycairn.app as app\nfor name in app.__all__: assert name in dir(app) and getattr(app, name)"
    )


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        app.nonsense  # noqa: B018


def test_the_package_runs_as_a_module() -> None:
    said = subprocess.run([sys.executable, "-m", "keycairn", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"keycairn, version {__version__}\n"


def test_the_page_of_commands_is_what_they_say() -> None:
    assert PAGE["page"]() == (ROOT / "docs/commands.md").read_text(), "run: make docs"


def test_every_command_that_answers_answers_programs_too() -> None:
    silent = {"keycairn serve", "keycairn run", "keycairn completion"}
    for name, command in PAGE["all_commands"](main, "keycairn"):
        if name not in silent and not isinstance(command, click.Group):
            assert any("--json" in parameter.opts for parameter in command.params), name


CALL = re.compile(r'client\.(get|all|post|put|patch|delete)\(\s*f?"(/api/[^"?]*)"')
VERBS = {"all": "GET"}


def test_every_request_of_a_command_has_a_route_of_that_method() -> None:
    routes = {(verb, re.sub(r"{[^}]*}", "{}", path)) for verb, path in RULES}
    asked = [
        (file.name, VERBS.get(call[1], call[1].upper()), re.sub(r"{[^}]*}", "{}", call[2]))
        for file in sorted((ROOT / "app/cli").glob("*.py"))
        for call in CALL.finditer(file.read_text())
    ]
    assert len(asked) > 40
    # the kind of a record stands in the path
    assert [one for one in asked if one[1:] not in routes and one[2] != "/api/{}s"] == []


def test_every_command_is_run_by_a_test() -> None:
    texts = [file.read_text() for file in (ROOT / "tests").rglob("*.py")]
    texts += [(ROOT / page).read_text() for page in ("README.md", "docs/tutorial.md")]  # run as they are written
    tried = "\n".join(texts)
    for name, command in PAGE["all_commands"](main, "keycairn"):
        words = ", ".join(f'"{word}"' for word in name.split()[1:])
        assert isinstance(command, click.Group) or words in tried or f"$ {name} " in tried, name
