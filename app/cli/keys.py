"""Commands about the keys that encrypt everything."""

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.connected import reading, with_client
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.group import Group
from keycairn.app.cli.root_key import current_root_key, elsewhere, present_root_key, root_key_in
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.settings import settings
from keycairn.app.cli.show import BAD, DULL, GOOD, say, shown, table
from keycairn.app.data_folder import ROOT_KEY_FILE, STAGED, keep_root_key, write_private
from keycairn.domain.errors import RequestFailedError

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

GLANCE = 0.2
"""Seconds between two looks at a rotation."""
LOOKING = 5
"""A look passes over all secrets: at most one second in so many is spent on it."""


class _RotateGroup(Group):
    """Says where keys of providers are replaced, to whoever looks for that here."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(
                f"{error.message} This is about the keys that encrypt everything; a provider's key is replaced by "
                "`keycairn credential set-key NAME`, or rotates itself: `keycairn credential rotate-key NAME`.",
                ctx,
            ) from None


@click.group(cls=_RotateGroup)
def rotate() -> None:
    """Rotate the keys that encrypt everything, while the service runs."""


@rotate.command("data")
@click.option("--dry-run", is_flag=True, help="Only say how many secrets would be sealed anew.")
@as_json
@with_client
async def rotate_data(client: "Client", *, dry_run: bool, as_json: bool) -> int | None:
    """Make a new data key, seal every secret under it, retire the old one. Cut off, it goes on at the next start."""
    before = await client.get("/api/encryption")
    total = sum(before["secrets"].values())
    if dry_run:
        if not shown(before, as_json=as_json):
            say(f"{total} secrets would be sealed under a new key; {len(before['quarantined'])} do not open.")
        return None
    await client.post("/api/encryption/rotate")
    from rich.progress import Progress  # noqa: PLC0415  # 0.1 s, for this command alone

    with Progress(disable=as_json, transient=True) as progress:
        bar = progress.add_task("sealing", total=total)
        began = time.monotonic()
        while (now := await client.get("/api/encryption"))["rotating"]:
            progress.update(bar, completed=total - now["pending"])
            await asyncio.sleep(max(GLANCE, (LOOKING - 1) * (time.monotonic() - began)))
            began = time.monotonic()
    if not shown(now, as_json=as_json):
        _print_keys(now)
    return FAILED if now["pending"] else None


def _print_keys(now: dict[str, Any]) -> None:
    rows = ((kid, state, now["secrets"].get(kid, 0)) for kid, state in now["keys"].items())
    table(("key", "state", "secrets"), rows, empty="There is no data key yet.")
    if not now["keys"]:
        return
    if now["former"]:
        say(now["former_because"])
    if now["quarantined"]:
        say(f"{len(now['quarantined'])} secrets do not open; send their keys again. `keycairn doctor` lists them.", BAD)
    else:
        say("Every secret is sealed under the primary key.", GOOD)


@click.group(cls=Group)
def keys() -> None:
    """The data keys, of which retired ones stay until they are forgotten."""


@keys.command("list")
@as_json
@reading
async def list_keys(client: "Client", *, as_json: bool) -> None:
    """List the data keys, their state, and how many secrets each seals."""
    now = await client.get("/api/encryption")
    if client.empty:
        now = {**now, "keys": {}, "primary": None}
    if not shown(now, as_json=as_json):
        _print_keys(now)


@keys.command("forget")
@click.argument("kid", type=click.IntRange(min=1))
@click.option("--yes", is_flag=True, help="Forget it. Without this, only say what would be.")
@as_json
@with_client
async def forget_key(client: "Client", *, kid: int, yes: bool, as_json: bool) -> None:
    """Remove a retired data key for good, once every record was tried without it.

    Worth doing after a leak: whoever has the key opens what it sealed. Backups that need it bring it along, wrapped by
    the root key of their time, and can be restored as before; they are named, so that they can be deleted too.
    """
    done = await client.post(f"/api/encryption/keys/{kid}/forget", **({} if yes else {"dry_run": "true"}))
    if shown(done, as_json=as_json):
        return
    say(f"Every record opens without data key {kid}: {done['records']} tried.")
    rows = ((each["file"], _age(each["age"]), each["secrets"] or "cannot be read") for each in done["backups"])
    table(("backup that needs it", "age", "secrets"), rows, empty="No backup in the backup folder needs it.")
    if yes:
        say(f"Data key {kid} is forgotten. Nothing brings it back.", GOOD)
    else:
        say("Nothing was changed. Add --yes to forget it.", DULL)


def _age(seconds: int) -> str:
    days, hours = divmod(seconds // 3600, 24)
    return f"{days} days" if days > 1 else f"{days * 24 + hours} hours"


@rotate.command("root")
@click.argument("new_root_key_file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@current_root_key
@click.option("--now", is_flag=True, help="After a leak: former root keys stop working at once, not at the next start.")
@as_json
@with_client
async def rotate_root(
    client: "Client", *, new_root_key_file: Path | None, current: str | None, now: bool, as_json: bool
) -> None:
    """Replace the root key, which wraps the data keys, by the one in NEW_ROOT_KEY_FILE.

    The file holds one line: `base64:` and 32 random bytes (`echo base64:$(openssl rand -base64 32)` makes one), or
    `passphrase:` and a long sentence.

    The present root key is needed as well, since a token alone must not replace it. On the service's own machine it is
    found by itself; for a service elsewhere give it with `--current-root-key`.

    Until the service has started once with the new root key, the former one works too, so that a mistake locks nobody
    out. After a leak add `--now`, and the former one stops at once; `keycairn rotate root --now`, without a file, does
    that later. Backups keep the root key of the day they were made.
    """
    if new_root_key_file is None and not now:
        raise click.UsageError("Name the file with the new root key, or give --now to have former ones stop working.")
    present = present_root_key(current)
    text = present if new_root_key_file is None else root_key_in(new_root_key_file)
    staged = _stage(text) if new_root_key_file is not None else None
    try:
        status = await client.post(
            "/api/encryption/root-key", {"root_key": text, "current_root_key": present, "now": now}
        )
    except RequestFailedError as error:
        if staged and 400 <= error.status < 500:
            staged.unlink(missing_ok=True)  # refused, so nobody will ever need it
        raise
    kept = None
    if staged:
        kept = keep_root_key(staged.parent)
        staged.replace(staged.with_suffix(""))  # nothing else runs
    if shown({**status, "kept": str(kept) if kept else None}, as_json=as_json):
        return
    if not status["former"]:
        say("The root key is the one to use; former ones work no more.", GOOD)
    else:
        say("The new root key is the one to use. The former one works too until the service has started anew.", GOOD)
    if kept:
        say(f"The former root key is kept in {kept}: backups made before now need it. Move it to where they are.")
    else:
        say("Backups made before now need the former root key: keep it with them.")
    if staged is None:
        say("Before the next start, set KEYCAIRN_ROOT_KEY_FILE to it, and keep a copy away from the database.")


def _stage(text: str) -> Path | None:
    """Put the new root key beside the generated one of the data folder, where that is the one in use."""
    chosen = settings()
    generated = chosen.data_dir / ROOT_KEY_FILE
    if elsewhere() or chosen.root_key is not None or not generated.exists():
        return None
    staged = generated.with_suffix(STAGED)
    write_private(staged, text + "\n")
    return staged
