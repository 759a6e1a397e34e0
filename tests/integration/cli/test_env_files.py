"""What of a .env file cannot be read is said where the environment is looked at, and stops nothing."""

import json

import pytest
from tests.nights import by_day
from tests.served import serving
from tests.shell import KEY, Shell

COMMANDS = [("env",), ("status",), ("migrate-env", "--dry-run"), ("doctor",)]


@pytest.mark.parametrize("words", by_day(COMMANDS, one_in=2))
async def test_a_broken_file_stops_no_command_and_its_lines_are_named(shell: Shell, words: tuple[str, ...]) -> None:
    await shell.begin()
    (shell.folder / ".env").write_bytes(b"OPENAI_API_KEY=sk-\xe9\nno line\nKEYCAIRN_PORT=1\n")
    told = await shell.run(*words)
    assert told.exit_code == (1 if words == ("doctor",) else 0), told.output
    for part in ("Line 1 of .env", "Line 2 of .env", "KEYCAIRN_PORT"):
        assert part in told.output


async def test_a_service_starts_beside_a_folder_called_env_and_says_so(shell: Shell) -> None:
    (shell.folder / ".env").mkdir()
    async with serving(shell) as served:
        assert "cannot be read" in served.said()
        assert "cannot be read" in (await shell.run("env")).output


async def test_a_file_that_was_named_and_is_not_there_is_told_of(shell: Shell) -> None:
    assert "nowhere" in (await shell.run("env", KEYCAIRN_ENV_FILE="nowhere")).output


@pytest.mark.parametrize("value", ["${KEY}", "$(pass x)", "`pass x`"])
async def test_what_another_program_would_fill_in_is_said_and_not_moved_in(shell: Shell, value: str) -> None:
    (shell.folder / ".env").write_text(f"OPENAI_API_KEY={value}\nGROQ_API_KEY=gsk_{KEY}\n")
    told = await shell.run("migrate-env", "--dry-run", "--json")
    assert told.exit_code == 1
    planned = json.loads(told.stdout)
    assert planned["migrated"] == ["groq"]
    assert any("OPENAI_API_KEY" in why for why in planned["refused"])


async def test_a_start_says_to_move_in_only_what_is_not_in(shell: Shell) -> None:
    shell.variables["OPENAI_API_KEY"] = KEY
    await shell.run("migrate-env")
    async with serving(shell) as served:
        assert "Found openai" in served.said()
        assert "keycairn migrate-env" not in served.said()
