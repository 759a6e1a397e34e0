"""Commands about tokens."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from keycairn.app.cli.connected import as_json, segment, with_client
from keycairn.app.cli.group import Group
from keycairn.app.cli.show import GOOD, say, shown, table
from keycairn.domain.token import Scope

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


@click.group(cls=Group)
def token() -> None:
    """Make, list and revoke the tokens clients use."""


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
@click.option("--provider", "providers", multiple=True, help="Reach credentials of this provider only; repeatable.")
@click.option("--credential", "credentials", multiple=True, help="Reach this credential only; repeatable.")
@click.option("--model", "models", multiple=True, help="Call these models only: a name, or openai/*; repeatable.")
@click.option("--workspace", help="Make it for another workspace, which begins to exist by that.")
@click.option("--expires", type=click.DateTime(), help="When it stops working, in UTC.")
@as_json
@with_client
async def create(
    client: "Client",
    *,
    name: str,
    scopes: tuple[str, ...],
    providers: tuple[str, ...],
    credentials: tuple[str, ...],
    models: tuple[str, ...],
    workspace: str | None,
    expires: datetime | None,
    as_json: bool,
) -> None:
    """Make a token and print its text, which nobody can ask for again.

    An application that calls models needs `invoke` and nothing more:
    `keycairn token create my-app --scope invoke`

    One that needs one account only: add `--credential credential:...`
    """
    wish = {
        "name": name,
        "scopes": list(scopes),
        "reach": {
            "providers": list(providers) or None,
            "credentials": list(credentials) or None,
            "models": list(models) or None,
        },
        "workspace": workspace,
        "expires": expires.replace(tzinfo=UTC).isoformat() if expires else None,
    }
    made = await client.post("/api/tokens", wish)
    if not shown(made, as_json=as_json):
        say(made["token"])
        say(f"{made['id']} may: {', '.join(made['scopes'])}. Keep the text above; it is not shown again.", GOOD)


@token.command("list")
@click.option("--workspace", help="Of another workspace.")
@as_json
@with_client
async def list_tokens(client: "Client", *, workspace: str | None, as_json: bool) -> None:
    """List the tokens, revoked ones included."""
    found = await client.get("/api/tokens", **({"workspace": workspace} if workspace else {}))
    if not shown(found, as_json=as_json):
        table(
            ("id", "name", "workspace", "scopes", "reach", "last used", "expires", "revoked"),
            (
                (
                    t["id"],
                    t["name"],
                    t["workspace"],
                    ", ".join(t["scopes"]),
                    ", ".join(one for kind in ("providers", "credentials", "models") for one in t["reach"][kind] or ())
                    or "all",
                    t["last_used"],
                    t["expires"],
                    t["revoked"],
                )
                for t in found
            ),
            empty="There is no token.",
        )


@token.command()
@click.argument("id")
@as_json
@with_client
async def revoke(client: "Client", *, id: str, as_json: bool) -> None:
    """Stop a token from working, at once and for good."""
    gone = await client.delete(f"/api/tokens/{segment(id)}")
    if not shown(gone, as_json=as_json):
        say(f"{gone['id']} ({gone['name']}) is revoked.", GOOD)
