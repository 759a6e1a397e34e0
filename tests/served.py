"""`keycairn serve` as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.shell import Shell

KEPT = ("PATH", "PYTHONPATH")
"""What a service is told of the environment of the tests: where its programs and its own code are."""
COMMAND = str(Path(sys.executable).with_name("keycairn"))


class Served:
    """A running `keycairn serve`."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self._log = log

    def said(self) -> str:
        return self._log.read_text()

    async def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        return await asyncio.wait_for(self.process.wait(), 20)


@asynccontextmanager
async def serving(shell: Shell, *options: str, **variables: str) -> AsyncIterator[Served]:
    log = shell.folder / "log"
    with log.open("w") as stream:
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            "serve",
            "--port",
            "0",
            *options,
            env={**{name: os.environ[name] for name in KEPT if name in os.environ}, **shell.variables, **variables},
            stdout=stream,
            stderr=stream,
        )
    try:
        yield Served(process, await announced(shell, process), log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        shell.said += log.read_text()


async def announced(shell: Shell, process: asyncio.subprocess.Process) -> str:
    """The address the process left word of."""
    address = shell.data / "server.json"
    async with asyncio.timeout(60):
        while not address.exists() or json.loads(address.read_bytes() or b"{}").get("pid") != process.pid:
            assert process.returncode is None, "it ended"
            await asyncio.sleep(0.02)
    return str(json.loads(address.read_bytes())["url"])
