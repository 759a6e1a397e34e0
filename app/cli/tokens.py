"""Commands about tokens."""

import rich_click as click

from keycairn.app.cli.client import Client, segment
from keycairn.app.cli.group import as_json, main, shown, with_client
from keycairn.app.cli.show import GOOD, say, table
from keycairn.domain.token import Scope


@main.group()
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
@as_json
@with_client
async def create(client: Client, *, name: str, scopes: tuple[str, ...], as_json: bool) -> None:
    """Make a token and print its text, which nobody can ask for again.

    An application that calls models needs `invoke` and nothing more:
    `keycairn token create my-app --scope invoke`
    """
    made = await client.post("/api/tokens", {"name": name, "scopes": list(scopes)})
    if not shown(made, as_json=as_json):
        say(made["token"])
        say(f"{made['id']} may: {', '.join(made['scopes'])}. Keep the text above; it is not shown again.", GOOD)


@token.command("list")
@as_json
@with_client
async def list_tokens(client: Client, *, as_json: bool) -> None:
    """List the tokens, revoked ones included."""
    found = await client.get("/api/tokens")
    if not shown(found, as_json=as_json):
        table(
            ("id", "name", "scopes", "created", "expires", "revoked"),
            ((t["id"], t["name"], ", ".join(t["scopes"]), t["created"], t["expires"], t["revoked"]) for t in found),
            empty="There is no token.",
        )


@token.command()
@click.argument("id")
@as_json
@with_client
async def revoke(client: Client, *, id: str, as_json: bool) -> None:
    """Stop a token from working, at once and for good."""
    gone = await client.delete(f"/api/tokens/{segment(id)}")
    if not shown(gone, as_json=as_json):
        say(f"{gone['id']} ({gone['name']}) is revoked.", GOOD)
