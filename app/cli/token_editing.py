"""The command `token edit`: other bounds, limits or another end for a token that is in use."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.assignments import fields_of, limit_option, limits_of
from keycairn.app.cli.completing import credential_names, provider_names, token_names
from keycairn.app.cli.connected import segment, with_client
from keycairn.app.cli.resolve import credential, spoken
from keycairn.app.cli.resolve import token as resolved
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import GOOD, note, say, shown
from keycairn.app.cli.times import read_time
from keycairn.app.cli.token_bounds import bounds, unmet

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

NEVER = "never"


def _end(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | str | None:
    return text if text == NEVER else read_time(context, parameter, text)


@click.command("edit")
@click.argument("token", shell_complete=token_names)
@click.option("--name", help="A new name.")
@click.option(
    "--provider", "providers", multiple=True, shell_complete=provider_names, help="Reach this provider only, or these."
)
@click.option(
    "--credential",
    "credentials",
    multiple=True,
    shell_complete=credential_names,
    help="Reach this credential only, or these where it is given again.",
)
@click.option("--model", "models", multiple=True, help="Call this model only, or these: a name, or openai/*.")
@click.option("--anywhere", is_flag=True, help="Take away all bounds of what it reaches.")
@click.option("--expires", callback=_end, metavar="TIME|never", help="When it stops working.")
@limit_option
@as_json
@with_client
async def edit(  # noqa: PLR0913  # one for each option
    client: "Client",
    *,
    token: str,
    name: str | None,
    providers: tuple[str, ...],
    credentials: tuple[str, ...],
    models: tuple[str, ...],
    anywhere: bool,
    expires: datetime | str | None,
    limits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Change what a token is called, reaches or may do. Its text stays good, so no application is touched.

    What is given takes the place of the former bound of its kind; other bounds stay. After the credential of an
    application was replaced: `keycairn token edit my-app --credential Home`
    """
    found = await resolved(client, token)
    given: dict[str, Any] = {
        "providers": [(await fields_of(client, word))["name"] for word in providers],
        "credentials": [(await credential(client, word))["id"] for word in credentials],
        "models": [*models],
    }
    bound = {kind: value for kind, value in given.items() if value}
    if bound and anywhere:
        raise click.UsageError("--anywhere takes all bounds away. Give it alone, or name the bounds.")
    body: dict[str, Any] = {}
    if name is not None:
        body["name"] = name
    if bound or anywhere:
        body["reach"] = {**found["reach"], **bound} if bound else None
    if expires is not None:
        body["expires"] = expires.isoformat() if isinstance(expires, datetime) else None
    if limits:
        body["limits"] = limits_of(limits, found["limits"])
    if not body:
        raise click.UsageError("Say what to change: --credential, --model, --provider, --limit, --expires, --name.")
    after = await client.put(f"/api/tokens/{segment(found['id'])}", body)
    if not shown(after, as_json=as_json):
        say(f"{spoken(after['name'])} ({after['id']}) is changed. {await bounds(client, after)}", GOOD)
    for pattern in await unmet(client, after):
        note(f"No registered model is called {pattern}: until one is, calls of it are refused.")
