"""Commands about the default models of task slots."""

from typing import TYPE_CHECKING

import click

from keycairn.app.cli.completing import model_names
from keycairn.app.cli.connected import reading, with_client
from keycairn.app.cli.group import Group
from keycairn.app.cli.resolve import model as resolved
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import DULL, GOOD, say, shown, table
from keycairn.domain.model import Slot

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

SLOTS = {slot.value: slot.called for slot in Slot}
"""What people call the slots, by the names the API has for them."""
_SLOT = click.Choice([slot.called for slot in Slot], case_sensitive=False)


@click.group("default", cls=Group)
def default() -> None:
    """The default models, which applications call as `default:SLOT`."""


@default.command("list")
@as_json
@reading
async def list_defaults(client: "Client", *, as_json: bool) -> None:
    """List the slots and their models."""
    slots = await client.get("/api/models/defaults")
    if shown(slots, as_json=as_json):
        return
    names = {m["id"]: f"{m['provider']}/{m['name']}" for m in await client.all("/api/models")}
    table(
        ("slot", "model", "id"),
        ((slot.called, names.get(slots[slot.value], "none"), slots[slot.value]) for slot in Slot),
        empty="",
    )


@default.command("set")
@click.argument("slot", type=_SLOT)
@click.argument("model", shell_complete=model_names)
@as_json
@with_client
async def set_default(client: "Client", *, slot: str, model: str, as_json: bool) -> None:
    """Make MODEL the one that serves SLOT.

    For example: `keycairn default set chat gpt-5`
    """
    found = await resolved(client, model)
    after = await client.put("/api/models/defaults", {_slot(slot).value: found["id"]})
    if not shown(after, as_json=as_json):
        say(f"default:{slot} is {found['provider']}/{found['name']}.", GOOD)


@default.command("clear")
@click.argument("slot", type=_SLOT)
@as_json
@with_client
async def clear_default(client: "Client", *, slot: str, as_json: bool) -> None:
    """Leave SLOT without a model. Chat and embedding can only be given another one."""
    after = await client.put("/api/models/defaults", {_slot(slot).value: None})
    if not shown(after, as_json=as_json):
        say(f"default:{slot} has no model.", GOOD)


@default.command("auto")
@as_json
@with_client
async def auto_assign(client: "Client", *, as_json: bool) -> None:
    """Fill the empty slots with the best registered models, apart from those that chat's model stands in for."""
    done = await client.post("/api/models/auto-assign", every="true")
    if shown(done, as_json=as_json):
        return
    known = await client.all("/api/models") if done["assigned"] else []
    names = {each["id"]: f"{each['provider']}/{each['name']}" for each in known}
    for name, model in done["assigned"].items():
        say(f"default:{_called(name)} is {names.get(model, model)}.", GOOD)
    if done["missing"]:
        say(f"There is no model for: {', '.join(_called(name) for name in done['missing'])}", DULL)
    if not done["assigned"] and not done["missing"]:
        say("Every slot has a model, or that of chat stands in for it.", DULL)


def _called(value: str) -> str:
    return next(slot.called for slot in Slot if slot.value == value)


def _slot(called: str) -> Slot:
    return next(slot for slot in Slot if slot.called == called)
