"""Commands about credentials: their whole life."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.asking import agreed, asked
from keycairn.app.cli.assignments import account_body, fields_of, limit_option, limits_of, pairs
from keycairn.app.cli.completing import credential_names, provider_names
from keycairn.app.cli.connected import reading, segment, with_client
from keycairn.app.cli.credential_words import impact, outcome_of, print_credential, print_notes
from keycairn.app.cli.environment import tested
from keycairn.app.cli.group import Group
from keycairn.app.cli.key_rotation import KEY_COMMANDS
from keycairn.app.cli.probing import prove
from keycairn.app.cli.resolve import credential as resolved
from keycairn.app.cli.resolve import spoken
from keycairn.app.cli.secret_input import SOURCES, check_source, check_sources
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import DULL, GOOD, note, say, shown, table

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

_SETTING = click.option("--set", "settings", metavar="FIELD=VALUE", multiple=True, help="A setting; repeatable.")
_KEY = click.option(
    "--key",
    callback=check_source,
    metavar=SOURCES,
    help="The API key: - for standard input, @ and a file; else you are asked.",
)
_SECRET = click.option(
    "--secret",
    "secrets",
    callback=check_sources,
    metavar=f"FIELD={SOURCES}",
    multiple=True,
    help="Another secret of the account; repeatable.",
)


@click.group(cls=Group)
def credential() -> None:
    """Add, test, change and delete accounts of providers. A name is taken wherever an id is."""


for _command in KEY_COMMANDS:
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


@credential.command("add")
@click.argument("provider", shell_complete=provider_names)
@click.option("--name", help="What you call it; the provider's name where you do not say.")
@_KEY
@_SECRET
@_SETTING
@limit_option
@click.option("--test", "proved", is_flag=True, help="Prove it at its provider at once.")
@as_json
@with_client
async def add_credential(
    client: "Client",
    *,
    provider: str,
    name: str | None,
    key: str | None,
    secrets: tuple[str, ...],
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    proved: bool,
    as_json: bool,
) -> int | None:
    """Add an account of PROVIDER. What it needs and was not given is asked for at a terminal.

    For example: `keycairn credential add openai --name Work --key @key.txt --test`
    """
    described = await fields_of(client, provider)
    given_secrets: dict[str, str | None] = dict(pairs(secrets, "--secret"))
    if key is not None:
        given_secrets["api_key"] = key
    given: dict[str, str | None] = dict(pairs(settings, "--set"))
    if sys.stdin.isatty():
        _ask(described, given, given_secrets)
    else:
        given_secrets |= {field: None for field in _wanted_secrets(described) if field not in given_secrets}
    body = {"provider": described["name"], "name": name or described["display_name"]}
    body |= account_body(described, given, given_secrets)
    if limits:
        body["limits"] = limits_of(limits)
    made = await client.post("/api/credentials", body)
    results = [await prove(client, made)] if proved else []
    told = {**made, "test": results[0]} if proved else made
    if not shown(told, as_json=as_json):
        say(f"Added {made['name']} ({made['provider']}): {made['id']}", GOOD)
        print_notes(made)
        if not proved:
            say(f"Prove it with: keycairn test {spoken(made['name'])}", DULL)
    return outcome_of(results, as_json=as_json)


@credential.command("set-key")
@click.argument("credential", shell_complete=credential_names)
@_KEY
@_SECRET
@click.option("--test", "proved", is_flag=True, help="Prove it at its provider at once.")
@as_json
@with_client
async def set_key(
    client: "Client", *, credential: str, key: str | None, secrets: tuple[str, ...], proved: bool, as_json: bool
) -> int | None:
    """Give a credential a new key. The very next call of every linked model uses it."""
    before = await resolved(client, credential)
    described = await fields_of(client, before["provider"])
    given: dict[str, str | None] = dict(pairs(secrets, "--secret"))
    if key is not None or not given:
        given["api_key"] = key
    after = await client.put(f"/api/credentials/{segment(before['id'])}", account_body(described, {}, given))
    results = [await prove(client, after)] if proved else []
    if not shown({**after, "test": results[0]} if proved else after, as_json=as_json):
        say(f"{after['name']} ({after['provider']}) has a new key.", GOOD)
        print_notes(after)
    return outcome_of(results, as_json=as_json)


@credential.command("edit")
@click.argument("credential", shell_complete=credential_names)
@click.option("--name", help="A new name.")
@_SETTING
@click.option("--unset", metavar="FIELD", multiple=True, help="Clear a setting; repeatable.")
@_KEY
@_SECRET
@limit_option
@as_json
@with_client
async def edit_credential(
    client: "Client",
    *,
    credential: str,
    name: str | None,
    settings: tuple[str, ...],
    unset: tuple[str, ...],
    key: str | None,
    secrets: tuple[str, ...],
    limits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Change what a credential is called, its settings or its limits. What is not named stays.

    Where its address changes, its key has to be given again: add `--key -`.
    """
    before = await resolved(client, credential)
    described = await fields_of(client, before["provider"])
    changed: dict[str, str | None] = {**pairs(settings, "--set"), **dict.fromkeys(unset)}
    given: dict[str, str | None] = dict(pairs(secrets, "--secret"))
    if key is not None:
        given["api_key"] = key
    body = account_body(described, changed, given)
    if name is not None:
        body["name"] = name
    if limits:
        body["limits"] = limits_of(limits, before["limits"])
    if not body:
        raise click.UsageError("Say what to change: --name, --set, --unset, --limit, --key.")
    after = await client.put(f"/api/credentials/{segment(before['id'])}", body)
    if not shown(after, as_json=as_json):
        print_credential(after)
        print_notes(after)


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
    """Delete a credential with its models, or move them to another one of the provider first."""
    found = await resolved(client, credential)
    query = {"migrate_to": (await resolved(client, migrate_to))["id"]} if migrate_to else {}
    path = f"/api/credentials/{segment(found['id'])}"
    plan = await client.delete(path, dry_run="true", **query)
    touched = any(plan[name] for name in ("deleted", "moved", "merged"))
    names = {m["id"]: m["name"] for m in await client.all("/api/models")} if touched else {}
    if not dry_run:
        _confirm(found, impact(plan, names), sure=yes)
        plan = await client.delete(path, **query)
    if not shown(plan, as_json=as_json):
        say(plan["message"], DULL if dry_run else GOOD)
        for line in impact(plan, names):
            say(f"  {line}", DULL)


