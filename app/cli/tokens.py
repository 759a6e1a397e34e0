"""Commands about tokens."""

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.asking import agreed
from keycairn.app.cli.assignments import fields_of, limit_option, limits_of
from keycairn.app.cli.completing import credential_names, token_names
from keycairn.app.cli.connected import reading, segment, with_client
from keycairn.app.cli.endings import OutputLost
from keycairn.app.cli.group import Group
from keycairn.app.cli.resolve import credential, spoken
from keycairn.app.cli.resolve import token as resolved
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import GOOD, note, say, shown, table
from keycairn.app.cli.times import read_time
from keycairn.app.cli.token_bounds import bounds, names_of, reach_of, unmet
from keycairn.app.cli.token_editing import edit
from keycairn.domain.token import Scope

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


@click.group(cls=Group)
def token() -> None:
    """Make, list, change and revoke the tokens clients use."""


token.add_command(edit)


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; give it more than once for more.",
)
@click.option("--provider", "providers", multiple=True, help="Reach this provider only, or these.")
@click.option(
    "--credential",
    "credentials",
    multiple=True,
    shell_complete=credential_names,
    help="Reach this credential only, or these where it is given again.",
)
@click.option("--model", "models", multiple=True, help="Call these models only: a name, or openai/*; repeatable.")
@click.option("--workspace", help="Make it for another workspace, which begins to exist by that.")
@click.option(
    "--expires", callback=read_time, help="When it stops working: 2027-01-31, or with a time, in UTC or as told."
)
@limit_option
@click.option("--anyway", is_flag=True, help="Also where a token of that name is in use.")
@as_json
@with_client
async def create(  # noqa: PLR0913  # one for each option
    client: "Client",
    *,
    name: str,
    scopes: tuple[str, ...],
    providers: tuple[str, ...],
    credentials: tuple[str, ...],
    models: tuple[str, ...],
    workspace: str | None,
    expires: datetime | None,
    limits: tuple[str, ...],
    anyway: bool,
    as_json: bool,
) -> None:
    """Make a token and print its text, which nobody can ask for again.

    An application that calls models needs `invoke` and nothing more:
    `keycairn token create my-app --scope invoke`

    One that needs one account only: add `--credential NAME`. The text alone is on standard output, for
    `TOKEN=$(keycairn token create ...)`; a token whose text cannot be written there is revoked.
    """
    if not anyway:
        await _check_free(client, name, workspace)
    wish = {
        "name": name,
        "scopes": list(scopes),
        "reach": {
            "providers": [(await fields_of(client, word))["name"] for word in providers] or None,
            "credentials": [(await credential(client, word))["id"] for word in credentials] or None,
            "models": list(models) or None,
        },
        "workspace": workspace,
        "expires": expires.isoformat() if expires else None,
        **({"limits": limits_of(limits)} if limits else {}),
    }
    made = await client.post("/api/tokens", wish)
    try:
        if not shown(made, as_json=as_json):
            say(made["token"])
    except OutputLost as lost:
        await client.delete(f"/api/tokens/{segment(made['id'])}")
        raise OutputLost(lost.why, "Nobody saw the token, so it was revoked.") from None
    if not as_json:
        note(f"{made['name']} may: {', '.join(made['scopes'])}. Keep its text, which is not shown again.")
        note(await bounds(client, made))
    for pattern in await unmet(client, made):
        note(f"No registered model is called {pattern}: until one is, calls of it are refused.")


@token.command("list")
@click.option("--workspace", help="Of another workspace.")
@as_json
@reading
async def list_tokens(client: "Client", *, workspace: str | None, as_json: bool) -> None:
    """List the tokens, revoked ones included."""
    found = await client.get("/api/tokens", **({"workspace": workspace} if workspace else {}))
    if not shown(found, as_json=as_json):
        names = None if workspace else await names_of(client, found)
        table(
            ("id", "name", "workspace", "scopes", "reach", "last used", "expires", "revoked"),
            (
                (
                    t["id"],
                    t["name"],
                    t["workspace"],
                    ", ".join(t["scopes"]),
                    reach_of(t, names),
                    t["last_used"],
                    t["expires"],
                    t["revoked"],
                )
                for t in found
            ),
            empty="There is no token.",
        )


@token.command()
@click.argument("token", shell_complete=token_names)
@click.option("--yes", is_flag=True, help="Do not ask, even about the last token that may make others.")
@as_json
@with_client
async def revoke(client: "Client", *, token: str, yes: bool, as_json: bool) -> None:
    """Stop a token from working, at once and for good. Give its name or id.

    Where it is the last one that may make others, you are asked. The way back then: stop the service and run
    `keycairn token create` on its data folder, or start it with KEYCAIRN_ADMIN_TOKEN set.
    """
    found = await resolved(client, token)
    if not yes and await _is_last_admin(client, found):
        told = "This is the last token that may make others. Without it, stop the service to make one by a command."
        if not sys.stdin.isatty():
            raise click.UsageError(f"{told} Add --yes to revoke it.")
        agreed(f"{told} Revoke it?", "Nothing was changed.")
    gone = await client.delete(f"/api/tokens/{segment(found['id'])}")
    if not shown(gone, as_json=as_json):
        say(f"{gone['id']} ({gone['name']}) is revoked.", GOOD)


async def _check_free(client: "Client", name: str, workspace: str | None) -> None:
    """Raise click.UsageError where a token that is in use is called so: names stand for ids."""
    for there in await client.get("/api/tokens", **({"workspace": workspace} if workspace else {})):
        if there["name"].casefold() == name.casefold() and not there["revoked"]:
            raise click.UsageError(
                f"A token is called {there['name']} already ({there['id']}). Choose another name, revoke that one "
                f"(keycairn token revoke {spoken(there['name'])}), or add --anyway."
            )


async def _is_last_admin(client: "Client", token: Mapping[str, Any]) -> bool:
    def rules(one: Mapping[str, Any]) -> bool:
        return Scope.ADMIN in one["scopes"] and not one["revoked"]

    if not rules(token):
        return False
    return [one["id"] for one in await client.get("/api/tokens") if rules(one)] == [token["id"]]
