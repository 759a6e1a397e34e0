"""Commands about credentials: their whole life."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.asking import agreed
from keycairn.app.cli.assignments import fields_of
from keycairn.app.cli.completing import credential_names, provider_names
from keycairn.app.cli.connected import reading, segment, with_client
from keycairn.app.cli.credential_changes import CHANGES
from keycairn.app.cli.credential_words import impact, outcome_of, print_credential
from keycairn.app.cli.environment import tested
from keycairn.app.cli.group import Group
from keycairn.app.cli.key_rotation import KEY_COMMANDS
from keycairn.app.cli.probing import prove
from keycairn.app.cli.resolve import credential as resolved
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import DULL, GOOD, note, say, shown, table
from keycairn.domain.errors import RequestFailedError

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


@click.group(cls=Group)
def credential() -> None:
    """Add, test, change and delete accounts of providers. A name is taken wherever an id is."""


for _command in (*CHANGES, *KEY_COMMANDS):
    credential.add_command(_command)


@credential.command("list")
@click.option("--provider", shell_complete=provider_names, help="Of this provider only.")
@as_json
@reading
async def list_credentials(client: "Client", *, provider: str | None, as_json: bool) -> None:
    """List the credentials: whose they are, how many models they serve, and how their last test ended."""
    of = segment((await fields_of(client, provider))["name"]) if provider else ""
    found = await client.all(f"/api/credentials/by-provider/{of}" if of else "/api/credentials")
    if not shown(found, as_json=as_json):
        table(
            ("id", "provider", "name", "models", "tested"),
            ((c["id"], c["provider"], c["name"], c["model_count"], tested(c)) for c in found),
            empty="There is no credential yet. Try: keycairn credential add PROVIDER",
        )


@credential.command("show")
@click.argument("credential", shell_complete=credential_names)
@as_json
@reading
async def show_credential(client: "Client", *, credential: str, as_json: bool) -> None:
    """Show one credential: its settings, which secrets it has, its limits and its models. Never a secret."""
    found = await resolved(client, credential)
    if not shown(found, as_json=as_json):
        print_credential(found)


@credential.command("test")
@click.argument("credential", shell_complete=credential_names)
@as_json
@with_client
async def test_credential(client: "Client", *, credential: str, as_json: bool) -> int | None:
    """Prove a key at its provider, which is really asked."""
    result = await prove(client, await resolved(client, credential))
    if shown(result, as_json=as_json):
        return None if result["success"] else 1
    return outcome_of([result], as_json=False)


@credential.command("delete")
@click.argument("credential", shell_complete=credential_names)
@click.option("--migrate-to", shell_complete=credential_names, help="The credential that takes its models over.")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@with_client
async def delete_credential(
    client: "Client", *, credential: str, migrate_to: str | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Delete a credential with its models, or move them to another one of the provider first; doubles go with it."""
    found = await resolved(client, credential)
    query = {"migrate_to": (await resolved(client, migrate_to))["id"]} if migrate_to else {}
    path = f"/api/credentials/{segment(found['id'])}"
    plan = await client.delete(path, dry_run="true", **query)
    names = await _names(client, plan)
    if not dry_run:
        _confirm(found, impact(plan, names), sure=yes)
        plan = await client.delete(path, **query)
    if not shown(plan, as_json=as_json):
        say(plan["message"], DULL if dry_run else GOOD)
        for line in impact(plan, names):
            say(f"  {line}", DULL)


async def _names(client: "Client", plan: Mapping[str, Any]) -> dict[str, str]:
    """What the models and tokens are called that a deletion is about, by id, as far as that may be looked up."""
    found: list[Mapping[str, Any]] = []
    if any(plan[name] for name in ("deleted", "moved", "merged")):
        found += await client.all("/api/models")
    if plan["followed_tokens"] or plan["stranded_tokens"]:
        with suppress(RequestFailedError):
            found += await client.get("/api/tokens")
    return {each["id"]: each["name"] for each in found}


def _confirm(found: Mapping[str, Any], lines: list[str], *, sure: bool) -> None:
    if sure:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nothing was deleted. Add --yes, or look first with --dry-run.")
    note(f"{found['name']} ({found['provider']}), {found['id']}")
    for line in lines:
        note(f"  {line}")
    agreed("Delete it?", "Nothing was deleted.")
