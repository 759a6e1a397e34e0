"""Commands that move keys in from elsewhere."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from keycairn.app.cli.connected import with_client
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.group import Group
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.settings import settings
from keycairn.app.cli.show import BAD, DULL, GOOD, say, shown, table
from keycairn.app.sources import Kind, SourceSpec
from keycairn.domain.errors import SettingsError
from keycairn.domain.incoming import IncomingCredential, IncomingDefaults, IncomingRow, Refused, unusable_secret
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.secret import Secret

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

ROWS = 200
"""Rows in one request."""
BYTES = 4 * 1024 * 1024
"""Of one request, at most about this many."""
SHOWN = 40
"""Lines of each kind in the report for people."""
_LISTS = ("created", "repaired", "skipped", "refused", "relinked", "models")


@click.group("import", cls=Group)
def import_group() -> None:
    """Move keys in: from a .env file, Open Notebook, LiteLLM, or a table.

    What is imported from is only read. What is in Keycairn already stays as it is: running an import again changes
    nothing, and goes on where one that was cut off ended. Try it first with `--dry-run`. The exit code is 1 when
    something could not come in; the report says what and why.
    """


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    dry_run = click.option("--dry-run", is_flag=True, help="Only say what would happen.")
    again = click.option("--again", is_flag=True, help="Also bring back what was deleted in Keycairn.")
    return dry_run(again(as_json(command)))


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _specs() -> list[ProviderSpec]:
    from keycairn.plugins.registry import PluginRegistry  # noqa: PLC0415  # 0.2 s, which `--help` does not need

    return [provider.spec for provider in PluginRegistry(external=settings().external_plugins).all()]


def _allowed(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what no import may read."""
    if any(name.upper().startswith("KEYCAIRN_") for name in names):
        raise click.BadParameter("Keycairn's own variables are never read by an import.", context, parameter)
    return names


def _notebook(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--namespace", envvar="SURREAL_NAMESPACE", default="open_notebook", show_default=True),
        click.option("--database", envvar="SURREAL_DATABASE", default="open_notebook", show_default=True),
        click.option("--user", envvar="SURREAL_USER", help="User of the database; its password is SURREAL_PASSWORD."),
        click.option("--passphrase-file", type=_FILE, help="Holds what OPEN_NOTEBOOK_ENCRYPTION_KEY was."),
    ):
        command = option(command)
    return command


@import_group.command("env")
@click.argument("file", type=_FILE, default=Path(".env"))
@click.option("--anyway", is_flag=True, help="Also where variables that look like addresses are not understood.")
@_options
@with_client
async def import_env(
    client: "Client", *, file: Path, anyway: bool, dry_run: bool, again: bool, as_json: bool
) -> int | None:
    """Import the provider variables of a .env FILE; without one, of ./.env.

    A key goes to its provider's own host, or to the address of the same provider in the same file. Another key than the
    one that is here is another account. `keycairn migrate-env` moves in what the service itself finds.
    """
    spec = SourceSpec(kind=Kind.ENV, place=str(file), specs=_specs(), anyway=anyway)
    return await _bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


@import_group.command("open-notebook")
@click.argument("place")
@_notebook
@_options
@with_client
async def import_open_notebook(
    client: "Client", *, place: str, dry_run: bool, again: bool, as_json: bool, **database: Any
) -> int | None:
    """Import the credentials, models and defaults of an Open Notebook, with their ids and links.

    PLACE is its database (`ws://localhost:8000`), or a file that `surreal export` wrote. Its passphrase is taken from
    --passphrase-file or the variable OPEN_NOTEBOOK_ENCRYPTION_KEY. A key it does not open arrives as broken: run the
    import again with the right passphrase, or send the key.

    `keycairn import open-notebook ws://localhost:8000 --user root --passphrase-file old-key.txt --dry-run`
    """
    spec = _notebook_spec(Kind.OPEN_NOTEBOOK, place, **database)
    return await _bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


