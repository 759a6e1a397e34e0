"""Commands that ask providers: whether a key works, and what models it can use."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.completing import credential_names
from keycairn.app.cli.connected import segment, with_client
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.resolve import credential as resolved
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import BAD, DULL, GOOD, note, say, shown, table

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


async def prove(client: "Client", credential: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the test of a credential ended, with its id and name."""
    told = {"id": credential["id"], "name": credential["name"]}
    return {**told, **await client.post(f"/api/credentials/{segment(credential['id'])}/test")}


@click.command()
@click.argument("credential", required=False, shell_complete=credential_names)
@click.option("--all", "everything", is_flag=True, help="Test every stored credential.")
@as_json
@with_client
async def test(client: "Client", *, credential: str | None, everything: bool, as_json: bool) -> int | None:
    """Prove a key at its provider. Give a credential's name or id, or --all.

    The provider is really asked. That it limits your rate, or has no such model, proves the key too. `keycairn status`
    lists the names. Exit code 1 when a key is refused or its provider cannot be reached.
    """
    if bool(credential) == everything:
        raise click.UsageError("Give either a credential's name or --all; `keycairn credential list` shows them.")
    found = [await resolved(client, credential)] if credential else await client.all("/api/credentials")
    results = []
    for one in found:
        if everything and not as_json:
            note(f"Testing {one['name']} ({one['provider']}) ...")
        results.append(await prove(client, one))
    if not shown(results, as_json=as_json):
        for result in results:
            mark, style = ("works", GOOD) if result["success"] else ("FAILED", BAD)
            say(f"{mark}: {result['name']} ({result['provider']}): {result['message']}", style)
        if not results:
            say("There is no credential yet. Try: keycairn migrate-env", DULL)
    return None if all(result["success"] for result in results) else FAILED


@click.command()
@click.argument("credential", shell_complete=credential_names)
@click.option("--register", is_flag=True, help="Register what is new with the credential.")
@as_json
@with_client
async def discover(client: "Client", *, credential: str, register: bool, as_json: bool) -> int | None:
    """List the models a credential can use.

    Where a list comes from is said: `live` is the provider's answer, `static` is part of Keycairn, `fallback` stands in
    for an answer that failed. For example: `keycairn discover Work --register`
    """
    path = f"/api/credentials/{segment((await resolved(client, credential))['id'])}"
    found = await client.post(f"{path}/discover")
    usable = [
        {"name": m["name"], "provider": m["provider"], "model_type": m["model_type"]}
        for m in found["discovered"]
        if m["model_type"]
    ]
    if register and not found["failure"]:
        found["registered"] = await client.post(f"{path}/register-models", {"models": usable})
    failed = FAILED if found["failure"] and register else None
    if shown(found, as_json=as_json):
        return failed
    table(
        ("model", "type", "from"),
        ((m["name"], m["model_type"] or "(none of the four)", m["provenance"]) for m in found["discovered"]),
        empty="The provider lists no models.",
    )
    if found["failure"] and found["provenance"] == "none":
        say(f"\n{found['failure']}", BAD)
    elif found["failure"]:
        say(f"\nThe provider's list could not be read: {found['failure']} Nothing is registered from a fallback.", BAD)
    if failed:
        say("Nothing was registered.", BAD)
    for label in ("new", "vanished", "retyped"):
        if found[label]:
            say(f"{label}: {', '.join(found[label])}")
    if "registered" in found:
        say(f"\nRegistered {found['registered']['created']}, already there {found['registered']['existing']}.", GOOD)
    return failed
