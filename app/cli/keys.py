"""Commands about the keys that encrypt everything."""

import asyncio
from pathlib import Path
from typing import Any

import rich_click as click
from rich.progress import Progress

from keycairn.app.cli.client import Client
from keycairn.app.cli.group import FAILED, as_json, main, settings, shown, with_client
from keycairn.app.cli.show import BAD, GOOD, say, table
from keycairn.app.wiring import ROOT_KEY_FILE, STAGED, write_private
from keycairn.domain.errors import RootKeyError, SettingsError
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret

GLANCE = 0.2
"""Seconds between two looks at a rotation."""


@main.group()
def rotate() -> None:
    """Rotate the keys that encrypt everything, while the service runs."""


@rotate.command("data")
@click.option("--dry-run", is_flag=True, help="Only say how many secrets would be sealed anew.")
@as_json
@with_client
async def rotate_data(client: Client, *, dry_run: bool, as_json: bool) -> int | None:
    """Make a new data key, seal every secret under it, retire the old one. Cut off, it goes on at the next start."""
    before = await client.get("/api/encryption")
    total = sum(before["secrets"].values())
    if dry_run:
        if not shown(before, as_json=as_json):
            say(f"{total} secrets would be sealed under a new key; {len(before['quarantined'])} do not open.")
        return None
    await client.post("/api/encryption/rotate")
    with Progress(disable=as_json, transient=True) as progress:
        bar = progress.add_task("sealing", total=total)
        while (now := await client.get("/api/encryption"))["rotating"]:
            progress.update(bar, completed=total - now["pending"])
            await asyncio.sleep(GLANCE)
    if not shown(now, as_json=as_json):
        _print_keys(now)
    return FAILED if now["pending"] else None


def _print_keys(now: dict[str, Any]) -> None:
    rows = ((kid, state, now["secrets"].get(kid, 0)) for kid, state in now["keys"].items())
    table(("key", "state", "secrets"), rows, empty="")
    if now["quarantined"]:
        say(f"{len(now['quarantined'])} secrets do not open; send their keys again. `keycairn doctor` lists them.", BAD)
    else:
        say("Every secret is sealed under the primary key.", GOOD)


@rotate.command("root")
@click.argument("new_root_key_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
@with_client
async def rotate_root(client: Client, *, new_root_key_file: Path, as_json: bool) -> None:
    """Make the root key in a file the one that opens everything. The file holds `base64:...` or `passphrase:...`."""
    text = root_key_in(new_root_key_file)
    generated = settings().data_dir / ROOT_KEY_FILE
    staged = generated.with_suffix(STAGED) if generated.exists() and settings().root_key is None else None
    if staged:
        write_private(staged, text + "\n")
    now = await client.post("/api/encryption/root-key", {"root_key": text})
    if staged:
        staged.replace(generated)  # nothing else runs
    if shown(now, as_json=as_json):
        return
    say("The new root key opens everything; the old one opens nothing any more.", GOOD)
    if staged is None:
        say("Before the next start, set KEYCAIRN_ROOT_KEY_FILE to it, and keep a copy away from the database.")


def root_key_in(file: Path) -> str:
    """The text of the root key in a file. Raises SettingsError when it cannot be used as one."""
    try:
        text = file.read_text().strip()
        parse_root_key(Secret(text))
    except (OSError, UnicodeDecodeError, RootKeyError) as error:
        why = error if isinstance(error, RootKeyError) else "It is not readable text."
        raise SettingsError(f"{file} cannot be used. {why}") from None
    return text