@import_group.command("legacy")
@click.argument("place")
@_notebook
@_options
@with_client
async def import_legacy(
    client: "Client", *, place: str, dry_run: bool, again: bool, as_json: bool, **database: Any
) -> int | None:
    """Import the provider_configs that Open Notebook kept before it had credentials.

    PLACE is its database, a file that `surreal export` wrote, or a JSON file of the record: alone, in a list, or as a
    query answered it. The default entry of a provider takes over the provider's models that have no credential.
    """
    spec = _notebook_spec(Kind.LEGACY, place, **database)
    return await _bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


@import_group.command("litellm")
@click.argument("file", type=_FILE)
@click.option(
    "--allow-variable",
    "allowed",
    multiple=True,
    metavar="NAME",
    callback=_allowed,
    help="A variable the file may name besides those of the provider it configures. Repeat it for more.",
)
@click.option("--anyway", is_flag=True, help="Also where variables that look like addresses are not understood.")
@_options
@with_client
async def import_litellm(
    client: "Client", *, file: Path, allowed: tuple[str, ...], anyway: bool, dry_run: bool, again: bool, as_json: bool
) -> int | None:
    """Import the accounts and models of a LiteLLM config.yaml.

    `os.environ/NAME` is looked up in the environment of this command and in KEYCAIRN_ENV_FILE, where NAME is a variable
    of the provider it stands for: whoever wrote the file is not to choose what of yours is sent where. Others are named
    in the report, and read with --allow-variable; Keycairn's own never are. A variable that is not set, or not read,
    gives a credential that waits for its key; an address that is not refuses the entry. An entry without a key has
    that of its provider's own variable, as in LiteLLM.
    """
    spec = SourceSpec(
        kind=Kind.LITELLM,
        place=str(file),
        env_file=settings().env_file,
        specs=_specs(),
        allowed=allowed,
        anyway=anyway,
    )
    return await _bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


@import_group.command("file")
@click.argument("file", type=_FILE)
@_options
@with_client
async def import_file(client: "Client", *, file: Path, dry_run: bool, again: bool, as_json: bool) -> int | None:
    """Import a table of keys: CSV with a header, or a JSON list of objects.

    The columns are `provider`, and as needed `name`, `api_key`, `base_url`, any other field of the provider, and
    `models`, which are separated by spaces.
    """
    spec = SourceSpec(kind=Kind.TABLE, place=str(file))
    return await _bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


def _notebook_spec(
    kind: Kind, place: str, *, namespace: str, database: str, user: str | None, passphrase_file: Path | None
) -> SourceSpec:
    password = os.environ.get("SURREAL_PASSWORD") or os.environ.get("SURREAL_PASS")
    return SourceSpec(
        kind=kind,
        place=place,
        passphrase=_passphrase(passphrase_file),
        namespace=namespace,
        database=database,
        user=user,
        password=Secret(password) if password else None,
    )


def _passphrase(file: Path | None) -> Secret | None:
    """As Open Notebook reads it: a file's blanks do not count, a variable's do."""
    named = os.environ.get("OPEN_NOTEBOOK_ENCRYPTION_KEY_FILE")
    if file is None and named:
        file = Path(named)
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"The passphrase in {file} cannot be read.") from None
        if not text:
            raise SettingsError(f"The passphrase file {file} is empty.")
        return Secret(text)
    given = os.environ.get("OPEN_NOTEBOOK_ENCRYPTION_KEY")
    return Secret(given) if given else None


