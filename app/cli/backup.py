"""The command `backup`: everything that is stored, sealed as it is, in one file."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from keycairn.app.cli.connected import with_client
from keycairn.app.cli.root_key import current_root_key, present_root_key, root_key_in
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.settings import settings
from keycairn.app.cli.show import BAD, DULL, GOOD, say, shown
from keycairn.app.cli.where import named
from keycairn.app.data_folder import ROOT_KEY_FILE
from keycairn.app.services.backups import examine, placed
from keycairn.domain.errors import BackupFileError, DamagedBackupError, SettingsError
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret

if TYPE_CHECKING:
    from rich.progress import Progress

    from keycairn.app.cli.client import Client


@contextmanager
def bars(*, as_json: bool) -> "Iterator[Progress]":
    """Progress bars on standard error, gone when they are done; none for programs."""
    from rich.console import Console  # noqa: PLC0415  # 0.1 s, which `--help` does not need
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=as_json, transient=True) as progress:
        yield progress


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--re-encrypt-for",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with another root key: make a backup for its owner, under keys that open nothing of yours.",
)
@current_root_key
@as_json
@with_client
async def backup(client: "Client", *, file: Path, key_file: Path | None, current: str | None, as_json: bool) -> None:
    """Write everything into one file, while the service runs.

    The secrets in it stay sealed: it is of no use without the root key, which is not in it. The file is proven whole
    before it gets its name; a former backup of that name is replaced then. For example: `keycairn backup all.backup.gz`

    With `--re-encrypt-for`, credentials, models and defaults are sealed anew under fresh keys, which only the root key
    in that file opens; tokens, the audit log and usage stay here. Your own root key is needed for that, and stays in
    this command: the one that is set or lies in the data folder, or the one given with `--current-root-key`.
    """
    _check_replaceable(file)
    if key_file is None:
        async with placed(file) as stream:
            await _fetch(client, stream.write, as_json=as_json)
        told = await asyncio.to_thread(examine, file)
        summary: dict[str, Any] = {
            "file": str(file),
            "size": told.size,
            "records": told.trailer.records,
            "counts": told.trailer.counts,
            "root_key": told.keyset.slots[-1].slot_id if told.keyset and told.keyset.slots else None,
        }
    else:
        summary = await _hand_over(client, file, key_file, current, as_json=as_json)
    if shown(to_builtins(summary), as_json=as_json):
        return
    say(f"Wrote {file}: {counted(summary['counts'])}.", GOOD)
    if key_file is None:
        say(
            f"To open it you need the root key in use today{_place_of_the_root_key(client)}, even if you change the "
            "key later. Keep a copy of that key in another place than this file.",
            DULL,
        )
    elif summary["broken"]:
        say(
            f"{summary['broken']} secrets did not open, and will not open there either; their keys must be sent again.",
            BAD,
        )


def _place_of_the_root_key(client: "Client") -> str:
    """Where the generated root key is, if this machine's data folder has it; else ""."""
    chosen = settings()
    file = chosen.data_dir / ROOT_KEY_FILE
    here = named() is None and chosen.root_key is None and not client.empty and file.exists()
    return f" (in {file})" if here else ""


def _check_replaceable(file: Path) -> None:
    """Raise BackupFileError where `file` is something that is no backup: a slip of the pen must not cost it."""
    if file.exists() and file.stat().st_size:
        try:
            examine(file)
        except DamagedBackupError:
            raise BackupFileError(f"{file} is there and is no backup. Choose another name.") from None


async def _fetch(client: "Client", write: Callable[[bytes], object], query: str = "", *, as_json: bool) -> None:
    with bars(as_json=as_json) as progress:
        bar = progress.add_task("receiving", total=None)
        await client.download(
            f"/api/backup{query}", write, lambda more, total: progress.update(bar, advance=more, total=total or None)
        )


async def _hand_over(
    client: "Client", file: Path, key_file: Path, current: str | None, *, as_json: bool
) -> dict[str, Any]:
    from keycairn.app.logs import configure_logs  # noqa: PLC0415  # with the adapters 1 s, for this option alone
    from keycairn.app.services.backups import RekeyedBackup  # noqa: PLC0415
    from keycairn.app.wiring import keyset_opener, provider_registry, system_clock  # noqa: PLC0415

    configure_logs("warning")
    other = parse_root_key(Secret(root_key_in(key_file)))
    own = parse_root_key(Secret(present_root_key(current)))
    if own.material == other.material:
        raise SettingsError(f"{key_file} holds your own root key. A backup without --re-encrypt-for opens with that.")
    with _aside(file) as sealed:
        async with placed(sealed) as stream:
            await _fetch(client, stream.write, "?handover=true", as_json=as_json)
        handover = RekeyedBackup(keyset_opener(), provider_registry(settings()))
        with bars(as_json=as_json) as progress:
            bar = progress.add_task("encrypting", total=examine(sealed).trailer.records)
            handed = await handover.rewrite(
                sealed,
                file,
                own=own,
                other=other,
                now=system_clock().now(),
                progress=lambda more: progress.update(bar, advance=more),
            )
    return {"file": str(file), **to_builtins(handed)}


@contextmanager
def _aside(file: Path) -> Iterator[Path]:
    try:
        with TemporaryDirectory(prefix=".keycairn-", dir=file.parent) as folder:
            yield Path(folder) / file.name
    except OSError as error:
        raise BackupFileError(f"{file} cannot be written: {error.strerror}.") from None


def counted(counts: Mapping[str, int]) -> str:
    """The number of records of each kind, in words."""
    return ", ".join(f"{kind} {count}" for kind, count in counts.items()) or "nothing"
