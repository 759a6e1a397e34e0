"""Work for processes that are to be killed or starved: backups beside writes, restores, and first starts."""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from keycairn.app import Secret, Settings, open_keycairn
from keycairn.app.offline import restore_backup
from keycairn.domain.errors import KeycairnError

STEPS = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.chflags"})

Say = Callable[[str], None]


def settings_of(data: Path) -> Settings:
    return Settings(data_dir=data, env_file=None, external_plugins=False)


def write_and_back_up(say: Say, data: str, file: str) -> None:
    """Create credentials one by one, saying each id once it is acknowledged, and take backups all the while."""

    async def main() -> None:
        async with open_keycairn(settings_of(Path(data))) as kc:
            acknowledged = 0

            async def write() -> None:
                nonlocal acknowledged
                while True:
                    made = await kc.credentials.create(
                        "openai", name="w", secrets={"api_key": Secret("sk-0123456789ab")}
                    )
                    acknowledged += 1
                    say(made.credential.id)

            async def back_up() -> None:
                while True:
                    before = acknowledged
                    await kc.backups.save(file=Path(file))
                    say(f"saved {before}")

            say("begun")
            await asyncio.gather(write(), back_up())

    asyncio.run(main())


def restore(say: Say, data: str, file: str) -> None:
    """Restore a backup, saying `begun` before and `done` after."""
    say("begun")
    asyncio.run(restore_backup(settings_of(Path(data)), Path(file)))
    say("done")


def first_start(say: Say, data: str, stop_at: str = "0") -> None:
    """Start on an empty folder, and end without a word at the step of that number; 0 for never.

    A step is whatever this process does to files. Says `steps`, their number, when it got through.
    """
    steps = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        if event in STEPS or (event == "open" and arguments[0] and data in str(arguments[0])):
            steps += 1
            if steps == int(stop_at):
                os.kill(os.getpid(), signal.SIGKILL)

    async def main() -> None:
        async with open_keycairn(settings_of(Path(data))):
            pass

    sys.addaudithook(count)
    asyncio.run(main())
    say(f"steps {steps}")


def try_to_start(say: Say, data: str, largest_file: str = "") -> None:
    """Start on a folder, and say `started`, or the error. With `largest_file`, in bytes, no file can grow beyond it."""
    if largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file), resource.RLIM_INFINITY))

    async def main() -> None:
        async with open_keycairn(settings_of(Path(data))):
            pass

    try:
        asyncio.run(main())
    except KeycairnError as error:
        say(f"{error.code}: {error}")
    else:
        say("started")
