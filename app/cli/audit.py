"""Commands about the audit log."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.completing import token_names
from keycairn.app.cli.connected import reading
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.group import Group
from keycairn.app.cli.names import KINDS, names_by_id
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import BAD, GOOD, print_json, say, shown, table
from keycairn.app.cli.watching import pause
from keycairn.domain.audit import Action

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


@click.group(cls=Group)
def audit() -> None:
    """What happened, and who did it. The log holds names and counts, never a key."""


@audit.command("list")
@click.option(
    "--action", type=click.Choice([action.value for action in Action]), metavar="ACTION", help="What was done."
)
@click.option("--actor", shell_complete=token_names, help="Who did it: a token by its name or id, system, in-process.")
@click.option("--target", help="The record it was done to, by its name or id.")
@click.option("--since", help="From this time on, such as 2026-01-31T12:00:00Z.")
@click.option("--until", help="Before this time.")
@click.option("--last", type=click.IntRange(1), default=50, show_default=True, help="How many, the latest ones.")
@click.option("--watch", is_flag=True, help="Go on with what happens next, until Ctrl-C.")
@as_json
@reading
async def list_events(client: "Client", *, last: int, watch: bool, as_json: bool, **conditions: str | None) -> None:
    """List the latest events, the oldest of them first. Records that are still there are shown by their names."""
    query = {name: value for name, value in conditions.items() if value is not None}
    said = {name: query[name] for name in _RECORDS if name in query}
    if said:
        known = await names_by_id(client)
        query |= {name: _id_of(word, known) for name, word in said.items()}
    events = (await client.all("/api/audit", **query))[-last:]
    names = {} if as_json else await _names(client, events)
    if not shown(events, as_json=as_json):
        _print(events, names)
    seen = events[-1]["seq"] if events else 0
    while watch:
        await pause(1)
        since = {"since": events[-1]["at"]} if events else {}
        events = [e for e in await client.all("/api/audit", **{**query, **since}) if e["seq"] > seen] or events
        for event in (e for e in events if e["seq"] > seen):
            seen = event["seq"]
            if as_json:
                print_json(event)
            else:
                names |= {} if names.keys() >= _ids([event]) else await _names(client, [event])
                told = [names.get(event[name], event[name]) for name in _RECORDS]
                say("  ".join([event["at"], event["action"], *told]))


_RECORDS = ("target", "actor")
"""What names records, in an event and in a query for events."""


def _ids(events: Sequence[Mapping[str, Any]]) -> set[str]:
    return {event[name] for event in events for name in _RECORDS if event[name].partition(":")[0] in KINDS}


async def _names(client: "Client", events: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the records of events are called, by id."""
    return await names_by_id(client, {id.partition(":")[0] for id in _ids(events)})


def _id_of(word: str, names: Mapping[str, str]) -> str:
    """The record of that name; the word itself where it is an id, or no record's name. Raises click.UsageError."""
    found = [id for id, name in names.items() if word in {name, name.rpartition("/")[2]}]
    if len(found) > 1:
        raise click.UsageError(f"Several records are called so. Give an id: {', '.join(found)}.")
    return found[0] if found else word


def _print(events: list[dict[str, Any]], names: Mapping[str, str]) -> None:
    table(
        ("at", "action", "target", "by", "outcome"),
        (
            (str(e["at"])[:19], e["action"], *(names.get(e[one], e[one]) for one in _RECORDS), e["outcome"])
            for e in events
        ),
        empty="Nothing of that kind happened.",
    )


@audit.command("verify")
@as_json
@reading
async def verify(client: "Client", *, as_json: bool) -> int | None:
    """Prove that the log is whole: no event changed, removed or put in. Exit code 1 when it is not."""
    report = await client.get("/api/audit/verify")
    if not shown(report, as_json=as_json):
        say(
            f"{report['events']} events were read: the log is {'whole' if report['intact'] else 'NOT WHOLE'}.",
            GOOD if report["intact"] else BAD,
        )
        for flaw in report["flaws"]:
            say(f"  {flaw.get('seq', '')}: {flaw.get('detail', flaw)}", BAD)
    return None if report["intact"] else FAILED
