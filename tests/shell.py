"""The command line, used as a person or a program would."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from keycairn.app.cli import main

KEY = "sk-cli-0123456789-canary"


class Shell:
    """Runs commands as a person would, in a folder and an environment of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.variables = {
            "KEYCAIRN_DATA_DIR": str(self.data),
            "KEYCAIRN_EXTERNAL_PLUGINS": "off",
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        self.said = ""

    async def run(self, *words: str, typed: str | None = None, **variables: str) -> Result:
        of_tests = {name: None for name in os.environ if name.startswith("KEYCAIRN_TEST_")}
        env = {**of_tests, **self.variables, **variables}
        result = await asyncio.to_thread(CliRunner().invoke, main, words, input=typed, env=env)
        self.said += result.output
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        assert "Traceback" not in result.output
        return result

    async def begin(self) -> None:
        """Have a database and a root key where there were none."""
        assert (await self.run("default", "auto")).exit_code == 0

    async def read(self, *words: str, **variables: str) -> Any:
        """What a command that succeeds gives to programs."""
        result = await self.run(*words, "--json", **variables)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)
