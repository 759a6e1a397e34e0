"""The command that sums up what calls used."""

from typing import TYPE_CHECKING

import click

from keycairn.app.cli.connected import reading
from keycairn.app.cli.names import names_by_id
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import shown, table
from keycairn.app.cli.watching import watch_option, watched

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

_BY = ("day", "hour", "token", "credential", "model")


@click.command()
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The first day, such as 2026-01-31; 30 days ago.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The last day; today.")
@click.option("--by", multiple=True, type=click.Choice(_BY), help="What to keep apart; repeatable. Models, if unsaid.")
@watch_option
@as_json
@reading
async def usage(
    client: "Client", *, since: object, until: object, by: tuple[str, ...], watch: float | None, as_json: bool
) -> int | None:
    """Sum up calls through the gateway: requests, tokens and cost.

    By day, hour, token, credential or model, whose names are shown. Days and hours are UTC's. Calls of a model cost
    something once its price is known: `keycairn model edit gpt-4o --price input=2.5 --price output=10`
    """
    kept = by or ("model",)
    query: dict[str, str | list[str]] = {"by": list(kept)}
    query |= {name: str(day)[:10] for name, day in (("since", since), ("until", until)) if day is not None}

    async def look() -> int | None:
        found = await client.get("/api/usage", **query)
        if not shown(found, as_json=as_json):
            names = await names_by_id(client, kept)
            table(
                (*kept, "requests", "failed", "in", "out", "cost"),
                (
                    (
                        *("" if u[one] is None else names.get(u[one], u[one]) for one in kept),
                        u["requests"],
                        u["failed"],
                        u["input_tokens"],
                        u["output_tokens"],
                        f"{u['cost']:.4f}" if u["cost"] else "",
                    )
                    for u in found
                ),
                empty="Nothing was called.",
            )
        return None

    return await watched(look, watch)