def _confirm(found: Mapping[str, Any], impact: list[str], *, sure: bool) -> None:
    if sure:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nothing was deleted. Add --yes, or look first with --dry-run.")
    note(f"{found['name']} ({found['provider']}), {found['id']}")
    for line in impact:
        note(f"  {line}")
    agreed("Delete it?", "Nothing was deleted.")


def _wanted_secrets(described: Mapping[str, Any]) -> list[str]:
    return [field["name"] for field in described["fields"] if field["secret"] and field["required"]]


def _ask(described: Mapping[str, Any], given: dict[str, str | None], given_secrets: dict[str, str | None]) -> None:
    """Ask for the required settings that are missing, in the provider's order.

    Secrets are asked for when they are read. Of a group of which one is needed, the first is asked for.
    """
    groups = [[field["name"]] for field in described["fields"] if field["required"]] + [*described["any_of"]]
    fields = {field["name"]: field for field in described["fields"]}
    for group in groups:
        if any(name in given or name in given_secrets for name in group):
            continue
        field = fields[group[0]]
        if field["secret"]:
            given_secrets[field["name"]] = None
        else:
            hint = f" ({field['help']})" if field["help"] else ""
            question = f"{field['label']}{hint}"
            given[field["name"]] = asked(question, default=field["default"], choices=field["choices"] or ())
