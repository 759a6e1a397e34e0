"""Commands about models: which there are, what they are called, and whether they answer."""

import sys
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.asking import agreed
from keycairn.app.cli.assignments import fields_of, pairs
from keycairn.app.cli.completing import credential_names, model_names, provider_names
from keycairn.app.cli.connected import reading, segment, with_client
from keycairn.app.cli.defaults import SLOTS
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.group import Group
from keycairn.app.cli.resolve import credential as resolved_credential
from keycairn.app.cli.resolve import model as resolved
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import BAD, DULL, GOOD, record, say, shown, table
from keycairn.domain.modality import Modality

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

_PRICES = ("input", "cached", "output")
_TYPES = click.Choice([modality.value for modality in Modality])


@click.group(cls=Group)
def model() -> None:
    """List, add, change, test and delete registered models. A name is taken wherever an id is."""


@model.command("list")
@click.option("--provider", shell_complete=provider_names, help="Of this provider only.")
@click.option("--credential", shell_complete=credential_names, help="Linked to this credential only.")
@click.option("--type", "type", type=_TYPES, help="Of this type only.")
@as_json
@reading
async def list_models(
    client: "Client", *, provider: str | None, credential: str | None, type: str | None, as_json: bool
) -> None:
    """List the registered models, by which applications call them."""
    of = segment((await fields_of(client, provider))["name"]) if provider else ""
    found = await client.all(f"/api/models/by-provider/{of}" if of else "/api/models")
    linked = (await resolved_credential(client, credential))["id"] if credential else None
    found = [m for m in found if linked in {None, m["credential"]} and type in {None, m["type"]}]
    if not shown(found, as_json=as_json):
        names = {each["id"]: each["name"] for each in await client.all("/api/credentials")} if found else {}
        table(
            ("id", "name", "provider", "type", "credential"),
            ((m["id"], m["name"], m["provider"], m["type"], _account(m["credential"], names)) for m in found),
            empty="There is no model yet. Try: keycairn discover CREDENTIAL --register",
        )


def _account(id: str | None, names: Mapping[str, str]) -> str:
    return names.get(id, id) if id else "none"


@model.command("show")
@click.argument("model", shell_complete=model_names)
@as_json
@reading
async def show_model(client: "Client", *, model: str, as_json: bool) -> None:
    """Show one model."""
    found = await resolved(client, model)
    if not shown(found, as_json=as_json):
        record(found.items())


@model.command("add")
@click.argument("name")
@click.option("--credential", required=True, shell_complete=credential_names, help="The account that pays for it.")
@click.option("--type", "type", required=True, type=_TYPES, help="What it does.")
@click.option("--provider-model", help="What its provider calls it, where that is another name.")
@click.option("--context-length", type=click.IntRange(1), help="Tokens it can be given.")
@as_json
@with_client
async def add_model(
    client: "Client",
    *,
    name: str,
    credential: str,
    type: str,
    provider_model: str | None,
    context_length: int | None,
    as_json: bool,
) -> None:
    """Register a model of a credential's provider under NAME. `keycairn discover --register` does so for many."""
    account = await resolved_credential(client, credential)
    made = await client.post(
        "/api/models",
        {
            "name": name,
            "provider": account["provider"],
            "credential": account["id"],
            "type": type,
            "provider_model": provider_model,
            "context_length": context_length,
        },
    )
    if not shown(made, as_json=as_json):
        say(f"Registered {made['name']} ({made['provider']}): {made['id']}", GOOD)


@model.command("edit")
@click.argument("model", shell_complete=model_names)
@click.option("--name", help="What applications call it.")
@click.option("--provider-model", help="What its provider calls it.")
@click.option("--credential", shell_complete=credential_names, help="Link it to this account; none unlinks it.")
@click.option("--priority", type=int, help="Of several of one name, the smallest serves first.")
@click.option("--weight", type=click.IntRange(1), help="Equals share calls by it.")
@click.option("--context-length", type=click.IntRange(1), help="Tokens it can be given.")
@click.option(
    "--price",
    "prices",
    metavar="PART=AMOUNT|none",
    multiple=True,
    help=f"What it costs: {', '.join(_PRICES)} for a million tokens, call for each call; or none. Repeatable.",
)
@as_json
@with_client
async def edit_model(client: "Client", *, model: str, prices: tuple[str, ...], as_json: bool, **changes: Any) -> None:
    """Change what a model is called or costs, which account serves it, or its part among those of its name.

    By its price, budgets and `keycairn usage` count: `keycairn model edit gpt-4o --price input=2.5 --price output=10`
    """
    before = await resolved(client, model)
    body = {name: value for name, value in changes.items() if value is not None}
    if prices:
        body["price"] = _price(prices, before["price"])
    if not body:
        raise click.UsageError("Say what to change: --name, --credential, --priority, --weight, --price and so on.")
    if "credential" in body:
        word = body["credential"]
        body["credential"] = None if word == "none" else (await resolved_credential(client, word))["id"]
    after = await client.patch(f"/api/models/{segment(before['id'])}", body)
    if not shown(after, as_json=as_json):
        record(after.items())


def _price(texts: tuple[str, ...], before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The price that is meant; what is not named of it stays. Raises click.UsageError."""
    if texts == ("none",):
        return None
    price = dict(before or {})
    for name, text in pairs(texts, "--price").items():
        try:
            price[name] = None if text == "none" and name == "cached" else float(text)
        except ValueError:
            price[name] = -1.0
        if name not in {*_PRICES, "call"} or not 0 <= (price[name] or 0) < inf:
            raise click.UsageError(f"--price takes a number for one of: {', '.join(_PRICES)}, call.")
    return price


@model.command("test")
@click.argument("model", shell_complete=model_names)
@as_json
@with_client
async def test_model(client: "Client", *, model: str, as_json: bool) -> int | None:
    """Call a model once, with something small, and say whether it answered."""
    found = await resolved(client, model)
    result = await client.post(f"/api/models/{segment(found['id'])}/test")
    if not shown({"id": found["id"], **result}, as_json=as_json):
        mark, style = ("works", GOOD) if result["success"] else ("FAILED", BAD)
        say(f"{mark}: {result['message']} {result['details'] or ''}".rstrip(), style)
    return None if result["success"] else FAILED


@model.command("delete")
@click.argument("model", shell_complete=model_names)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@with_client
async def delete_model(client: "Client", *, model: str, yes: bool, as_json: bool) -> None:
    """Delete a registered model; the default slots it held become empty. The provider keeps its own."""
    found = await resolved(client, model)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Nothing was deleted. Add --yes.")
        agreed(f"Delete {found['name']} ({found['provider']}), {found['id']}?", "Nothing was deleted.")
    gone = await client.delete(f"/api/models/{segment(found['id'])}")
    if not shown(gone, as_json=as_json):
        say(gone["message"], GOOD)
        if gone["cleared_defaults"]:
            say(f"Default slots left empty: {', '.join(SLOTS[one] for one in gone['cleared_defaults'])}", DULL)
