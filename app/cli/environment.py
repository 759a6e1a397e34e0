"""Commands about where keys stand: in the database, in the environment, and moving them from here to there."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.connected import reading, with_client
from keycairn.app.cli.env_export import print_dotenv
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.service_options import as_json, service_options
from keycairn.app.cli.show import BAD, DULL, say, shown, table
from keycairn.domain.errors import RequestFailedError
from keycairn.domain.incoming import PROVIDER_TAKEN

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


@click.command()
@as_json
@reading
async def status(client: "Client", *, as_json: bool) -> int | None:
    """Show where each provider is configured, and the stored credentials.

    A provider that stands in the database and in the environment is used from the database. The ids are what other
    commands take.
    """
    overview = await client.get("/api/credentials/status")
    credentials = await client.all("/api/credentials")
    why_sealed = None if overview["encryption_configured"] else await _why_not_ready(client)
    failed = FAILED if why_sealed else None
    rotations = await client.get("/api/key-rotations")
    warnings = {one["credential"]: one["warning"] for one in rotations if one["warning"]}
    ages = {one["credential"]: {"days": one["key_age_days"], "expires": one["expires"]} for one in rotations}
    told = {**overview, "credentials": credentials, "why_sealed": why_sealed, "key_warnings": warnings}
    told["key_ages"] = ages
    if shown(told, as_json=as_json):
        return failed
    say(f"Talking to {client.where}.", DULL)
    _print_installation(overview, why_sealed)
    _print_credentials(credentials, ages)
    for id, warning in warnings.items():
        say(f"The key of {id}: {warning}", BAD)
    for one in overview.get("keys_held_back", []):
        say(
            f"The former key of {one['credential']} (workspace {one['workspace']}) is not revoked: "
            f"{', '.join(one['used_by'])} use it.",
            BAD,
        )
    return failed


def _print_installation(overview: Mapping[str, Any], why_sealed: str | None) -> None:
    if why_sealed:
        say(f"Nothing can be stored or used: {why_sealed}", BAD)
    if not overview["data_folder_kept"]:
        say("No volume keeps the data folder: it goes with the container or the machine's memory.", BAD)
    if damaged := overview.get("damaged"):
        say(f"Not as it was left in the database: {damaged}. It works for nobody; keycairn doctor names it.", BAD)
    used = [(name, source) for name, source in overview["source"].items() if source != "none"]
    table(("provider", "configured in"), used, empty="No provider is configured yet. Try: keycairn env")
    for fault in overview.get("env_file_faults", []):
        say(fault, BAD)
    for name, why in overview.get("refused", {}).items():
        say(f"The environment's {name} account is not used: {why}", DULL)


def _print_credentials(credentials: Sequence[Mapping[str, Any]], ages: Mapping[str, Mapping[str, Any]]) -> None:
    if credentials:
        say("")
        table(
            ("id", "provider", "name", "models", "tested", "key"),
            (
                (c["id"], c["provider"], c["name"], c["model_count"], tested(c), _age(ages.get(c["id"])))
                for c in credentials
            ),
            empty="",
        )
    for broken in (c for c in credentials if c["decryption_error"]):
        say(f"{broken['id']} does not open: {broken['decryption_error']}. Send its key again.", BAD)


def _age(known: Mapping[str, Any] | None) -> str:
    """How old a key is, and when its provider ends it; "" of one without a policy."""
    if known is None or known["days"] is None:
        return ""
    return f"{known['days']:.0f} days" + (f", ends {known['expires'][:10]}" if known["expires"] else "")


def tested(credential: Mapping[str, Any]) -> str:
    """How the last test of a credential ended; a test of a former key or address says nothing of the present one."""
    check = credential["last_check"]
    if check is None:
        return "never"
    return str(check["outcome"]) if check["current"] else "not since it changed"


async def _why_not_ready(client: "Client") -> str:
    try:
        await client.get("/health/ready")
    except RequestFailedError as error:
        return str(error)
    return "there is no root key. Set KEYCAIRN_ROOT_KEY_FILE."


@click.command()
@click.option("--format", "form", type=click.Choice(["table", "dotenv"]), default="table", show_default=True)
@click.option("--credential", "credentials", multiple=True, help="With dotenv: only this one; may be repeated.")
@click.option("--reveal-secrets-to-terminal", "reveal", is_flag=True, help="With dotenv: yes, write keys in the clear.")
@service_options
@as_json
def env(form: str, credentials: tuple[str, ...], *, reveal: bool, as_json: bool) -> None:
    """Show what the environment and the .env file hold, by variable name; values are never shown.

    When a server runs on the data folder, it is the server's environment that is shown. `keycairn migrate-env` moves
    the keys in.

    `--format dotenv` is for moving out: it writes what is stored as a .env file, keys in the clear, and only with
    --reveal-secrets-to-terminal. The audit remembers it. Prefer `keycairn run`.
    """
    if form == "dotenv":
        print_dotenv(credentials, confirmed=reveal)
    else:
        _show_env(as_json=as_json)


@reading
async def _show_env(client: "Client", *, as_json: bool) -> None:
    plan = await client.post("/api/credentials/migrate-from-env", dry_run="true")
    found = [entry for entry in plan["entries"] if entry["variables"]]
    await _tell_of_the_file(client)
    if shown(found, as_json=as_json):
        return
    table(
        ("provider", "variables", "goes to", "then"),
        ((e["provider"], ", ".join(e["variables"].values()), ", ".join(e["goes_to"]), _then(e)) for e in found),
        empty="No provider variable is set.",
    )
    if plan["migrated"]:
        say("\nMove them into the database with: keycairn migrate-env")
    removable = sorted({name for entry in found for name in entry["removable"]})
    if removable:
        say(f"\nThese stand in the database as they are, and may be removed: {', '.join(removable)}", DULL)


async def _tell_of_the_file(client: "Client") -> None:
    """Say what of the .env file cannot be read, beside the answer."""
    for fault in (await client.get("/api/credentials/status")).get("env_file_faults", []):
        click.secho(fault, err=True, fg="red")


def _then(entry: dict[str, str]) -> str:
    return "can be moved in" if entry["step"] == "migrate" else entry["reason"]


@click.command("migrate-env")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option("--again", is_flag=True, help="Also bring back keys that were deleted in Keycairn.")
@click.option("--anyway", is_flag=True, help="Also where variables that look like addresses are not understood.")
@as_json
@with_client
async def migrate_env(client: "Client", *, dry_run: bool, again: bool, anyway: bool, as_json: bool) -> int | None:
    """Move the environment's keys into the database. Running it again changes nothing.

    A provider that has a credential already is skipped; where the environment has another key than that one, it is said
    and the exit code is 1. The variables stay as they are; take them away yourself when all is well. Try it first, and
    see where each key would go: `keycairn migrate-env --dry-run`
    """
    done = await client.post(
        "/api/credentials/migrate-from-env",
        dry_run=str(dry_run).lower(),
        again=str(again).lower(),
        anyway=str(anyway).lower(),
    )
    await _tell_of_the_file(client)
    failed = FAILED if done["errors"] or done["refused"] else None
    if shown(done, as_json=as_json):
        return failed
    entries = [entry for entry in done["entries"] if entry["variables"]]
    verbs = {"migrate": "would be moved in" if dry_run else "moved in", "skip": "skipped", "error": "REFUSED"}
    table(
        ("provider", "result", "variables", "goes to", "models linked", "why"),
        (
            (
                e["provider"],
                verbs.get(e["step"], "incomplete"),
                ", ".join(e["variables"].values()),
                ", ".join(e["goes_to"]),
                ", ".join(e["linked_models"]),
                "; ".join([*([e["reason"]] if e["reason"] else []), *e["notes"]]),
            )
            for e in entries
        ),
        empty="No provider variable is set.",
    )
    for entry in (e for e in entries if e["reason"] == PROVIDER_TAKEN):
        say(
            f"\nThe {entry['provider']} key of the environment is not in the database. To bring it in beside the other:"
        )
        say("  keycairn import env .env")
        say("To put it in the other's place: keycairn credential set-key NAME")
    if entries and not done["migrated"] and not failed:
        say("There is nothing to do.", DULL)
    for entry in entries:
        for twin in entry["duplicates"]:
            say(f"You already have the {entry['provider']} key as {twin['name']} ({twin['id']}).", DULL)
    removable = sorted({name for entry in entries for name in entry["removable"]})
    if removable:
        say(f"\nThe database is now the source of truth. You may remove: {', '.join(removable)}")
    return failed
