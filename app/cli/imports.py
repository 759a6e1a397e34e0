"""Commands that move keys in from elsewhere."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.connected import with_client
from keycairn.app.cli.group import Group
from keycairn.app.cli.sending_rows import bring
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.settings import settings
from keycairn.app.sources import Kind, SourceSpec
from keycairn.domain.errors import SettingsError
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.secret import Secret

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


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
    return await bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


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
    return await bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


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
    return await bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


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
    return await bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


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
    return await bring(client, spec, dry_run=dry_run, again=again, as_json=as_json)


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
