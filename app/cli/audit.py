"""Commands about the audit log."""

from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.connected import reading
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.group import Group
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
@click.option("--actor", help="Who did it, such as token:...")
@click.option("--target", help="The record it was done to.")
@click.option("--since", help="From this time on, such as 2026-01-31T12:00:00Z.")
@click.option("--until", help="Before this time.")
@click.option("--last", type=click.IntRange(1), default=50, show_default=True, help="How many, the latest ones.")
@click.option("--watch", is_flag=True, help="Go on with what happens next, until Ctrl-C.")
@as_json
@reading
async def list_events(client: "Client", *, last: int, watch: bool, as_json: bool, **conditions: str | None) -> None:
    """List the latest events, the oldest of them first."""
    query = {name: value for name, value in conditions.items() if value is not None}
    events = (await client.all("/api/audit", **query))[-last:]
    if not shown(events, as_json=as_json):
        _print(events)
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
                say(f"{event['at']}  {event['action']}  {event['target']}  {event['actor']}")


def _print(events: list[dict[str, Any]]) -> None:
    table(
        ("at", "action", "target", "by", "outcome"),
        ((str(e["at"])[:19], e["action"], e["target"], e["actor"], e["outcome"]) for e in events),
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
