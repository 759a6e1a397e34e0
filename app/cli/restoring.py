"""The command that puts a backup back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from keycairn.app.cli.backup import bars, counted
from keycairn.app.cli.connected import as_json
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.settings import settings
from keycairn.app.cli.show import BAD, DULL, GOOD, say, shown

if TYPE_CHECKING:
    from rich.progress import TaskID

_STEPS = {"read": "checking the file", "store": "storing", "compare": "comparing"}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def restore(file: Path, *, as_json: bool) -> None:
    """Put a backup into an empty database: all of it, or nothing.

    The service must not run. The database may be another one than that of the backup, on another machine: set
    KEYCAIRN_DATA_DIR or KEYCAIRN_DATABASE_URL. A damaged file is refused before anything is written; what was written
    is read back and compared, record by record. With the root key set, every secret is tried as well. For example:
    `KEYCAIRN_DATA_DIR=new-data keycairn restore all.backup.gz`
    """
    import asyncio  # noqa: PLC0415  # with the service 1 s, which `--help` does not need

    from keycairn.app.logs import configure_logs  # noqa: PLC0415
    from keycairn.app.offline import restore_backup  # noqa: PLC0415

    configure_logs("warning")
    chosen = settings()
    with bars(as_json=as_json) as progress:
        steps: dict[str, TaskID] = {}

        def advance(step: str, more: int, total: int) -> None:
            if step not in steps:
                steps[step] = progress.add_task(_STEPS[step], total=total or None)
            progress.update(steps[step], advance=more)

        restored, first_run = asyncio.run(restore_backup(chosen, file, advance))
    failed = FAILED if restored.broken else None
    token_file = str(first_run.token_file) if first_run.token_file else None
    if not shown({**to_builtins(restored), "token_file": token_file}, as_json=as_json):
        say(
            f"Restored and compared: {counted(restored.counts)}, as of {restored.created:%Y-%m-%d %H:%M} UTC.",
            GOOD,
        )
        if restored.opened is None:
            say("No root key is set, so no secret was tried. Bring the root key of the backup's installation.", DULL)
        else:
            say(f"Secrets that open: {restored.opened}.", GOOD)
        if restored.broken:
            say(f"Secrets that do not: {restored.broken}. `keycairn doctor` lists them.", BAD)
        if token_file:
            say(f"Made an admin token: {token_file}")
    sys.exit(failed)
