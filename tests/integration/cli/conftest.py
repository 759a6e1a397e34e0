import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from tests.shell import KEY, Shell

from keycairn.testing.openai_server import OpenAIServer


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    for name in list(os.environ):
        if name not in {"PATH", "PYTHONPATH", "HOME", "LANG"} and not name.startswith("PYTEST"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    shell = Shell(tmp_path)
    yield shell
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    assert KEY not in shell.said


@pytest.fixture
async def openai() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(key=KEY) as server:
        yield server


@pytest.fixture
async def stocked(shell: Shell, openai: OpenAIServer) -> Shell:
    """With an account in the environment, and moved into the database."""
    shell.variables |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": openai.url}
    await shell.run("migrate-env")
    return shell
