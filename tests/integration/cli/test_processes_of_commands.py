"""Commands as processes: what Ctrl-C ends them with, and that two at once wait for each other."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process

from tests.served import COMMAND, KEPT
from tests.shell import Shell


async def started(shell: Shell, *words: str) -> Process:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return await asyncio.create_subprocess_exec(
        COMMAND,
        *words,
        env={**kept, **shell.variables},
        stdout=PIPE,
        stderr=DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a shell's background jobs ignore
    )


async def test_ctrl_c_ends_a_command_that_watches_with_130(shell: Shell) -> None:
    process = await started(shell, "usage", "--watch", "1")
    assert process.stdout is not None
    assert b"Nothing was called" in await asyncio.wait_for(process.stdout.readline(), 60)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 20) == 130


async def test_two_commands_at_once_without_a_service_both_succeed(shell: Shell) -> None:
    both = [await started(shell, "default", "auto", "--json") for _ in range(2)]
    assert [await asyncio.wait_for(process.wait(), 60) for process in both] == [0, 0]
