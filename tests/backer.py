"""Work for processes that are to be killed: backups beside writes, and restores."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from keycairn.app import Secret, Settings, open_keycairn
from keycairn.app.offline import restore_backup

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
