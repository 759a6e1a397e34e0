"""Commands about providers: which there are, and what their accounts need."""

from typing import TYPE_CHECKING

import click

from keycairn.app.cli.assignments import fields_of
from keycairn.app.cli.completing import provider_names
from keycairn.app.cli.connected import reading
from keycairn.app.cli.group import Group
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import DULL, say, shown, table

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


@click.group(cls=Group)
def provider() -> None:
    """Show the providers, and what their accounts need."""


@provider.command("list")
@as_json
@reading
async def list_providers(client: "Client", *, as_json: bool) -> None:
    """List the providers that credentials can be of."""
    found = await client.get("/api/providers")
    if not shown(found, as_json=as_json):
        table(
            ("provider", "called", "does", "in the environment"),
            ((p["name"], p["display_name"], ", ".join(p["modalities"]), p["env_configured"]) for p in found),
            empty="There is no provider.",
        )


@provider.command("show")
@click.argument("provider", shell_complete=provider_names)
@as_json
@reading
async def show_provider(client: "Client", *, provider: str, as_json: bool) -> None:
    """Show the fields of a provider's accounts: for `--set`, and for `--key` and `--secret` where they are secret."""
    found = await fields_of(client, provider)
    if shown(found, as_json=as_json):
        return
    say(f"{found['display_name']}: {', '.join(found['modalities'])}")
    if found["docs_url"]:
        say(f"Keys are made at {found['docs_url']}", DULL)
    table(
        ("field", "secret", "needed", "variables", "what"),
        (
            (
                field["name"],
                field["secret"],
                field["required"],
                ", ".join(field["env"]),
                " ".join(part for part in (f"{field['label']}.", field["help"], _takes(field["choices"])) if part),
            )
            for field in found["fields"]
        ),
        empty="",
    )
    if (managing := found["key_management"]) is not None:
        say("\nFor keys that rotate themselves (keycairn credential policy), besides:", DULL)
        table(
            ("field", "secret", "needed", "what"),
            ((f["name"], f["secret"], f["required"], f"{f['label']}. {f['help']}".strip()) for f in managing["fields"]),
            empty="",
        )
    for group in found["any_of"]:
        say(f"One of these is needed: {', '.join(group)}", DULL)


def _takes(choices: list[str]) -> str:
    return f"One of: {', '.join(choices)}." if choices else ""