async def _bring(client: "Client", spec: SourceSpec, *, dry_run: bool, again: bool, as_json: bool) -> int | None:
    """Send the rows of a source, and show the report."""
    from rich.progress import (  # noqa: PLC0415  # 0.1 s, which `--help` does not need
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from keycairn.app.logs import configure_logs  # noqa: PLC0415  # with the adapters 1 s, likewise
    from keycairn.app.wiring import open_source  # noqa: PLC0415

    configure_logs("warning")
    source = open_source(spec)
    whole: dict[str, Any] = {"dry_run": dry_run, **{name: [] for name in _LISTS}, "defaults": {}, "renamed": {}}
    batch: list[Any] = []
    left = TimeRemainingColumn(elapsed_when_finished=True)
    columns = (TextColumn(source.label), BarColumn(), MofNCompleteColumn(), left)
    with Progress(*columns, disable=as_json, transient=True) as progress:
        bar = progress.add_task("rows", total=None)
        if progress.console.is_terminal and not as_json:
            progress.update(bar, total=await _count(spec))

        async def send() -> None:
            body = {"rows": batch, "dry_run": dry_run, "again": again}
            if dry_run and batch[0]["row"] == "defaults":
                body["planned"] = whole["models"]
            part = await client.post("/api/credentials/import", body)
            for name in _LISTS:
                whole[name] += part[name]
            whole["defaults"] |= part["defaults"]
            whole["renamed"] |= part["renamed"]
            progress.advance(bar, len(batch))

        size = 0
        async for row in source.rows():
            encoded = _encoded(row)
            if isinstance(encoded, Refused):
                whole["refused"].append({"where": encoded.where, "reason": encoded.reason})
                progress.advance(bar)
                continue
            if batch and (len(batch) == ROWS or size + len(encoded) > BYTES or isinstance(row, IncomingDefaults)):
                await send()
                batch, size = [], 0
            batch.append(msgspec.json.decode(encoded))
            size += len(encoded)
        if batch:
            await send()
    if not shown(whole, as_json=as_json):
        _print(whole)
    return FAILED if whole["refused"] else None


async def _count(spec: SourceSpec) -> int | None:
    """The rows of a file, which is read once more for it; None for what can be read once, or over the network only."""
    from keycairn.app.wiring import open_source  # noqa: PLC0415  # loaded before

    return sum([1 async for _ in open_source(spec).rows()]) if spec.is_rereadable else None


def _encoded(row: IncomingRow) -> bytes | Refused:
    """The row as it is sent; why not, where it cannot be."""

    def revealed(value: object) -> str:
        if isinstance(value, Secret):
            return value.reveal()  # for Keycairn itself, and nobody else
        raise NotImplementedError

    if isinstance(row, Refused):
        return row
    where = "the defaults" if isinstance(row, IncomingDefaults) else row.where
    if isinstance(row, IncomingCredential) and (why := unusable_secret(row)):
        return Refused(where=where, reason=why)
    try:
        return msgspec.json.encode(row, enc_hook=revealed)
    except (UnicodeError, OverflowError, RecursionError):
        return Refused(where=where, reason="it holds something that JSON cannot hold")


def _print(whole: dict[str, Any]) -> None:
    would = "would be " if whole["dry_run"] else ""
    for name, verb, style in (("created", f"{would}imported", GOOD), ("repaired", f"{would}repaired", GOOD)):
        if whole[name]:
            say(f"{len(whole[name])} {verb}:", style)
            rows = ((one["where"], one["id"], ", ".join(one["models"]), _remarks(one)) for one in whole[name][:SHOWN])
            table(("from", "id", "models", "remarks"), rows, empty="")
            _rest(whole[name])
    for name, verb, style in (("skipped", "left as they are", DULL), ("refused", "could NOT come in", BAD)):
        if whole[name]:
            say(f"{len(whole[name])} {verb}:", style)
            table(("from", "why"), ((one["where"], one["reason"]) for one in whole[name][:SHOWN]), empty="")
            _rest(whole[name])
    if whole["relinked"]:
        say(f"{len(whole['relinked'])} models that had no credential {would}linked.")
    if whole["defaults"]:
        say("Defaults " + would + "set: " + ", ".join(f"{slot} = {id}" for slot, id in whole["defaults"].items()))
    if not any(whole[name] for name in (*_LISTS, "defaults")):
        say("There is nothing to import.", DULL)
    elif not any(whole[name] for name in _LISTS if name != "skipped") and not whole["defaults"]:
        say("There is nothing to do.", DULL)
    broken = sum(bool(one["broken"]) for one in whole["created"])
    if broken:
        say(f"{broken} came without a readable key; send their keys, or import again with the right passphrase.", BAD)


def _remarks(one: dict[str, Any]) -> str:
    return "; ".join([*(f"{name}: {why}" for name, why in one["broken"].items()), *one["notes"]])


def _rest(items: list[Any]) -> None:
    if len(items) > SHOWN:
        say(f"... and {len(items) - SHOWN} more; --json lists them all.", DULL)
