"""The command `restore`: putting a backup into an empty database."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from keycairn.app.cli.backup import bars, counted
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.secret_input import SOURCES, check_source, secret_text
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.settings import settings
from keycairn.app.cli.show import BAD, GOOD, say, shown
from keycairn.app.data_folder import ROOT_KEY_FILE
from keycairn.domain.errors import BackupKeyError
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.secret import Secret

if TYPE_CHECKING:
    from rich.progress import TaskID

_STEPS = {"read": "checking the file", "store": "storing", "compare": "comparing"}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--root-key",
    "source",
    metavar=SOURCES,
    callback=check_source,
    help="The root key of the backup's time: - for standard input, @ and a file.",
)
@as_json
def restore(file: Path, source: str | None, *, as_json: bool) -> None:
    """Put a backup into an empty database: all of it, or nothing.

    The service must not run. The database may be another one than that of the backup, on another machine: set
    KEYCAIRN_DATA_DIR or KEYCAIRN_DATABASE_URL. A damaged file is refused before anything is written; what was written
    is read back and compared, record by record. With the root key set, every secret is tried as well. For example:
    `KEYCAIRN_DATA_DIR=new-data keycairn restore all.backup.gz`

    A backup needs the root key of its time. Former ones that were kept in the data folder are tried; another one is
    given with `--root-key`, or asked for at a terminal, and becomes that of the data folder. An admin token is made
    where the data folder has none, so that commands beside the service find a way in.
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

        given = None if source is None else _root_key(source)
        try:
            restored, first_run = asyncio.run(restore_backup(chosen, file, advance, given=given))
        except BackupKeyError as error:
            if given is not None or not sys.stdin.isatty():
                raise
            progress.stop()
            say(str(error), "yellow")
            restored, first_run = asyncio.run(restore_backup(chosen, file, advance, given=_root_key(None)))
    failed = FAILED if restored.broken else None
    place = str(chosen.data_dir if chosen.embedded and not chosen.database_url else chosen.store_url)
    token_file = str(first_run.token_file) if first_run.token_file else None
    if not shown({**to_builtins(restored), "into": place, "token_file": token_file}, as_json=as_json):
        say(
            f"Restored into {place} and compared: {counted(restored.counts)}, "
            f"as of {restored.created:%Y-%m-%d %H:%M} UTC.",
            GOOD,
        )
        if restored.opened is None:
            say(
                f"No root key is there, so no secret was tried. Copy the former installation's root-key file to "
                f"{chosen.data_dir / ROOT_KEY_FILE}, or set KEYCAIRN_ROOT_KEY_FILE to it; a new one opens nothing. "
                "Then make yourself a token, before the service starts: keycairn token create NAME --scope admin",
                "yellow",
            )
        else:
            say(f"Secrets that open: {restored.opened}.", GOOD)
        if restored.broken:
            say(f"Secrets that do not: {restored.broken}. `keycairn doctor` lists them.", BAD)
        if token_file:
            say(f"Made an admin token: {token_file}. Commands beside the service find it; the backup's are good too.")
    sys.exit(failed)


def _root_key(source: str | None) -> RootKey:
    return parse_root_key(Secret(secret_text(source, "The root key of the backup's time", "--root-key")))
