import os

import pytest
from tests.loading import COMMAND, SERVICE, loaded_by
from tests.served import serving
from tests.shell import Shell

COMMANDS = (
    "status",
    "env",
    "migrate-env --dry-run",
    "test --all",
    "token list",
    "keys list",
    "plugins",
    "rotate data --dry-run",
    "backup all.backup.gz",
    "doctor",
)


@pytest.mark.night
async def test_a_command_beside_a_running_service_loads_none_of_its_own(shell: Shell) -> None:
    async with serving(shell):
        env = {"PATH": os.environ["PATH"], **shell.variables}
        for command in COMMANDS:
            loaded = await loaded_by(COMMAND, *command.split(), env=env)
            assert "httpx" in loaded, command
            assert loaded & SERVICE == set(), command
